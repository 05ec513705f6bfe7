//! From a tag or digest to the manifest of one platform.
//!
//! HEAD first, as containerd resolves; where a HEAD refuses, a GET for the body that a HEAD cannot have; where
//! the target is not found, the list of tags, which tells a missing tag from a missing repository. Then GET by
//! digest, the choice of a platform, and GET of the chosen manifest.

use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use serde_json::Value;

use super::Habits;
use super::attempt::Way;
use super::ping::challenge;
use super::platform;
use super::session::{Ask, Authorization, Reply, Session, Step, Stop};
use crate::evidence::{ManifestKind, ManifestSeen, Method, Platform, Role, Seen};
use crate::reference::{Digest, Target};
use crate::stage::Stage;
use crate::wire::challenge::Challenge;
use crate::wire::http::{Answer, Keep, MAX_MANIFEST};
use crate::wire::manifest::{Descriptor, Manifest, kind_of, media_type};
use crate::wire::{Excerpt, page, refusal};

const MAX_TAG_PAGES: usize = 10;
const MAX_TAGS: usize = 10_000;
const TAGS_A_PAGE: usize = 1000;
const NEAREST: usize = 5;
/// An index may hold an index; no real one goes deeper.
const MAX_DEPTH: usize = 3;

/// What a platform's manifest names.
pub(super) struct Image {
    pub(super) kind: ManifestKind,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    /// How many manifests were read on the way.
    pub(super) manifests: u32,
}

/// What a HEAD told.
struct Found {
    digest: Option<Digest>,
    media_type: String,
}

impl Session<'_> {
    /// Finds the manifest, authorises on the way if the registry wants it. A mere comparison reads none.
    pub(super) async fn manifest(
        &mut self,
        way: &Way<'_>,
        known: &mut Option<Challenge>,
    ) -> Step<Option<Image>> {
        let target = self.reference.target();
        if let Some(challenge) = known.as_ref() {
            self.authorization = self.authorise(challenge, way.credential).await?;
        }
        // CRI-O never sends a HEAD.
        let method = match self.options.habits {
            Habits::CriO => Method::Get,
            Habits::Containerd | Habits::Docker => Method::Head,
        };
        let mut reply = self.ask_name(method, &target).await?;
        if reply.answer.status == StatusCode::UNAUTHORIZED
            && known.is_none()
            && self.takes_late_challenge(&reply.answer)
        {
            let wanted = self.read_challenge(&reply.answer)?;
            self.authorization = self.authorise(&wanted, way.credential).await?;
            *known = Some(wanted);
            reply = self.ask_name(method, &target).await?;
        }
        let found = match method {
            Method::Get => self.got(reply, &target).await?,
            _ => self.resolved(reply, &target).await?,
        };
        if !way.part_of_pull {
            return Ok(None);
        }
        self.descend(found, target).await.map(Some)
    }

    async fn ask_name(&mut self, method: Method, target: &Target) -> Step<Reply> {
        let accept = self.options.habits.accept();
        self.ask_manifest(method, target, &accept).await
    }

    /// containerd answers any challenge; docker only that of `/v2/`; CRI-O that one, and a scope that is missing.
    fn takes_late_challenge(&self, answer: &Answer) -> bool {
        match self.options.habits {
            Habits::Containerd => true,
            Habits::Docker => false,
            Habits::CriO => challenge(answer)
                .is_some_and(|challenge| challenge.get("error") == Some("insufficient_scope")),
        }
    }

    /// Judges the answer to a GET of the name, for runtimes that send no HEAD.
    async fn got(&mut self, mut reply: Reply, target: &Target) -> Step<Found> {
        loop {
            match reply.answer.status.as_u16() {
                200 => {
                    return Ok(Found {
                        digest: None,
                        media_type: String::new(),
                    });
                }
                401 => return Err(self.unauthorised(target, &reply).await?),
                _ => {}
            }
            let stop = self.refused(Method::Get, target, &reply).await;
            if !self.wait_for(&reply.answer, Stage::Manifest).await {
                return Err(stop);
            }
            reply = self.ask_name(Method::Get, target).await?;
        }
    }

    fn read_challenge(&mut self, answer: &Answer) -> Step<Challenge> {
        if let Some(challenge) = challenge(answer) {
            self.note_challenge(&challenge);
            return Ok(challenge);
        }
        let lines = answer.headers.get_all(http::header::WWW_AUTHENTICATE);
        let line = lines
            .iter()
            .next()
            .map(|line| Excerpt::from_bytes(line.as_bytes()));
        let text = line.unwrap_or_else(|| Excerpt::new("401 without WWW-Authenticate"));
        self.note(
            Stage::Auth,
            std::time::Duration::ZERO,
            Seen::ChallengeUnusable { text },
        );
        Err(Stop(Stage::Auth))
    }

    /// Judges the answer to the first HEAD; waits and asks again where the registry is busy.
    async fn resolved(&mut self, mut reply: Reply, target: &Target) -> Step<Found> {
        loop {
            match reply.answer.status.as_u16() {
                200 => return Ok(self.note_found(Method::Head, target, &reply)),
                // HEAD is not known there, or sends on: containerd asks by GET.
                405 | 301..=308 => {
                    let get = self.ask_name(Method::Get, target).await?;
                    return match get.answer.status.as_u16() {
                        200 => Ok(Found {
                            digest: None,
                            media_type: String::new(),
                        }),
                        _ => Err(self.refused(Method::Get, target, &get).await),
                    };
                }
                401 => return Err(self.unauthorised(target, &reply).await?),
                _ => {}
            }
            self.note_refused(Method::Head, target, &reply);
            let get = self.ask_name(Method::Get, target).await?;
            if get.answer.status == StatusCode::OK {
                return Ok(Found {
                    digest: None,
                    media_type: String::new(),
                });
            }
            let stop = self.refused(Method::Get, target, &get).await;
            if !self.wait_for(&get.answer, Stage::Manifest).await {
                return Err(stop);
            }
            reply = self.ask_name(Method::Head, target).await?;
        }
    }

    /// The registry does not take what the token service gave.
    async fn unauthorised(&mut self, target: &Target, head: &Reply) -> Step<Stop> {
        let get = self.ask_name(Method::Get, target).await?;
        let error = challenge(&head.answer).and_then(|challenge| challenge.excerpt("error"));
        let answer = if get.answer.status == StatusCode::UNAUTHORIZED {
            &get.answer
        } else {
            &head.answer
        };
        let refusal = self.refusal(answer);
        self.note(
            Stage::Auth,
            head.took,
            Seen::AuthorizationRefused { refusal, error },
        );
        Ok(Stop(Stage::Auth))
    }

    async fn refused(&mut self, method: Method, target: &Target, reply: &Reply) -> Stop {
        self.note_refused(method, target, reply);
        // A mirror need not list tags: the registry behind it can.
        if reply.answer.status == StatusCode::NOT_FOUND && self.role == Role::Registry {
            self.tags(target).await;
        }
        Stop(Stage::Manifest)
    }

    fn note_refused(&mut self, method: Method, target: &Target, reply: &Reply) {
        let refusal = self.refusal(&reply.answer);
        self.note(
            Stage::Manifest,
            reply.took,
            Seen::ManifestRefused {
                method,
                target: target.clone(),
                refusal,
            },
        );
    }

    fn note_found(&mut self, method: Method, target: &Target, reply: &Reply) -> Found {
        let headers = &reply.answer.headers;
        let media_type = media_type(refusal::text(headers, &CONTENT_TYPE));
        let digest: Option<Digest> =
            refusal::text(headers, &HeaderName::from_static("docker-content-digest"))
                .and_then(|text| text.parse().ok());
        let seen = Seen::ManifestFound(ManifestSeen {
            method,
            target: target.clone(),
            digest: digest.clone(),
            media_type: Excerpt::new(&media_type),
            size: refusal::text(headers, &CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            kind: kind_of(&media_type),
            rate_limit: refusal::rate_limit(headers),
        });
        self.note(Stage::Manifest, reply.took, seen);
        Found { digest, media_type }
    }

    async fn descend(&mut self, found: Found, target: Target) -> Step<Image> {
        let habits = self.options.habits;
        let mut accept = if found.media_type.is_empty() {
            habits.accept()
        } else {
            habits.accept_of(&found.media_type)
        };
        // Without a digest from the HEAD, containerd asks for the same name again and hashes what comes.
        let mut next = found.digest.map_or(target, Target::Digest);
        for manifests in 1..=MAX_DEPTH as u32 {
            match self.get_manifest(&next, &accept).await? {
                Manifest::Image {
                    kind,
                    config,
                    layers,
                } => {
                    return Ok(Image {
                        kind,
                        config,
                        layers,
                        manifests,
                    });
                }
                Manifest::Schema1 => {
                    return Err(self.unusable(
                        &next,
                        "",
                        "schema 1, which runtimes no longer take",
                    ));
                }
                Manifest::Index(entries) => {
                    let wanted = self.options.platform.clone();
                    let Some(entry) = platform::choose(&entries, &wanted) else {
                        let mut available: Vec<Platform> = entries
                            .into_iter()
                            .filter_map(|entry| entry.platform)
                            .collect();
                        available.truncate(64);
                        self.note(
                            Stage::Platform,
                            std::time::Duration::ZERO,
                            Seen::PlatformMissing { wanted, available },
                        );
                        return Err(Stop(Stage::Platform));
                    };
                    let digest = entry.descriptor.digest.clone();
                    let seen = Seen::PlatformChosen {
                        wanted,
                        digest: digest.clone(),
                        platform: entry.platform.clone(),
                    };
                    self.note(Stage::Platform, std::time::Duration::ZERO, seen);
                    accept = habits.accept_of(entry.descriptor.media_type.as_str());
                    next = Target::Digest(digest);
                }
            }
        }
        Err(self.unusable(
            &next,
            "",
            "indexes within indexes, deeper than any real one",
        ))
    }

    /// GET of one manifest, verified against the digest it was asked by.
    async fn get_manifest(&mut self, target: &Target, accept: &[String]) -> Step<Manifest> {
        let reply = loop {
            let reply = self.ask_manifest(Method::Get, target, accept).await?;
            if reply.answer.status == StatusCode::OK {
                break reply;
            }
            // The name was found a moment ago: no list of tags can explain more.
            self.note_refused(Method::Get, target, &reply);
            if !self.wait_for(&reply.answer, Stage::Manifest).await {
                return Err(Stop(Stage::Manifest));
            }
        };
        let body = &reply.answer.body;
        let served = media_type(refusal::text(&reply.answer.headers, &CONTENT_TYPE));
        let announced = refusal::text(
            &reply.answer.headers,
            &HeaderName::from_static("docker-content-digest"),
        );
        let expected = match target {
            Target::Digest(digest) => Some(digest.clone()),
            Target::Tag(_) => announced.and_then(|text| text.parse().ok()),
        };
        let algorithm = expected
            .as_ref()
            .map_or(crate::reference::Algorithm::Sha256, Digest::algorithm);
        let digest = Digest::compute(algorithm, body);
        let manifest = match Manifest::read(&served, body) {
            Ok(manifest) => manifest,
            Err(error) => return Err(self.unusable(target, &served, &error.to_string())),
        };
        let seen = Seen::ManifestFound(ManifestSeen {
            method: Method::Get,
            target: target.clone(),
            digest: Some(digest.clone()),
            media_type: Excerpt::new(&served),
            size: Some(body.len() as u64),
            kind: manifest.kind(),
            rate_limit: refusal::rate_limit(&reply.answer.headers),
        });
        self.note(Stage::Manifest, reply.took, seen);
        match expected {
            Some(expected) if expected != digest => {
                self.note(
                    Stage::Manifest,
                    std::time::Duration::ZERO,
                    Seen::DigestMismatch {
                        expected,
                        got: digest,
                    },
                );
                Err(Stop(Stage::Manifest))
            }
            _ => Ok(manifest),
        }
    }

    fn unusable(&mut self, target: &Target, media_type: &str, text: &str) -> Stop {
        let seen = Seen::ManifestUnusable {
            target: target.clone(),
            media_type: Excerpt::new(media_type),
            text: Excerpt::new(text),
        };
        self.note(Stage::Manifest, std::time::Duration::ZERO, seen);
        Stop(Stage::Manifest)
    }

    async fn ask_manifest(
        &mut self,
        method: Method,
        target: &Target,
        accept: &[String],
    ) -> Step<Reply> {
        let path = format!("/v2/{}/manifests/{target}", self.reference.repository());
        let keep = if method == Method::Head {
            Keep::First(0)
        } else {
            Keep::Whole(MAX_MANIFEST)
        };
        self.ask(Ask {
            stage: Stage::Manifest,
            method,
            target: path,
            accept,
            range: None,
            keep,
        })
        .await
    }

    /// Reads the repository's tags, to tell a missing tag from a missing repository.
    async fn tags(&mut self, target: &Target) {
        let mut page = format!(
            "/v2/{}/tags/list?n={TAGS_A_PAGE}",
            self.reference.repository()
        );
        let mut tags: Vec<String> = Vec::new();
        let mut complete = false;
        let mut took = std::time::Duration::ZERO;
        for _ in 0..MAX_TAG_PAGES {
            let ask = Ask {
                stage: Stage::Manifest,
                method: Method::Get,
                target: page.clone(),
                accept: &["application/json".to_owned()],
                range: None,
                keep: Keep::Whole(MAX_MANIFEST),
            };
            let Ok(reply) = self.ask(ask).await else {
                return;
            };
            took += reply.took;
            let Some(names) = tag_names(&reply.answer) else {
                let refusal = self.refusal(&reply.answer);
                self.note(Stage::Manifest, reply.took, Seen::TagsRefused { refusal });
                return;
            };
            let fresh = names.len();
            tags.extend(names.into_iter().take(MAX_TAGS.saturating_sub(tags.len())));
            let next = page::next_page(&reply.answer.headers).and_then(|next| reply.url.join(next));
            match next.filter(|next| next.same_origin(self.base())) {
                // A page that gives nothing new would go on for ever.
                Some(next) if fresh > 0 && next.target() != page && tags.len() < MAX_TAGS => {
                    next.target().clone_into(&mut page);
                }
                Some(_) => break,
                None => {
                    complete = true;
                    break;
                }
            }
        }
        let (listed, nearest) = match target {
            Target::Tag(wanted) => (
                tags.iter().any(|tag| **tag == **wanted),
                nearest(&tags, wanted),
            ),
            Target::Digest(_) => (false, Vec::new()),
        };
        self.note(
            Stage::Manifest,
            took,
            Seen::Tags {
                count: tags.len(),
                complete,
                listed,
                nearest,
            },
        );
    }

    /// An attempt carries nothing of the one before it.
    pub(super) fn forget_authorization(&mut self) {
        self.authorization = Authorization::None;
    }
}

/// The tags of one page; `None` if the answer is no page.
fn tag_names(answer: &Answer) -> Option<Vec<String>> {
    if answer.status != StatusCode::OK {
        return None;
    }
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    match value.get("tags")? {
        Value::Null => Some(Vec::new()),
        Value::Array(tags) => Some(
            tags.iter()
                .filter_map(Value::as_str)
                .filter(|tag| tag.len() <= crate::reference::MAX_TAG)
                .map(str::to_owned)
                .collect(),
        ),
        _ => None,
    }
}

/// The tags that look most like the wanted one.
fn nearest(tags: &[String], wanted: &str) -> Vec<Box<str>> {
    let mut ranked: Vec<(usize, &String)> = tags
        .iter()
        .filter(|tag| **tag != *wanted)
        .map(|tag| (strsim::damerau_levenshtein(tag, wanted), tag))
        .collect();
    ranked.sort();
    ranked.dedup();
    ranked
        .into_iter()
        .take(NEAREST)
        .map(|(_, tag)| Excerpt::new(tag).as_str().into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_tag_comes_first() {
        let tags: Vec<String> = ["v1", "v10", "v2", "latest", "v11"]
            .iter()
            .map(|&tag| tag.to_owned())
            .collect();
        assert_eq!(
            nearest(&tags, "v11")
                .iter()
                .map(|tag| &**tag)
                .collect::<Vec<_>>(),
            ["v1", "v10", "v2", "latest"]
        );
    }
}
