//! Clients that are too slow, uploads that never end, and limits that a description sets.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use common::{Answer, Client, HOST, client, parse};
use fake_registry::{Builder, Conn, FakeRegistry, HostSpec, Scheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

fn open(registry: &FakeRegistry) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 << 10);
    let conn = Conn {
        peer: "10.0.0.4:40000".parse().unwrap(),
        client: "node-1".into(),
        scheme: Scheme::Http,
    };
    tokio::spawn(registry.serve(far, conn));
    near
}

fn described(yaml: &str) -> Client {
    client(&Builder::from_yaml(yaml).unwrap().build().unwrap())
}

fn plain() -> FakeRegistry {
    FakeRegistry::builder()
        .host(HostSpec::new(HOST))
        .seed(1)
        .build()
        .unwrap()
}

/// Sends a byte every so often until the other side has had enough; gives how long that took and
/// all that came back.
async fn dribble(stream: DuplexStream, every: Duration) -> (Duration, Vec<u8>) {
    let start = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let write = async {
        while writer.write_all(b"a").await.is_ok() {
            sleep(every).await;
        }
    };
    let mut seen = Vec::new();
    tokio::select! {
        biased;
        read = reader.read_to_end(&mut seen) => { read.unwrap(); }
        () = write => {}
    }
    (start.elapsed(), seen)
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_is_given_up() {
    let registry = plain();
    for first in ["", "GET /v2/ HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut stream = open(&registry);
        stream.write_all(first.as_bytes()).await.unwrap();
        let (took, seen) = dribble(stream, Duration::from_secs(1)).await;
        assert!((30..=36).contains(&took.as_secs()), "{first:?}: {took:?}");
        assert!(seen.is_empty());
    }
    // Between requests as well, and never while one is answered.
    let mut stream = open(&registry);
    let request = format!("GET /v2/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    for _ in 0..5 {
        sleep(Duration::from_secs(25)).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).await.unwrap();
        let mut rest = vec![0; 4096];
        let _ = stream.read(&mut rest).await.unwrap();
        assert!(start.starts_with(b"HTTP/1.1 200"), "{start:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_take_longer_than_a_head() {
    let client =
        described("hosts: [{ name: registry.example }]\nfaults: [{ action: { delay: 10m } }]\n");
    assert_eq!(client.get("/v2/").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_given_up() {
    let registry = plain();
    let place = client(&registry)
        .ask("POST", "/v2/a/blobs/uploads/", b"")
        .await;
    let place = place.header("location").unwrap().to_owned();
    for (method, path) in [("PATCH", place.as_str()), ("PUT", "/v2/a/manifests/v1")] {
        for (every, least, most) in [(59, 120, 125), (600, 60, 61)] {
            let mut stream = open(&registry);
            let head = format!(
                "{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100000\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let (took, seen) = dribble(stream, Duration::from_secs(every)).await;
            let answer = parse(&seen, false);
            assert_eq!(answer.status, 408, "{method} every {every} s");
            assert_eq!(answer.header("connection"), Some("close"));
            assert!(
                (least..=most).contains(&took.as_secs()),
                "{method}: {took:?}"
            );
        }
    }
    // What came of the chunk counts; the session goes on.
    let status = client(&registry).get(&place).await;
    assert_eq!(status.status, 204);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_nobody_comes_back_to_is_gone() {
    let client = described("hosts: [{ name: registry.example, upload-expiry: 10m }]\n");
    let start = |client: Client| async move {
        let answer = client.ask("POST", "/v2/a/blobs/uploads/", b"").await;
        answer.header("location").unwrap().to_owned()
    };
    let (left, used) = (start(client.clone()).await, start(client.clone()).await);
    for _ in 0..3 {
        sleep(Duration::from_mins(6)).await;
        assert_eq!(client.ask("PATCH", &used, b"abc").await.status, 202);
    }
    let gone = client.ask("PATCH", &left, b"abc").await;
    assert_eq!(
        (gone.status, gone.code().as_str()),
        (404, "BLOB_UPLOAD_UNKNOWN")
    );
    assert_eq!(client.get(&used).await.header("range"), Some("0-8"));
}

#[tokio::test(start_paused = true)]
async fn sessions_are_few_and_the_one_that_was_idle_longest_makes_room() {
    let client = client(&plain());
    let mut places = Vec::new();
    for _ in 0..1025 {
        let started = client.ask("POST", "/v2/a/blobs/uploads/", b"").await;
        places.push(started.header("location").unwrap().to_owned());
        sleep(Duration::from_millis(1)).await;
        if places.len() == 2 {
            // The first is no longer the oldest.
            assert_eq!(client.ask("PATCH", &places[0], b"abc").await.status, 202);
            sleep(Duration::from_millis(1)).await;
        }
    }
    let (first, second) = (client.get(&places[0]).await, client.get(&places[1]).await);
    assert_eq!((first.status, second.status), (204, 404));
    assert_eq!(second.code(), "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(client.get(&places[2]).await.status, 204);
    assert_eq!(client.get(&places[1024]).await.status, 204);
}

#[tokio::test]
async fn sizes_are_part_of_a_description() {
    let client =
        described("hosts: [{ name: registry.example, max-blob: 1kB, max-unfinished: 1500 }]\n");
    let digest = common::sha256(&[0; 1001]);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(client.ask("POST", &path, &[0; 1001]).await.status, 413);
    let digest = common::sha256(&[0; 1000]);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    assert_eq!(client.ask("POST", &path, &[0; 1000]).await.status, 201);
}

#[tokio::test]
async fn flavours_are_part_of_a_description() {
    let hub = described(
        "hosts: [{ name: registry.example, flavour: docker-hub, images: ['team/web:v1 1x1KiB'], pull-limit: { anonymous: 1, named: 2, per: 6h } }]\n",
    );
    let challenge = hub.get("/v2/team/web/manifests/v1").await;
    assert_eq!(challenge.status, 401);
    let text = challenge.header("www-authenticate").unwrap();
    assert!(text.contains("service=\"registry.docker.io\""), "{text}");
    let token = async |client: &Client, path: &str| -> String {
        let answer: Answer = client.get(path).await;
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let bearer = token(
        &hub,
        "/token?service=registry.docker.io&scope=repository:team/web:pull",
    )
    .await;
    let first = hub.bearer(&bearer).get("/v2/team/web/manifests/v1").await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-limit"), Some("1;w=21600"));
    let second = hub.bearer(&bearer).get("/v2/team/web/manifests/v1").await;
    assert_eq!(second.status, 429);
    let quay = described("hosts: [{ name: registry.example, flavour: quay }]\n");
    assert_eq!(quay.get("/v2/auth").await.status, 200);
    let google = described("hosts: [{ name: registry.example, flavour: artifact-registry }]\n");
    assert_eq!(google.get("/v2/token").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn quotas_by_name_count_as_registries_do() {
    let client = described(
        "hosts: [{ name: registry.example, images: ['a:v1 1x1KiB'] }]\nfaults:\n  - action: { quota: docker-hub-anonymous }\n",
    );
    for _ in 0..100 {
        assert_eq!(client.get("/v2/a/manifests/v1").await.status, 200);
        assert_eq!(
            client.head("/v2/a/manifests/v1").await.status,
            200,
            "HEAD is free"
        );
    }
    let refused = client.get("/v2/a/manifests/v1").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("retry-after"), Some("21600"));
    let mut elsewhere = client.clone();
    elsewhere.peer = "10.0.0.5:40000".into();
    assert_eq!(elsewhere.get("/v2/a/manifests/v1").await.status, 200);

    let client = described(
        "hosts: [{ name: registry.example, images: ['a:v1 1x1KiB'] }]\nfaults:\n  - action: { quota: acr-basic }\n",
    );
    let referrers = format!("/v2/a/referrers/sha256:{}", "0".repeat(64));
    for _ in 0..500 {
        assert_eq!(client.get(&referrers).await.status, 200);
    }
    assert_eq!(client.get(&referrers).await.status, 429);
    assert_eq!(
        client.get("/v2/a/manifests/v1").await.status,
        200,
        "a bucket of its own"
    );
    sleep(Duration::from_mins(1)).await;
    assert_eq!(client.get(&referrers).await.status, 200);
}

#[tokio::test]
async fn threads_serve_and_end_in_order() {
    let registry = FakeRegistry::builder()
        .image("localhost", "team/web:v1 1x4MiB")
        .build()
        .unwrap();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let threads = NonZeroUsize::new(3).unwrap();
    let server = registry
        .listen_on_threads(at, Scheme::Http, threads)
        .await
        .unwrap();
    let address = server.address();
    let mut streams = Vec::new();
    for _ in 0..7 {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = b"GET /v2/team/web/tags/list HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut seen = vec![0; 4096];
        let count = stream.read(&mut seen).await.unwrap();
        assert!(seen[..count].starts_with(b"HTTP/1.1 200"));
        streams.push(stream);
    }
    assert_eq!(registry.journal().seen(), 7);
    server.shutdown().await;
    for mut stream in streams {
        assert_eq!(
            stream.read(&mut [0; 16]).await.unwrap(),
            0,
            "closed in order"
        );
    }
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    // Dropped, it is gone at once, connections and all.
    let server = registry
        .listen_on_threads(at, Scheme::Http, threads)
        .await
        .unwrap();
    let mut stream = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    stream
        .write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let _ = stream.read(&mut [0; 4096]).await.unwrap();
    drop(server);
    let ended = stream.read(&mut [0; 16]).await;
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}
