//! Any text, as method, path and query of a request to the embedded API server: a status, never a panic.
#![no_main]

use axum::body::Body;
use libfuzzer_sys::fuzz_target;
use sim_cluster::cluster::Cluster;
use tower::ServiceExt as _;

fuzz_target!(|text: &str| {
    let (method, rest) = text.split_once(' ').unwrap_or(("GET", text));
    let (target, body) = rest.split_once('\n').unwrap_or((rest, ""));
    let request = http::Request::builder()
        .method(method)
        .uri(target)
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()));
    let Ok(request) = request else { return };
    // A watch has no end: it is only begun.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let cluster = Cluster::builder().seed(1).build();
        let answer = cluster.service().oneshot(request).await.expect("an answer");
        assert_ne!(answer.status(), http::StatusCode::INTERNAL_SERVER_ERROR);
    });
});
