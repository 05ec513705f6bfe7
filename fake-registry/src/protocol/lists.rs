//! Lists: tags, repositories, referrers, page by page.

use http::{HeaderName, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Ask, Outcome, name_unknown};
use crate::digest::Digest;
use crate::image::media;
use crate::message::{Refusal, json_reply, param, set};

/// What may stand in a query value as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Entries of one page where the client does not ask for fewer.
const MAX_PAGE: usize = 10_000;
const MAX_REFERRERS: usize = 1000;

struct Page {
    limit: usize,
    asked: Option<usize>,
    last: String,
}

fn page(ask: &Ask<'_>) -> Result<Page, Box<Refusal>> {
    let asked = match param(ask.query, "n") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "PAGINATION_NUMBER_INVALID",
                "invalid number of results requested",
            )
            .detail(json!({"n": text}))
        })?),
    };
    Ok(Page {
        limit: asked.unwrap_or(MAX_PAGE).min(MAX_PAGE),
        asked,
        last: param(ask.query, "last").unwrap_or_default(),
    })
}

impl Page {
    /// The `Link` to what follows.
    fn link(&self, path: &str, names: &[String], more: bool) -> Option<String> {
        let last = names.last().filter(|_| more)?;
        let last = utf8_percent_encode(last, QUERY);
        let n = self.asked.unwrap_or(self.limit);
        Some(format!("<{path}?last={last}&n={n}>; rel=\"next\""))
    }
}

pub(super) fn tags(ask: &Ask<'_>) -> Outcome {
    let page = page(ask)?;
    let repository = ask.target.repository;
    let found = ask.registry.store.tags(repository, &page.last, page.limit);
    let (tags, more) = found.map_err(|_| name_unknown(ask))?;
    let mut reply = json_reply(StatusCode::OK, &json!({"name": repository, "tags": tags}));
    if let Some(link) = page.link(&format!("/v2/{repository}/tags/list"), &tags, more) {
        set(&mut reply, header::LINK, &link);
    }
    Ok(reply)
}

pub(super) fn catalog(ask: &Ask<'_>) -> Outcome {
    let page = page(ask)?;
    let (names, more) = ask.registry.store.repositories(&page.last, page.limit);
    let mut reply = json_reply(StatusCode::OK, &json!({"repositories": names}));
    if let Some(link) = page.link("/v2/_catalog", &names, more) {
        set(&mut reply, header::LINK, &link);
    }
    Ok(reply)
}

/// Never 404 while the API is on: a repository or digest that is not there has no referrers.
pub(super) fn referrers(ask: &Ask<'_>) -> Outcome {
    if !ask.registry.spec.referrers {
        return Err(super::page_not_found());
    }
    let Some(digest) = Digest::parse(ask.target.reference) else {
        return Err(super::digest_invalid(ask.target.reference));
    };
    let mut found = ask.registry.store.referrers(ask.target.repository, &digest);
    let filter = param(ask.query, "artifactType");
    if let Some(wanted) = &filter {
        found.retain(|item| item.get("artifactType").and_then(Value::as_str) == Some(wanted));
    }
    let last = param(ask.query, "last").unwrap_or_default();
    let limit = page(ask)?.limit.min(MAX_REFERRERS);
    let digest_text = |item: &Value| {
        item.get("digest")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    found.retain(|item| digest_text(item) > last);
    let more = limit > 0 && found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|item| {
        let typed = filter.as_ref().map_or_else(String::new, |wanted| {
            format!("&artifactType={}", utf8_percent_encode(wanted, QUERY))
        });
        let last = digest_text(item);
        let last = utf8_percent_encode(&last, QUERY);
        let repository = ask.target.repository;
        format!("</v2/{repository}/referrers/{digest}?last={last}&n={limit}{typed}>; rel=\"next\"")
    });
    let index = json!({"schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": found});
    let mut reply = json_reply(StatusCode::OK, &index);
    set(&mut reply, header::CONTENT_TYPE, media::OCI_INDEX);
    if filter.is_some() {
        set(
            &mut reply,
            HeaderName::from_static("oci-filters-applied"),
            "artifactType",
        );
    }
    if let Some(next) = next {
        set(&mut reply, header::LINK, &next);
    }
    Ok(reply)
}
