//! Blobs: whole, in part, and gone.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::range::{self, Wanted};
use super::{Ask, Outcome, blob_missing, commit, refusal, refused_operation};
use crate::message::{Refusal, Reply, empty_reply, set, text_of};
use crate::store::{Content, DOCKER_CONTENT_DIGEST};

pub(super) fn get(ask: &Ask<'_>) -> Outcome {
    let digest = ask.target.reference;
    let blob = ask.registry.store.blob(ask.target.repository, digest);
    let blob = blob.map_err(|failure| refusal(failure, |missing| blob_missing(ask, missing)))?;
    if ask.method == http::Method::GET
        && let Some(location) = ask.registry.redirect(ask.core, ask.target, ask.scheme)
    {
        let mut reply = empty_reply(StatusCode::TEMPORARY_REDIRECT);
        set(&mut reply, header::LOCATION, &location);
        set(&mut reply, DOCKER_CONTENT_DIGEST, digest);
        return Ok(reply);
    }
    Ok(send(ask.headers, digest, blob))
}

/// The answer with a blob's bytes, or the part of them that was asked for.
pub(crate) fn send(request: &HeaderMap, digest: &str, blob: Content) -> Reply {
    let total = blob.len();
    let wanted =
        text_of(request, header::RANGE).map_or(Wanted::All, |text| range::wanted(text, total));
    let mut reply = match wanted {
        Wanted::All => {
            let mut reply = empty_reply(StatusCode::OK);
            length(&mut reply, total);
            *reply.body_mut() = blob.part(0, total);
            reply
        }
        Wanted::Part(first, last) => {
            let mut reply = empty_reply(StatusCode::PARTIAL_CONTENT);
            set(
                &mut reply,
                header::CONTENT_RANGE,
                &format!("bytes {first}-{last}/{total}"),
            );
            length(&mut reply, last - first + 1);
            *reply.body_mut() = blob.part(first, last + 1);
            reply
        }
        Wanted::Unsatisfiable => {
            let refusal = Refusal::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "RANGE_INVALID",
                "the range lies outside of the blob",
            );
            return refusal
                .header(header::CONTENT_RANGE, &format!("bytes */{total}"))
                .into_reply();
        }
    };
    let fixed = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::ACCEPT_RANGES, "bytes"),
        (header::CACHE_CONTROL, "max-age=31536000"),
    ];
    for (name, value) in fixed {
        reply
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    set(&mut reply, DOCKER_CONTENT_DIGEST, digest);
    set(&mut reply, header::ETAG, &format!("\"{digest}\""));
    reply
}

fn length(reply: &mut Reply, bytes: u64) {
    reply.headers_mut().reserve(12);
    reply
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
}

pub(super) async fn delete(ask: &Ask<'_>) -> Outcome {
    if !ask.registry.spec.deletes {
        return Err(refused_operation());
    }
    let repository = ask.target.repository.to_owned();
    let digest = ask.target.reference.to_owned();
    let gone = commit(ask, move |store| store.delete_blob(&repository, &digest)).await;
    gone.map_err(|failure| refusal(failure, |missing| blob_missing(ask, missing)))?;
    let mut reply = empty_reply(StatusCode::ACCEPTED);
    set(&mut reply, header::CONTENT_LENGTH, "0");
    Ok(reply)
}
