//! Real sockets on one runtime, a paused clock on another, and what passes between them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams, WatchEvent, WatchParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::cluster::Cluster;
use crate::net::{Network, Rule, Verdict};

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Starts a simulation with a server at `web.example:80` on a thread of its own; it ends with the test.
fn simulate(speed: Speed, api: Arrivals, proxy: Arrivals, identity: Identity) {
    std::thread::spawn(move || {
        runtime().unwrap().block_on(async move {
            let network = Network::new();
            let cluster = Cluster::builder().network(network.clone()).build();
            let here = network.add_host("workstation", &[address("10.0.0.1")]);
            let web = network.add_host("web.example", &[address("10.0.0.2")]);
            network.add_host("closed.example", &[address("10.0.0.3")]);
            web.listen(80, Arc::new(|stream, _| drop(tokio::spawn(greet(stream)))));
            here.add_rule(Rule {
                to: vec![address("10.0.0.2")],
                port: Some(81),
                verdict: Verdict::Drop,
            });
            tokio::spawn(ApiFront::new(&cluster, &identity).serve(api));
            tokio::spawn(Gateway::new(here, cluster.failures().clone()).serve(proxy));
            let writer = cluster.clone();
            tokio::spawn(async move {
                for number in 0_u32.. {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    let object = json!({ "metadata": { "name": format!("tick-{number}") } });
                    let options = crate::api::WriteOptions::default();
                    let kind = crate::store::Kind::ConfigMap;
                    writer
                        .api()
                        .create(kind, "default", object, options)
                        .unwrap();
                }
            });
            pace(speed).await;
        });
    });
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Answers one request with its own head.
async fn greet(mut stream: crate::net::Stream) {
    let mut head = vec![0; 4096];
    let length = stream.read(&mut head).await.unwrap_or(0);
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.write_all(&head[..length]).await;
    let _ = stream.shutdown().await;
}

/// Serves the simulation on loopback: the API's address, the proxy's, and the identity.
async fn start(speed: Speed) -> TestResult<(SocketAddr, SocketAddr, Identity)> {
    let identity = Identity::generate()?;
    let (api_door, api) = door();
    let (proxy_door, proxy) = door();
    let listeners = [
        TcpListener::bind("127.0.0.1:0").await?,
        TcpListener::bind("127.0.0.1:0").await?,
    ];
    let [at, proxy_at] = [listeners[0].local_addr()?, listeners[1].local_addr()?];
    let [listener, proxy_listener] = listeners;
    tokio::spawn(carry(listener, api_door));
    tokio::spawn(carry(proxy_listener, proxy_door));
    simulate(speed, api, proxy, identity.clone());
    Ok((at, proxy_at, identity))
}

async fn client(kubeconfig: &str) -> TestResult<kube::Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Kubeconfig::from_yaml(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

#[tokio::test]
async fn a_client_watches_over_tls_while_time_runs_fast() -> TestResult {
    let (at, _, identity) = start("100x".parse()?).await?;
    let kubeconfig = identity.kubeconfig("lab", at);
    let api: Api<ConfigMap> = Api::default_namespaced(client(&kubeconfig).await?);
    let made = api
        .create(
            &PostParams::default(),
            &serde_json::from_value(json!({ "metadata": { "name": "mine" } }))?,
        )
        .await?;
    let version = made.metadata.resource_version.unwrap_or_default();
    let mut watch = Box::pin(api.watch(&WatchParams::default(), &version).await?);
    let mut names = Vec::new();
    // Three ticks of ten virtual seconds; in wall time a third of a second.
    while names.len() < 3 {
        use futures::TryStreamExt as _;
        let event = tokio::time::timeout(Duration::from_secs(20), watch.try_next()).await??;
        match event.ok_or("the watch ended")? {
            WatchEvent::Added(object) => names.push(object.metadata.name.unwrap_or_default()),
            other => return Err(format!("{other:?}").into()),
        }
    }
    assert!(
        names.iter().all(|name| name.starts_with("tick-")),
        "{names:?}"
    );

    let stranger = kubeconfig.replace(identity.token(), "wrong");
    let api: Api<ConfigMap> = Api::default_namespaced(client(&stranger).await?);
    let error = api.get("mine").await.unwrap_err();
    assert!(error.to_string().contains("Unauthorized"), "{error}");
    let untrusted = Identity::generate()?.kubeconfig("lab", at);
    let api: Api<ConfigMap> = Api::default_namespaced(client(&untrusted).await?);
    assert!(api.get("mine").await.is_err());
    Ok(())
}

async fn ask(proxy: SocketAddr, request: &str) -> TestResult<String> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

#[tokio::test]
async fn the_gateway_reaches_what_its_place_reaches_and_nothing_else() -> TestResult {
    let (at, proxy, _) = start("1000x".parse()?).await?;
    let table = [
        (
            "CONNECT web.example:80 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "200",
        ),
        (
            "GET http://web.example/a?b HTTP/1.1\r\nHost: x\r\nProxy-Connection: x\r\n\r\n".into(),
            "200",
        ),
        ("CONNECT none.example:443 HTTP/1.1\r\n\r\n".into(), "502"),
        ("CONNECT closed.example:443 HTTP/1.1\r\n\r\n".into(), "502"),
        ("CONNECT web.example:81 HTTP/1.1\r\n\r\n".into(), "504"),
        (format!("CONNECT {at} HTTP/1.1\r\n\r\n"), "502"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(), "400"),
        (
            "GET https://web.example/ HTTP/1.1\r\nHost: x\r\n\r\n".into(),
            "400",
        ),
        ("nonsense\r\n\r\n".into(), "400"),
    ];
    for (request, want) in table {
        let answer = ask(proxy, &request).await?;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {want}")),
            "{request}{answer}"
        );
    }
    let mut stream = TcpStream::connect(proxy).await?;
    stream
        .write_all(b"CONNECT web.example:80 HTTP/1.1\r\n\r\nGET /x HTTP/1.1\r\n\r\n")
        .await?;
    let mut all = String::new();
    stream.read_to_string(&mut all).await?;
    assert!(all.ends_with("GET /x HTTP/1.1\r\n\r\n"), "{all}");
    Ok(())
}

#[test]
fn held_time_follows_wall_time_and_skips_no_timer() {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        runtime().unwrap().block_on(async move {
            tokio::spawn(pace(Speed::REAL));
            let start = tokio::time::Instant::now();
            for step in 1..=20_u64 {
                tokio::time::sleep_until(start + Duration::from_millis(10 * step)).await;
                sender.send(start.elapsed()).unwrap();
            }
        });
    });
    let seen: Vec<Duration> = receiver.iter().collect();
    let exact: Vec<Duration> = (1..=20)
        .map(|step| Duration::from_millis(10 * step))
        .collect();
    assert_eq!(
        seen, exact,
        "each at its own moment, however coarse the ticks"
    );
}

#[test]
fn speeds() {
    for (text, want) in [("10x", Some(10.0)), ("0.5", Some(0.5)), ("1X", Some(1.0))] {
        assert_eq!(
            text.parse::<Speed>().ok().map(Speed::factor),
            want,
            "{text}"
        );
    }
    for text in ["", "x", "0", "-1x", "1e9", "NaN", "fast"] {
        assert!(text.parse::<Speed>().is_err(), "{text}");
    }
}
