//! Uploads: sessions that collect a blob and end in a checked digest.
//!
//! A chunk with `Content-Range` must continue where the last one ended and counts only if it
//! arrives whole; a stream without one is kept as far as it came. Sessions are few, have limits in
//! size, each and together, and end when nobody comes back to them; the one that was idle longest
//! makes room.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderName, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::OwnedMutexGuard;

use super::{Ask, Outcome, commit, created, digest_invalid, range, storage_failed};
use crate::digest::{Algorithm, Digest, Hasher};
use crate::message::{Receiving, Refusal, Reply, empty_reply, param, set, text_of};
use crate::names;
use crate::store::Draft;

const MAX_SESSIONS: usize = 1024;

#[derive(Default)]
pub(crate) struct Uploads {
    slots: Mutex<BTreeMap<String, Slot>>,
    /// Bytes in all drafts.
    held: Arc<AtomicU64>,
}

struct Slot {
    repository: Box<str>,
    touched: Duration,
    session: Arc<tokio::sync::Mutex<Session>>,
}

struct Session {
    data: Draft,
    hasher: Hasher,
    /// A chunk below the announced minimum came, so it must have been the last one.
    ended: bool,
    lease: Lease,
}

/// The part of all unfinished bytes that one upload holds, given back with it.
struct Lease {
    held: Arc<AtomicU64>,
    bytes: u64,
}

impl Lease {
    fn set(&mut self, bytes: u64) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl Uploads {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Slot>) -> T) -> T {
        work(&mut self.slots.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets go of sessions that nobody came back to in time.
    fn expire(&self, ask: &Ask<'_>) {
        let now = ask.core.clock.elapsed();
        let limit = ask.registry.spec.upload_expiry;
        self.with(|slots| {
            // One that a request is at has another owner too.
            slots.retain(|_, slot| {
                now.saturating_sub(slot.touched) < limit || Arc::strong_count(&slot.session) > 1
            });
        });
    }

    fn open(&self, id: String, repository: &str, now: Duration, session: Session) {
        let slot = Slot {
            repository: repository.into(),
            touched: now,
            session: Arc::new(tokio::sync::Mutex::new(session)),
        };
        self.with(|slots| {
            if slots.len() >= MAX_SESSIONS {
                let idle = slots.iter().min_by_key(|(_, slot)| slot.touched);
                if let Some(id) = idle.map(|(id, _)| id.clone()) {
                    slots.remove(&id);
                }
            }
            slots.insert(id, slot);
        });
    }

    /// The session, held until the guard is dropped.
    fn take(&self, ask: &Ask<'_>) -> Result<OwnedMutexGuard<Session>, Box<Refusal>> {
        self.expire(ask);
        let session = self.with(|slots| {
            let slot = slots.get_mut(ask.target.reference)?;
            slot.touched = ask.core.clock.elapsed();
            (slot.repository.as_ref() == ask.target.repository).then(|| slot.session.clone())
        });
        let session = session.ok_or_else(unknown)?;
        session.try_lock_owned().map_err(|_| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "BLOB_UPLOAD_INVALID",
                "the upload is in use by another request",
            )
        })
    }

    fn lease(&self) -> Lease {
        Lease {
            held: self.held.clone(),
            bytes: 0,
        }
    }

    /// Whether so many bytes more may be held, now or after others have made room.
    fn make_room(&self, more: u64, limit: u64) -> bool {
        let fits = || self.held.load(Ordering::Relaxed).saturating_add(more) <= limit;
        while !fits() {
            let gone = self.with(|slots| {
                // Only the map has one that no request is at, and so an idle one holds bytes that
                // come back here and now.
                let idle = slots.iter().filter(|(_, slot)| {
                    let holds = |session: &Session| session.lease.bytes > 0;
                    Arc::strong_count(&slot.session) == 1
                        && slot.session.try_lock().is_ok_and(|session| holds(&session))
                });
                let oldest = idle.min_by_key(|(_, slot)| slot.touched);
                let id = oldest.map(|(id, _)| id.clone())?;
                slots.remove(&id)
            });
            if gone.is_none() {
                return false;
            }
        }
        true
    }

    fn close(&self, id: &str) -> Option<()> {
        self.with(|slots| slots.remove(id)).map(drop)
    }
}

fn unknown() -> Box<Refusal> {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "BLOB_UPLOAD_UNKNOWN",
        "blob upload unknown to registry",
    )
}

pub(super) async fn start(ask: &Ask<'_>, body: Incoming) -> Outcome {
    let repository = ask.target.repository;
    if let Some(mount) = param(ask.query, "mount") {
        let digest = Digest::parse(&mount).ok_or_else(|| digest_invalid(&mount))?;
        let from = param(ask.query, "from").filter(|from| !from.is_empty());
        let readable =
            from.as_deref().is_none_or(names::is_repository) && ask.may_mount(from.as_deref());
        if readable {
            let (name, wanted) = (repository.to_owned(), digest.clone());
            let mounted = commit(ask, move |store| {
                store.mount(&name, &wanted, from.as_deref())
            });
            if mounted.await.map_err(|error| storage_failed(&error))? {
                return Ok(blob_created(repository, &digest));
            }
        }
    }
    let wanted = match param(ask.query, "digest") {
        None => None,
        Some(text) => Some(Digest::parse(&text).ok_or_else(|| digest_invalid(&text))?),
    };
    let algorithm = match (&wanted, param(ask.query, "digest-algorithm")) {
        (Some(digest), _) => digest.algorithm(),
        (None, Some(name)) => Algorithm::parse(&name).ok_or_else(|| digest_invalid(&name))?,
        (None, None) => Algorithm::default(),
    };
    let draft = ask.registry.store.draft();
    let mut session = Session {
        data: draft.map_err(|error| storage_failed(&error))?,
        hasher: Hasher::new(algorithm),
        ended: false,
        lease: ask.registry.uploads.lease(),
    };
    if let Some(digest) = wanted {
        receive(ask, &mut session, body).await?;
        return store(ask, session, digest).await;
    }
    let id = ask.core.random.guid();
    ask.registry.uploads.expire(ask);
    ask.registry
        .uploads
        .open(id.clone(), repository, ask.core.clock.elapsed(), session);
    let mut reply = progress(StatusCode::ACCEPTED, repository, &id, 0);
    if ask.registry.spec.min_chunk > 0 {
        let least = ask.registry.spec.min_chunk.to_string();
        set(&mut reply, CHUNK_MIN_LENGTH, &least);
    }
    Ok(reply)
}

pub(super) async fn status(ask: &Ask<'_>) -> Outcome {
    ask.registry.uploads.expire(ask);
    // A status request may come while a chunk is under way; it waits for it.
    let session = ask.registry.uploads.with(|slots| {
        let slot = slots.get(ask.target.reference)?;
        (slot.repository.as_ref() == ask.target.repository).then(|| slot.session.clone())
    });
    let session = session.ok_or_else(unknown)?;
    let received = session.lock().await.data.len();
    Ok(progress(
        StatusCode::NO_CONTENT,
        ask.target.repository,
        ask.target.reference,
        received,
    ))
}

pub(super) async fn patch(ask: &Ask<'_>, body: Incoming) -> Outcome {
    let mut session = ask.registry.uploads.take(ask)?;
    chunk(ask, &mut session, body).await?;
    let received = session.data.len();
    Ok(progress(
        StatusCode::ACCEPTED,
        ask.target.repository,
        ask.target.reference,
        received,
    ))
}

pub(super) async fn finish(ask: &Ask<'_>, body: Incoming) -> Outcome {
    let text = param(ask.query, "digest").unwrap_or_default();
    let wanted = Digest::parse(&text).ok_or_else(|| digest_invalid(&text))?;
    let mut session = ask.registry.uploads.take(ask)?;
    chunk(ask, &mut session, body).await?;
    let whole = Session {
        data: std::mem::take(&mut session.data),
        hasher: std::mem::replace(&mut session.hasher, Hasher::new(wanted.algorithm())),
        ended: true,
        lease: std::mem::replace(&mut session.lease, ask.registry.uploads.lease()),
    };
    drop(session);
    ask.registry.uploads.close(ask.target.reference);
    store(ask, whole, wanted).await
}

pub(super) fn cancel(ask: &Ask<'_>) -> Outcome {
    // Not while a request is writing to it.
    drop(ask.registry.uploads.take(ask)?);
    ask.registry
        .uploads
        .close(ask.target.reference)
        .ok_or_else(unknown)?;
    Ok(empty_reply(StatusCode::NO_CONTENT))
}

/// Takes one chunk in, or leaves the session as it was.
async fn chunk(ask: &Ask<'_>, session: &mut Session, body: Incoming) -> Result<(), Box<Refusal>> {
    let Some(header) = text_of(ask.headers, header::CONTENT_RANGE) else {
        return receive(ask, session, body).await;
    };
    let (start, end) = range::chunk(header).ok_or_else(|| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "BLOB_UPLOAD_INVALID",
            "invalid content range",
        )
        .detail(json!({"Content-Range": header}))
    })?;
    let before = session.data.len();
    if start != before {
        return Err(out_of_order(ask, before));
    }
    if session.ended {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "SIZE_INVALID",
            "a chunk below the minimum length can only be the last one",
        )
        .detail(json!({"OCI-Chunk-Min-Length": ask.registry.spec.min_chunk})));
    }
    let hasher = session.hasher.clone();
    let outcome = receive(ask, session, body).await;
    let expected = end - start + 1;
    let arrived = session.data.len() - before;
    if outcome.is_ok() && arrived == expected {
        session.ended = arrived < ask.registry.spec.min_chunk;
        return Ok(());
    }
    session
        .data
        .truncate(before)
        .map_err(|error| storage_failed(&error))?;
    session.hasher = hasher;
    session.lease.set(before);
    outcome?;
    Err(Refusal::new(
        StatusCode::BAD_REQUEST,
        "SIZE_INVALID",
        "provided length did not match content length",
    )
    .detail(json!({"expected": expected, "received": arrived})))
}

/// 416 says how far the upload has come.
fn out_of_order(ask: &Ask<'_>, received: u64) -> Box<Refusal> {
    let refusal = Refusal::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "BLOB_UPLOAD_INVALID",
        "the chunk does not continue the upload",
    );
    let location = location(ask.target.repository, ask.target.reference);
    refusal
        .header(header::LOCATION, &location)
        .header(header::RANGE, &format!("0-{}", received.saturating_sub(1)))
        .header(UPLOAD_ID, ask.target.reference)
}

async fn receive(ask: &Ask<'_>, session: &mut Session, body: Incoming) -> Result<(), Box<Refusal>> {
    let mut body = Receiving::new(body);
    loop {
        match body.next().await {
            Ok(None) => return Ok(()),
            Ok(Some(data)) => {
                if session.data.len() + data.len() as u64 > ask.registry.spec.max_blob {
                    return Err(Refusal::new(
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "SIZE_INVALID",
                        "the blob exceeds the limit of this registry",
                    ));
                }
                let spec = &ask.registry.spec;
                let limit = spec
                    .max_unfinished
                    .unwrap_or(spec.max_blob.saturating_mul(2));
                if !ask.registry.uploads.make_room(data.len() as u64, limit) {
                    return Err(Refusal::new(
                        StatusCode::TOO_MANY_REQUESTS,
                        "TOOMANYREQUESTS",
                        "unfinished uploads hold as much as they may",
                    ));
                }
                session.lease.set(session.data.len() + data.len() as u64);
                session
                    .data
                    .append(&data)
                    .map_err(|error| storage_failed(&error))?;
                session.hasher.update(&data);
            }
            Err(error) => {
                return Err(error.refusal_or(|_| {
                    Refusal::new(
                        StatusCode::BAD_REQUEST,
                        "BLOB_UPLOAD_INVALID",
                        "the body ended before its announced length",
                    )
                }));
            }
        }
    }
}

async fn store(ask: &Ask<'_>, session: Session, wanted: Digest) -> Outcome {
    let Session {
        data,
        hasher,
        lease,
        ..
    } = session;
    let found = if hasher.algorithm() == wanted.algorithm() {
        hasher.finish()
    } else {
        data.digest(wanted.algorithm())
            .map_err(|error| storage_failed(&error))?
    };
    if found != wanted {
        return Err(digest_invalid(wanted.as_str()));
    }
    let reply = blob_created(ask.target.repository, &wanted);
    let repository = ask.target.repository.to_owned();
    let stored = commit(ask, move |store| store.put_blob(&repository, wanted, data));
    stored.await.map_err(|error| storage_failed(&error))?;
    drop(lease);
    Ok(reply)
}

fn blob_created(repository: &str, digest: &Digest) -> Reply {
    let mut reply = created(&format!("/v2/{repository}/blobs/{digest}"), digest);
    set(&mut reply, header::CONTENT_LENGTH, "0");
    reply
}

const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

fn location(repository: &str, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

fn progress(status: StatusCode, repository: &str, id: &str, received: u64) -> Reply {
    let mut reply = empty_reply(status);
    set(&mut reply, header::LOCATION, &location(repository, id));
    set(
        &mut reply,
        header::RANGE,
        &format!("0-{}", received.saturating_sub(1)),
    );
    set(&mut reply, UPLOAD_ID, id);
    if status != StatusCode::NO_CONTENT {
        set(&mut reply, header::CONTENT_LENGTH, "0");
    }
    reply
}
