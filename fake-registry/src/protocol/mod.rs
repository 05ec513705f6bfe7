//! OCI distribution 1.1 as a server speaks it: routes in, wire text out.
//!
//! Requests come in with their target already parsed and the caller already authorised; what
//! goes out are the exact headers and error bodies of the specification. Paths are matched by
//! hand, since they stand on the way of every request.

mod blobs;
mod lists;
mod manifests;
pub(crate) mod range;
pub(crate) mod route;
mod uploads;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;

use crate::auth::{Caller, Scope};
use crate::core::Core;
use crate::digest::Digest;
use crate::host::Registry;
use crate::message::{Refusal, Reply, empty_reply, json_reply, set};
use crate::names;
use crate::store::{Failure, Missing, Store};
pub(crate) use blobs::send as send_blob;
pub use route::Route;
pub(crate) use route::Target;
pub(crate) use uploads::Uploads;

/// The largest manifest that is taken.
pub(crate) const MAX_MANIFEST: usize = 4 << 20;

pub(crate) type Outcome = Result<Reply, Box<Refusal>>;

/// A request to the distribution API.
pub(crate) struct Ask<'a> {
    pub(crate) core: &'a Core,
    pub(crate) registry: &'a Registry,
    pub(crate) caller: &'a Caller,
    pub(crate) target: Target<'a>,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) if_none_match: Option<&'a HeaderValue>,
    pub(crate) query: &'a str,
    /// `http` or `https`, for absolute addresses.
    pub(crate) scheme: &'static str,
}

impl Ask<'_> {
    /// Whether the caller may read the repository that a blob is mounted from. To mount without
    /// saying from where is to ask for every repository.
    fn may_mount(&self, from: Option<&str>) -> bool {
        self.caller
            .rights
            .covers(&Scope::repository(from.unwrap_or("*"), &["pull"]))
    }
}

/// What is wrong with a target before anybody asks who the caller is.
pub(crate) fn check(target: Target<'_>) -> Result<(), Box<Refusal>> {
    let Target {
        route,
        repository,
        reference,
    } = target;
    if matches!(route, Route::Ping | Route::Catalog | Route::Other) {
        return Ok(());
    }
    if !names::is_repository(repository) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "NAME_INVALID",
            "invalid repository name",
        )
        .detail(json!({"name": repository})));
    }
    let digest_wanted = matches!(route, Route::Blob | Route::Referrers)
        || (route == Route::Manifest && reference.contains(':'));
    if digest_wanted && !Digest::is_one(reference) {
        return Err(digest_invalid(reference));
    }
    Ok(())
}

/// What GET and HEAD are answered, the status of an upload aside.
pub(crate) fn read(ask: &Ask<'_>) -> Outcome {
    match ask.target.route {
        Route::Ping => Ok(ping()),
        Route::Catalog if *ask.method == Method::GET => lists::catalog(ask),
        Route::Tags => lists::tags(ask),
        Route::Referrers => lists::referrers(ask),
        Route::Manifest => manifests::get(ask),
        Route::Blob => blobs::get(ask),
        Route::Other => Err(page_not_found()),
        route => Err(unsupported(route)),
    }
}

/// What waits: for a body, a disk, or another request of an upload.
pub(crate) async fn answer(ask: &Ask<'_>, body: Incoming) -> Outcome {
    let method = ask.method.as_str();
    match (ask.target.route, method) {
        (Route::Manifest, "PUT") => manifests::put(ask, body).await,
        (Route::Manifest, "DELETE") => manifests::delete(ask).await,
        (Route::Blob, "DELETE") => blobs::delete(ask).await,
        (Route::UploadStart, "POST") => uploads::start(ask, body).await,
        (Route::Upload, "GET" | "HEAD") => uploads::status(ask).await,
        (Route::Upload, "PATCH") => uploads::patch(ask, body).await,
        (Route::Upload, "PUT") => uploads::finish(ask, body).await,
        (Route::Upload, "DELETE") => uploads::cancel(ask),
        (Route::Other, _) => Err(page_not_found()),
        (route, _) => Err(unsupported(route)),
    }
}

/// Changes the store; where that waits for a disk, on a thread that may wait.
async fn commit<T: Send + 'static>(
    ask: &Ask<'_>,
    work: impl FnOnce(&Store) -> T + Send + 'static,
) -> T {
    let store = &ask.registry.store;
    if !store.waits() {
        return work(store);
    }
    let store = store.clone();
    match tokio::task::spawn_blocking(move || work(&store)).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and this request with it.
            Err(_) => std::future::pending().await,
        },
    }
}

fn refusal(failure: Failure, missing: impl FnOnce(Missing) -> Box<Refusal>) -> Box<Refusal> {
    match failure {
        Failure::Missing(what) => missing(what),
        Failure::Io(error) => storage_failed(&error),
    }
}

fn storage_failed(error: &std::io::Error) -> Box<Refusal> {
    tracing::error!(%error, "the store cannot be used");
    Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "UNKNOWN",
        "the store of this registry cannot be used",
    )
}

fn ping() -> Reply {
    json_reply(StatusCode::OK, &json!({}))
}

pub(crate) fn page_not_found() -> Box<Refusal> {
    Refusal::new(StatusCode::NOT_FOUND, "NOT_FOUND", "404 page not found")
}

fn unsupported(route: Route) -> Box<Refusal> {
    let allow = match route {
        Route::Manifest => "DELETE, GET, HEAD, PUT",
        Route::Blob => "DELETE, GET, HEAD",
        Route::UploadStart => "POST",
        Route::Upload => "DELETE, GET, HEAD, PATCH, PUT",
        Route::Catalog => "GET",
        _ => "GET, HEAD",
    };
    refused_operation().header(header::ALLOW, allow)
}

fn refused_operation() -> Box<Refusal> {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED",
        "The operation is unsupported.",
    )
}

fn digest_invalid(digest: &str) -> Box<Refusal> {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "DIGEST_INVALID",
        "provided digest did not match uploaded content",
    )
    .detail(json!({"digest": digest}))
}

fn name_unknown(ask: &Ask<'_>) -> Box<Refusal> {
    let name = ask.target.repository;
    let message = if ask.registry.is_acr() {
        format!("repository \"{name}\" is not found")
    } else {
        "repository name not known to registry".to_owned()
    };
    Refusal::new(StatusCode::NOT_FOUND, "NAME_UNKNOWN", message).detail(json!({"name": name}))
}

fn blob_missing(ask: &Ask<'_>, missing: Missing) -> Box<Refusal> {
    match missing {
        Missing::Repository => name_unknown(ask),
        Missing::Content => Refusal::new(
            StatusCode::NOT_FOUND,
            "BLOB_UNKNOWN",
            "blob unknown to registry",
        )
        .detail(json!({"digest": ask.target.reference})),
    }
}

/// 201 with the place where content is to be found and the digest it has.
fn created(location: &str, digest: &Digest) -> Reply {
    let mut reply = empty_reply(StatusCode::CREATED);
    set(&mut reply, header::LOCATION, location);
    set(
        &mut reply,
        crate::store::DOCKER_CONTENT_DIGEST,
        digest.as_str(),
    );
    reply
}
