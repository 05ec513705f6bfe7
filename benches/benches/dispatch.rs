//! fake-registry without a network: requests over a stream in memory, on one connection.
//!
//! What is timed is the HTTP server, the way of a request through the registry, and the stream.

use std::net::SocketAddr;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fake_registry::{Conn, FakeRegistry, Scheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;

const HOST: &str = "registry.example";

/// An answer must have come by then.
const LIMIT: Duration = Duration::from_secs(30);

fn dispatch(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(1));
    let mut stream = runtime.block_on(async {
        let registry = FakeRegistry::builder()
            .image(HOST, "team/web:v1 linux/amd64 2x64KiB")
            .build()
            .expect("a registry");
        let (near, far) = tokio::io::duplex(256 << 10);
        let conn = Conn {
            peer: SocketAddr::from(([127, 0, 0, 1], 40000)),
            client: "bench".into(),
            scheme: Scheme::Http,
        };
        tokio::spawn(registry.serve(far, conn));
        near
    });
    let cases = [
        ("ping", "GET", "/v2/", 200),
        ("manifest get", "GET", "/v2/team/web/manifests/v1", 200),
        ("manifest head", "HEAD", "/v2/team/web/manifests/v1", 200),
        ("manifest missing", "HEAD", "/v2/team/web/manifests/v2", 404),
    ];
    for (name, method, path, status) in cases {
        let request = format!("{method} {path} HTTP/1.1\r\nhost: {HOST}\r\naccept: */*\r\n\r\n");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                assert_eq!(exchange(&runtime, &mut stream, &request), status, "{name}");
            });
        });
    }
    group.finish();
}

fn exchange(runtime: &Runtime, stream: &mut DuplexStream, request: &str) -> u16 {
    let work = async {
        stream.write_all(request.as_bytes()).await.expect("open");
        let mut seen = Vec::with_capacity(4096);
        loop {
            stream.read_buf(&mut seen).await.expect("open");
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut headers);
            let Ok(httparse::Status::Complete(start)) = head.parse(&seen) else {
                continue;
            };
            let length = head
                .headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
                .unwrap_or(0);
            let body = if request.starts_with("HEAD") {
                0
            } else {
                length
            };
            if seen.len() >= start + body {
                return head.code.expect("complete");
            }
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(LIMIT, work).await })
        .expect("an answer in time")
}

criterion_group!(benches, dispatch);
criterion_main!(benches);
