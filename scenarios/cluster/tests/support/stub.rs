//! The registries and the misbehaving stub that the recordings were taken against, rebuilt: each
//! repository of the stub fails in its own way.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use sim_cluster::net::{Record, Rule, Stream, Verdict};
use sim_cluster::node::NodeSpec;
use sim_cluster::profile::PullPath;
use sim_cluster::runtime::RegistryHost;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::image::{INDEX, Image, MANIFEST, digest, index};
use super::server::{Certificate, Reply, Seen, Server, reply, serve_image};
use super::world::{World, address};

const STUB: &str = "http://stub.pk.test:5010";

/// Everything that the cases need, and a node that knows how to reach it; the stub's log.
pub(crate) fn build(world: &World, spec: &mut NodeSpec) -> Server {
    world.alias(&[
        "stub.pk.test",
        "auth.pk.test",
        "blob.pk.test",
        "plain.pk.test",
        "expired.pk.test",
    ]);
    world.alias(&[
        "mismatch.pk.test",
        "stall.pk.test",
        "mirrored.pk.test",
        "mirrored3.pk.test",
        "acrfail.pk.test",
    ]);
    let drop = world
        .network
        .add_host("drop.pk.test", &[address("172.19.0.2")]);
    let unknown = world
        .network
        .add_host("unknownca.pk.test", &[address("172.19.0.9")]);
    world
        .network
        .set_record("servfail.pk.test", Record::ServFail);
    world
        .network
        .set_record("dnstimeout.pk.test", Record::Silent);
    let _ = drop;

    let clock = world.clock;
    let certificate = Certificate::valid(&["registry.pk.test", "auth.pk.test"], clock);
    spec.trusted_ca.push(certificate.ca.clone());
    let registry = Server::new(clock, registry);
    registry.listen_tls(&world.registry, 5000, &certificate);
    Server::new(clock, |seen| {
        basic(seen, &Image::new("private", "amd64", &[1000]))
    })
    .listen_tls(&world.registry, 5001, &certificate);
    let expired = Certificate::new(&["expired.pk.test"], (2024, 1, 1), (2025, 1, 1), clock);
    spec.trusted_ca.push(expired.ca.clone());
    Server::new(clock, |_| reply(200)).listen_tls(&world.registry, 5003, &expired);
    let other = Certificate::valid(&["someone-else.pk.test"], clock);
    spec.trusted_ca.push(other.ca.clone());
    Server::new(clock, |_| reply(200)).listen_tls(&world.registry, 5004, &other);
    world
        .registry
        .listen(5005, std::sync::Arc::new(|stream, _| bad_request(stream)));
    Server::new(clock, |_| reply(200)).listen_tls(
        &unknown,
        5002,
        &Certificate::valid(&["unknownca.pk.test"], clock),
    );
    // What Go's TLS server says to a plain request.
    Server::new(clock, |_| reply(400)).listen(&unknown, 5000);
    // Closed before or after the client has spoken: what the client sees of it differs.
    let (local, turns) = (spec.profile.path() == PullPath::Local, AtomicU32::new(0));
    let close = move |stream, _| {
        close(
            stream,
            local && turns.fetch_add(1, Ordering::Relaxed) % 2 == 1,
        )
    };
    world.registry.listen(5012, std::sync::Arc::new(close));
    let missing = world
        .network
        .add_host("mirror.pk.test", &[address("172.19.0.7")]);
    Server::new(clock, |_| reply(404)).listen(&missing, 80);

    let stub = Server::new(clock, Stub::default().script());
    stub.listen(&world.registry, 5010);
    for host in ["unknownca.pk.test:5000", "acrfail.pk.test:5010"] {
        spec.hosts
            .insert(host.to_owned(), RegistryHost::plain_http(host));
    }
    let mirrored =
        RegistryHost::plain_http("stub.pk.test:5010").with_mirror("http://mirror.pk.test");
    spec.hosts
        .insert("mirrored.pk.test:5010".to_owned(), mirrored);
    let mirrored =
        RegistryHost::plain_http("stub.pk.test:5010").with_mirror("http://mirror.pk.test:81");
    spec.hosts
        .insert("mirrored3.pk.test:5010".to_owned(), mirrored);
    stub
}

/// The node's firewall drops what goes to one host.
pub(crate) fn drop_packets(node: &sim_cluster::node::Node) {
    node.host().add_rule(Rule {
        to: vec![address("172.19.0.2")],
        port: None,
        verdict: Verdict::Drop,
    });
}

/// A server that reads no further than the first bytes that are not HTTP.
fn bad_request(mut stream: Stream) {
    tokio::spawn(async move {
        let mut bytes = [0; 16];
        if stream.read(&mut bytes).await.is_ok() {
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
                .await;
            let _ = stream.shutdown().await;
        }
    });
}

fn close(mut stream: Stream, at_once: bool) {
    if at_once {
        stream.reset();
        return;
    }
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        let _ = stream.read(&mut bytes).await;
        let _ = stream.shutdown().await;
    });
}

fn registry(seen: &Seen) -> Reply {
    let found = ["/v2/team/app/", "/v2/team/second/"]
        .iter()
        .find(|p| seen.path.starts_with(**p));
    match found {
        Some(name)
            if !seen.path.ends_with("9.9")
                && !seen.path.ends_with("latest")
                && !seen.path.ends_with("0001") =>
        {
            serve_image(seen, &Image::new(name, "amd64", &[2000, 1000]))
        }
        _ => reply(404),
    }
}

/// user:password in the recordings was another; what counts is good or wrong.
fn basic(seen: &Seen, image: &Image) -> Reply {
    if seen.header("authorization") == "Basic Z29vZDpnb29k" {
        return serve_image(seen, image);
    }
    let body =
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}"#;
    reply(401)
        .header("WWW-Authenticate", "Basic realm=\"pk\"")
        .body(body)
}

#[derive(Default)]
struct Stub {
    counts: [AtomicU32; 2],
}

impl Stub {
    fn script(self) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
        move |seen| self.answer(seen)
    }

    fn answer(&self, seen: &Seen) -> Reply {
        let path = seen.path.split('?').next().unwrap().to_owned();
        if let Some(rest) = path.strip_prefix("/v2/") {
            let (repository, rest) = rest.split_once('/').unwrap();
            return self.repository(seen, repository, rest);
        }
        let error = |code: &str, message: &str| {
            json!({ "errors": [{ "code": code, "message": message }] }).to_string()
        };
        match path.as_str() {
            "/tokenok" => reply(200).body(r#"{"token":"t"}"#),
            "/tokenempty" => reply(200).body("{}"),
            "/token429" => reply(429).body(error("TOOMANYREQUESTS", "too many requests")),
            "/token403" => reply(403).body(error("DENIED", "no")),
            "/token500" => reply(500),
            _ => reply(401).body(error("UNAUTHORIZED", "authentication required")),
        }
    }

    fn repository(&self, seen: &Seen, repository: &str, rest: &str) -> Reply {
        let image = Image::new(repository, "amd64", &[60_000]);
        let manifest = rest.starts_with("manifests/");
        let layer = rest.ends_with(&digest(image.layers.last().unwrap()));
        let config = rest.ends_with(&digest(&image.config));
        let error = |status: u16, code: &str, message: &str| {
            reply(status)
                .body(json!({ "errors": [{ "code": code, "message": message }] }).to_string())
        };
        let bearer = |realm: &str, service: &str| {
            let challenge = format!(
                "Bearer realm=\"{realm}\",service=\"{service}\",scope=\"repository:{repository}:pull\""
            );
            reply(401).header("WWW-Authenticate", &challenge)
        };
        let own = "stub.pk.test:5010";
        match repository {
            "http403" => error(403, "DENIED", "no"),
            "http429" => {
                error(429, "TOOMANYREQUESTS", "too many requests").header("Retry-After", "60")
            }
            "http500" => reply(500),
            "http502" => reply(502),
            "http503" => reply(503),
            "http429x2" if self.counts[0].fetch_add(1, Ordering::Relaxed) < 2 => reply(429),
            "http503x1" if self.counts[1].fetch_add(1, Ordering::Relaxed) < 1 => reply(503),
            "html404" => reply(404).body("<html>"),
            "m404" => reply(404),
            "eof" => Reply::Close,
            "reset" | "reset2" => Reply::Reset,
            "slowmanifest" => Reply::Silence,
            "nochallenge" => reply(401),
            "norealm" => reply(401).header("WWW-Authenticate", "Bearer service=\"stub\""),
            "realmnx" => bearer("https://nosuch.pk.test/oauth2/token", "stub"),
            "realmrefused" => bearer("https://blob.pk.test:5998/oauth2/token", "stub"),
            "token401" | "token401b" => bearer(&format!("{STUB}/token401"), "stub"),
            "token403" | "token500" => bearer(&format!("{STUB}/{repository}"), "stub"),
            "token429" | "tokenempty" => bearer(&format!("{STUB}/{repository}"), own),
            "tokenok" => {
                let error = if seen.header("authorization").is_empty() {
                    ""
                } else {
                    ",error=\"insufficient_scope\""
                };
                let challenge = format!(
                    "Bearer realm=\"{STUB}/tokenok\",service=\"stub\",scope=\"repository:tokenok:pull\"{error}"
                );
                reply(401).header("WWW-Authenticate", &challenge)
            }
            "app" => bearer(
                "http://acrfail.pk.test:5010/oauth2/token",
                "acrfail.pk.test:5010",
            ),
            "basicauth2" | "basicauth3" | "basicauth4" => basic(seen, &image),
            "baddigest" => reply(200)
                .header("Content-Type", MANIFEST)
                .header("Docker-Content-Digest", "md5:nope"),
            "redirloop" => reply(307).header("Location", "/v2/redirloop/manifests/1.0"),
            "schema1" => {
                let body = b"{\"schemaVersion\":1}".to_vec();
                reply(200)
                    .header(
                        "Content-Type",
                        "application/vnd.docker.distribution.manifest.v1+prettyjws",
                    )
                    .header("Docker-Content-Digest", &digest(&body))
                    .body(body)
            }
            "html" if manifest => reply(200)
                .header("Content-Type", "text/html; charset=utf-8")
                .body("<html>sign in</html>"),
            "html" => reply(404),
            "badjson" => manifest_reply(MANIFEST, b"{not json".to_vec()),
            "wrongdigest" if manifest => reply(200)
                .header("Content-Type", MANIFEST)
                .header("Docker-Content-Digest", &digest(b"something else"))
                .body(image.manifest),
            "get403" if seen.method == "GET" => error(
                403,
                "DENIED",
                "client with IP '10.1.2.3' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.",
            ),
            "armonly" | "multi" | "childgone" => self.index(repository, rest),
            "armsingle" => serve_image(seen, &Image::new("armsingle", "", &[1000])),
            "config404" if config => error(404, "BLOB_UNKNOWN", "blob unknown"),
            "layer404" if layer => error(404, "BLOB_UNKNOWN", "blob unknown"),
            "layer401" if layer => error(401, "UNAUTHORIZED", "authentication required"),
            "layer403" if layer => reply(403)
                .body("<?xml version=\"1.0\"?><Error><Code>AuthorizationFailure</Code></Error>"),
            "layer429" if layer => error(429, "TOOMANYREQUESTS", "too many requests"),
            "layer503" if layer => reply(503),
            "layerredirectdead" if layer => reply(307).header(
                "Location",
                &format!("https://blob.pk.test:5998/{}", digest(&image.layers[0])),
            ),
            "layerredirectnx" if layer => reply(307).header(
                "Location",
                &format!("https://nosuch.data.pk.test/{}", digest(&image.layers[0])),
            ),
            "layerredirectdrop" if layer => reply(307).header(
                "Location",
                &format!(
                    "https://drop.pk.test:5006/azure/{}?sig=SECRET",
                    digest(&image.layers[0])
                ),
            ),
            "corrupt" if layer => {
                let mut bytes = image.layers[0].clone();
                *bytes.last_mut().unwrap() ^= 1;
                reply(200).body(bytes)
            }
            "truncated" if layer => {
                let half = image.layers[0].len() / 2;
                reply(200).body(image.layers[0].clone()).cut(half)
            }
            "slowlayer" if layer => reply(200).body(image.layers[0].clone()).stall(1000),
            "slowbigq" => {
                let image = Image::new(repository, "amd64", &[6_000_000]);
                let layer = rest.ends_with(&digest(&image.layers[0]));
                if layer {
                    reply(200).body(image.layers[0].clone()).stall(3_200_000)
                } else {
                    serve_image(seen, &image)
                }
            }
            "manydiff" | "baddiff" => {
                let ids = if repository == "manydiff" {
                    vec![digest(b"1"), digest(b"2")]
                } else {
                    vec![format!("sha256:{}", "ab".repeat(32))]
                };
                let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } });
                serve_image(seen, &Image::assemble(config, image.layers))
            }
            "helm" | "artifact" => serve_image(seen, &artifact(image)),
            _ => serve_image(seen, &image),
        }
    }

    fn index(&self, repository: &str, rest: &str) -> Reply {
        let image = Image::new(
            repository,
            if repository == "childgone" {
                "amd64"
            } else {
                "arm64"
            },
            &[1000],
        );
        let entries: &[(&str, &Image)] = match repository {
            "childgone" => &[("amd64", &image)],
            "armonly" => &[("arm64", &image)],
            _ => &[("arm64", &image), ("s390x", &image)],
        };
        let body = index(entries);
        if rest == "manifests/1.0" || rest.ends_with(&digest(&body)) {
            manifest_reply(INDEX, body)
        } else {
            reply(404)
        }
    }
}

fn manifest_reply(media_type: &str, body: Vec<u8>) -> Reply {
    reply(200)
        .header("Content-Type", media_type)
        .header("Docker-Content-Digest", &digest(&body))
        .body(body)
}

fn artifact(image: Image) -> Image {
    image.edit(|manifest| {
        manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into();
        manifest["layers"][0]["mediaType"] =
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip".into();
    })
}
