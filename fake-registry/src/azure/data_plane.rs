//! `/acr/v1/`: what a registry of Azure says about repositories, tags and manifests beyond the
//! distribution API, and the attributes that lock them.
//!
//! Times are those of the start of the run, since the store keeps none; with that, an order by
//! time is the order of names.

use http::{StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::acr::Acrs;
use super::lock::{Attributes, disallowed};
use super::state::AzureError;
use crate::auth::Scope;
use crate::host::Registry;
use crate::message::{Refusal, Reply, empty_reply, json_reply, param, set};
use crate::names;
use crate::protocol::page_not_found;
use crate::store::{Content, Manifest, Tagged};

pub(crate) const ROOT: &str = "/acr/v1/";
/// Entries of one page, and what a page has where nobody asks for fewer.
const MAX_PAGE: usize = 1000;
const MAX_SMALL: u64 = 4 << 20;

type Outcome = Result<Reply, Box<Refusal>>;

/// What a path is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About<'a> {
    Catalog,
    Repository(&'a str),
    Tags(&'a str),
    Tag(&'a str, &'a str),
    Manifests(&'a str),
    Manifest(&'a str, &'a str),
}

impl<'a> About<'a> {
    fn parse(rest: &'a str) -> Option<Self> {
        if rest == "_catalog" {
            return Some(Self::Catalog);
        }
        let about = if let Some(repository) = rest.strip_suffix("/_tags") {
            Self::Tags(repository)
        } else if let Some(repository) = rest.strip_suffix("/_manifests") {
            Self::Manifests(repository)
        } else if let Some((repository, tag)) = rest.rsplit_once("/_tags/") {
            Self::Tag(repository, tag)
        } else if let Some((repository, digest)) = rest.rsplit_once("/_manifests/") {
            Self::Manifest(repository, digest)
        } else {
            Self::Repository(rest)
        };
        names::is_repository(about.repository()).then_some(about)
    }

    fn repository(self) -> &'a str {
        match self {
            Self::Catalog => "",
            Self::Repository(name)
            | Self::Tags(name)
            | Self::Tag(name, _)
            | Self::Manifests(name)
            | Self::Manifest(name, _) => name,
        }
    }

    fn needed(self, method: &str) -> Scope {
        let Self::Catalog = self else {
            let action = match method {
                "PATCH" => "metadata_write",
                "DELETE" => "delete",
                _ => "metadata_read",
            };
            return Scope::repository(self.repository(), &[action]);
        };
        Scope {
            kind: "registry".into(),
            name: "catalog".into(),
            actions: vec!["*".into()],
        }
    }

    fn lock(self) -> String {
        match self {
            Self::Tag(name, tag) => format!("{name}:{tag}"),
            Self::Manifest(name, digest) => format!("{name}@{digest}"),
            _ => self.repository().to_owned(),
        }
    }
}

/// What is to be done once the state may be written to.
pub(crate) enum Done {
    Reply(Reply),
    /// Attributes to be set; the reply is what a second look shows.
    Lock(String, Attributes),
}

impl Acrs<'_> {
    /// Answers, or says which attributes are to be set.
    pub(crate) fn data_plane(
        &self,
        registry: &Registry,
        body: &[u8],
    ) -> Result<Done, Box<Refusal>> {
        let rest = self.call.path.strip_prefix(ROOT).unwrap_or_default();
        let about = About::parse(rest).ok_or_else(page_not_found)?;
        let method = self.call.method.as_str();
        self.admit(&[about.needed(method)])?;
        let at = Place {
            acrs: self,
            registry,
        };
        match (method, about) {
            ("GET", _) => at.show(about).map(Done::Reply),
            ("PATCH", About::Repository(_) | About::Tag(..) | About::Manifest(..)) => {
                at.show(about)?;
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let key = about.lock();
                let changed = self.acr.attributes(&key).changed(&body);
                let changed = changed.filter(|_| body.is_object()).ok_or_else(|| {
                    Refusal::new(
                        StatusCode::BAD_REQUEST,
                        "BAD_REQUEST",
                        "the attributes cannot be read",
                    )
                })?;
                Ok(Done::Lock(key, changed))
            }
            ("DELETE", About::Tag(name, tag)) => {
                at.show(about)?;
                let locked = |key: &str| {
                    let attributes = self.acr.attributes(key);
                    !(attributes.delete && attributes.write)
                };
                if locked(name) || locked(&about.lock()) {
                    return Err(disallowed());
                }
                registry
                    .store
                    .delete_tag(name, tag)
                    .map_err(|_| missing("TAG_UNKNOWN", "tag", tag))?;
                Ok(Done::Reply(empty_reply(StatusCode::ACCEPTED)))
            }
            _ => Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "The operation is unsupported.",
            )
            .header(header::ALLOW, "GET, PATCH")),
        }
    }
}

impl Acrs<'_> {
    /// What a path of the data plane is about, as it is now.
    pub(crate) fn shown(&self, registry: &Registry) -> Outcome {
        let rest = self.call.path.strip_prefix(ROOT).unwrap_or_default();
        let about = About::parse(rest).ok_or_else(page_not_found)?;
        let at = Place {
            acrs: self,
            registry,
        };
        at.show(about)
    }
}

fn missing(code: &'static str, what: &str, name: &str) -> Box<Refusal> {
    Refusal::new(
        StatusCode::NOT_FOUND,
        code,
        format!("{what} {name} is not found"),
    )
    .detail(json!({"name": name}))
}

struct Place<'a> {
    acrs: &'a Acrs<'a>,
    registry: &'a Registry,
}

impl Place<'_> {
    fn show(&self, about: About<'_>) -> Outcome {
        let name = about.repository();
        let login = &self.acrs.acr.login_server;
        let head = |key: &str, value: Value| {
            json_reply(
                StatusCode::OK,
                &json!({"registry": login, "imageName": name, key: value}),
            )
        };
        match about {
            About::Catalog => {
                let (limit, last) = self.page();
                let (mut names, more) = self.registry.store.repositories(&last, limit);
                let end = names.last().cloned();
                names.retain(|name| self.acrs.acr.attributes(name).list);
                let mut reply = json_reply(StatusCode::OK, &json!({"repositories": names}));
                self.link(&mut reply, "_catalog", end.filter(|_| more), limit);
                Ok(reply)
            }
            About::Repository(_) => {
                let all = self.manifests(name)?;
                let tags: usize = all.iter().map(|(_, tags)| tags.len()).sum();
                let mut body = self.dated(&about.lock());
                if let Some(map) = body.as_object_mut() {
                    map.insert("registry".into(), login.as_str().into());
                    map.insert("imageName".into(), name.into());
                    map.insert("manifestCount".into(), all.len().into());
                    map.insert("tagCount".into(), tags.into());
                }
                Ok(json_reply(StatusCode::OK, &body))
            }
            About::Tags(_) => {
                let wanted = param(self.acrs.call.query, "digest");
                let mut tags: Vec<(String, String)> = Vec::new();
                for (manifest, names) in self.manifests(name)? {
                    let digest = manifest.digest.to_string();
                    if wanted.as_ref().is_none_or(|wanted| *wanted == digest) {
                        tags.extend(names.into_iter().map(|tag| (tag, digest.clone())));
                    }
                }
                tags.retain(|(tag, _)| self.acrs.acr.attributes(&format!("{name}:{tag}")).list);
                let (page, end, limit) = self.cut(tags);
                let items: Vec<Value> = page
                    .iter()
                    .map(|(tag, digest)| self.tag(name, tag, digest))
                    .collect();
                let mut reply = head("tags", items.into());
                self.link(&mut reply, &format!("{name}/_tags"), end, limit);
                Ok(reply)
            }
            About::Tag(_, tag) => {
                let all = self.manifests(name)?;
                let found = all
                    .iter()
                    .find(|(_, tags)| tags.iter().any(|known| known == tag));
                let (manifest, _) = found.ok_or_else(|| missing("TAG_UNKNOWN", "tag", tag))?;
                Ok(head(
                    "tag",
                    self.tag(name, tag, &manifest.digest.to_string()),
                ))
            }
            About::Manifests(_) => {
                let all = self.manifests(name)?;
                let listed = all.into_iter().filter_map(|(manifest, tags)| {
                    let digest = manifest.digest.to_string();
                    let seen = self.acrs.acr.attributes(&format!("{name}@{digest}")).list;
                    seen.then_some((digest, (manifest, tags)))
                });
                let (page, end, limit) = self.cut(listed.collect());
                let items: Vec<Value> = page
                    .iter()
                    .map(|(_, (manifest, tags))| self.manifest(name, manifest, tags))
                    .collect();
                let mut reply = head("manifests", items.into());
                self.link(&mut reply, &format!("{name}/_manifests"), end, limit);
                Ok(reply)
            }
            About::Manifest(_, digest) => {
                let all = self.manifests(name)?;
                let found = all
                    .iter()
                    .find(|(manifest, _)| manifest.digest.as_str() == digest);
                let (manifest, tags) =
                    found.ok_or_else(|| missing("MANIFEST_UNKNOWN", "manifest", digest))?;
                Ok(head("manifest", self.manifest(name, manifest, tags)))
            }
        }
    }

    fn manifests(&self, name: &str) -> Result<Vec<Tagged>, Box<Refusal>> {
        self.registry
            .store
            .manifests(name)
            .map_err(|_| missing("NAME_UNKNOWN", "repository", name))
    }

    /// Times and attributes.
    fn dated(&self, lock: &str) -> Value {
        let time = self.acrs.state.start;
        let time = time.strftime("%Y-%m-%dT%H:%M:%S.0000000Z").to_string();
        json!({
            "createdTime": time, "lastUpdateTime": time,
            "changeableAttributes": self.acrs.acr.attributes(lock).to_json(),
        })
    }

    fn tag(&self, name: &str, tag: &str, digest: &str) -> Value {
        let mut body = self.dated(&format!("{name}:{tag}"));
        if let Some(map) = body.as_object_mut() {
            map.insert("name".into(), tag.into());
            map.insert("digest".into(), digest.into());
            map.insert("signed".into(), false.into());
        }
        body
    }

    fn manifest(&self, name: &str, manifest: &Manifest, tags: &[String]) -> Value {
        let read = |content: Content| -> Option<Value> {
            serde_json::from_slice(&content.read(MAX_SMALL).ok()?).ok()
        };
        let store = &self.registry.store;
        let value = store.manifest_content(name, manifest).ok().and_then(read);
        let value = value.unwrap_or_default();
        let parts = value.get("layers").and_then(Value::as_array);
        let size: u64 = parts
            .into_iter()
            .flatten()
            .chain(value.get("config"))
            .filter_map(|part| part.get("size").and_then(Value::as_u64))
            .sum();
        let config = value
            .pointer("/config/digest")
            .and_then(Value::as_str)
            .and_then(|digest| store.blob(name, digest).ok())
            .and_then(read)
            .unwrap_or_default();
        let digest = manifest.digest.to_string();
        let mut body = self.dated(&format!("{name}@{digest}"));
        if let Some(map) = body.as_object_mut() {
            map.insert("digest".into(), digest.into());
            map.insert("imageSize".into(), size.into());
            map.insert("tags".into(), tags.into());
            let media_type = manifest.headers.get(header::CONTENT_TYPE);
            let media_type = media_type.and_then(|value| value.to_str().ok());
            map.insert("mediaType".into(), media_type.into());
            for key in ["architecture", "os"] {
                if let Some(value) = config.get(key) {
                    map.insert(key.into(), value.clone());
                }
            }
        }
        body
    }

    fn page(&self) -> (usize, String) {
        let query = self.acrs.call.query;
        let limit = param(query, "n").and_then(|text| text.parse().ok());
        let limit: usize = limit.unwrap_or(MAX_PAGE);
        (
            limit.clamp(1, MAX_PAGE),
            param(query, "last").unwrap_or_default(),
        )
    }

    /// One page of what has a name, in the order that is asked for; with the name that the next
    /// page begins after.
    fn cut<T>(&self, mut all: Vec<(String, T)>) -> (Vec<(String, T)>, Option<String>, usize) {
        let (limit, last) = self.page();
        let order = param(self.acrs.call.query, "orderby").unwrap_or_default();
        let backwards = order == "timedesc";
        all.sort_by(|(a, _), (b, _)| if backwards { b.cmp(a) } else { a.cmp(b) });
        if !last.is_empty() {
            all.retain(|(name, _)| {
                if backwards {
                    *name < last
                } else {
                    *name > last
                }
            });
        }
        let more = all.len() > limit;
        all.truncate(limit);
        let end = all.last().filter(|_| more).map(|(name, _)| name.clone());
        (all, end, limit)
    }

    fn link(&self, reply: &mut Reply, path: &str, last: Option<String>, limit: usize) {
        let Some(last) = last else {
            return;
        };
        let last = utf8_percent_encode(&last, NON_ALPHANUMERIC);
        let order = param(self.acrs.call.query, "orderby")
            .filter(|order| matches!(order.as_str(), "timedesc" | "timeasc" | "none"))
            .map_or_else(String::new, |order| format!("&orderby={order}"));
        let link = format!("<{ROOT}{path}?last={last}&n={limit}{order}>; rel=\"next\"");
        set(reply, header::LINK, &link);
    }
}

impl super::Azure {
    /// Sets the attributes of something in a registry.
    pub(crate) fn lock(
        &self,
        registry: &str,
        key: String,
        attributes: Attributes,
    ) -> Result<(), AzureError> {
        let mut state = self.write();
        let acr = state.registry_mut(registry)?;
        if attributes == Attributes::default() {
            acr.spec.locks.remove(&key);
        } else {
            acr.spec.locks.insert(key, attributes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let table = [
            ("_catalog", Some(About::Catalog)),
            ("team/web", Some(About::Repository("team/web"))),
            ("team/web/_tags", Some(About::Tags("team/web"))),
            ("team/web/_tags/v1", Some(About::Tag("team/web", "v1"))),
            ("a/_manifests", Some(About::Manifests("a"))),
            (
                "a/_manifests/sha256:0",
                Some(About::Manifest("a", "sha256:0")),
            ),
            ("", None),
            ("_tags/v1", None),
            ("../_tags", None),
        ];
        for (path, want) in table {
            assert_eq!(About::parse(path), want, "for {path}");
        }
    }
}
