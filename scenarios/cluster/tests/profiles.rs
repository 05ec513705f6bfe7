//! Every runtime's words for the same failures, and its requests for the same image, side by side: one file of
//! `tests/profiles` a profile, each with the sources that its lines rest on.
//!
//! The files were written by the simulation itself and compared with those sources, not in every line: they pin what it
//! says, and prove it only where their head names a recording.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, and says so best by doing it"
)]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::json;
use sim_cluster::net::{Record, Rule, Verdict};
use sim_cluster::profile::{ContainerdVersion, KubernetesVersion, Profile, PullPath};
use support::image::{Image, digest, index};
use support::recording::normal;
use support::server::{Certificate, Reply, Seen, Server, reply, serve_image};
use support::world::{World, address, seconds};

const HOST: &str = "registry.pk.test";
const REALM: &str = "Bearer realm=\"https://registry.pk.test/token\",service=\"registry.pk.test\"";

/// The profiles that have a file.
fn profiles() -> Vec<(&'static str, Profile)> {
    let kubernetes = KubernetesVersion::new;
    let containerd = |minor, major, second, path| {
        Profile::new(
            kubernetes(minor),
            ContainerdVersion::new(major, second),
            path,
        )
    };
    let crio = |minor| Profile::with_crio(kubernetes(minor));
    vec![
        ("1.20-containerd-1.6", containerd(20, 1, 6, PullPath::Local)),
        ("1.29-containerd-1.7", containerd(29, 1, 7, PullPath::Local)),
        ("1.32-containerd-2.0", containerd(32, 2, 0, PullPath::Local)),
        (
            "1.35-containerd-2.2",
            containerd(35, 2, 2, PullPath::Transfer),
        ),
        (
            "1.36-containerd-2.1-local",
            containerd(36, 2, 1, PullPath::Local),
        ),
        ("1.20-cri-o", crio(20)),
        ("1.29-cri-o", crio(29)),
        ("1.32-cri-o", crio(32)),
        ("1.34-cri-o", crio(34)),
        ("1.36-cri-o", crio(36)),
    ]
}

/// What the registry does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// With tokens: the manifest is answered so.
    Manifest(u16, &'static str),
    /// The token service answers so.
    Token(u16, &'static str),
    /// A challenge with `insufficient_scope` although a token is there.
    Scope,
    NoPlatform,
}

fn challenge(error: &str) -> Reply {
    let scope = "scope=\"repository:app:pull\"";
    reply(401)
        .header("Www-Authenticate", &format!("{REALM},{scope}{error}"))
        .header("Content-Type", "application/json")
        .body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[{"Type":"repository"}]}]}"#)
}

fn answer(seen: &Seen, fault: Fault, image: &Image) -> Reply {
    let json = |status: u16, body: &str| {
        let kind = if body.starts_with('<') {
            "text/html"
        } else {
            "application/json"
        };
        reply(status).header("Content-Type", kind).body(body)
    };
    let path = seen.path.split('?').next().unwrap();
    if path == "/token" {
        return match fault {
            Fault::Token(status, body) => json(status, body),
            _ => json(200, r#"{"token":"t","expires_in":300}"#),
        };
    }
    if !seen.header("authorization").starts_with("Bearer t") {
        return if path == "/v2/" {
            reply(401).header("Www-Authenticate", REALM).body("{}")
        } else {
            challenge("")
        };
    }
    let manifest = path.contains("/manifests/");
    match fault {
        Fault::Manifest(status, body) if manifest => json(status, body),
        Fault::Scope if manifest => challenge(",error=\"insufficient_scope\""),
        Fault::NoPlatform
            if path.ends_with("/1.0") || path.contains(&digest(&index(&[("s390x", image)]))) =>
        {
            let list = index(&[("s390x", image)]);
            reply(200)
                .header("Content-Type", "application/vnd.oci.image.index.v1+json")
                .header("Docker-Content-Digest", &digest(&list))
                .body(list)
        }
        _ => serve_image(seen, image),
    }
}

struct Played {
    text: String,
    requests: Vec<String>,
    reason: String,
}

async fn play(
    profile: Profile,
    fault: Fault,
    prepare: impl FnOnce(&World) -> Option<Rule>,
) -> Played {
    play_trusting(profile, fault, true, prepare).await
}

async fn play_trusting(
    profile: Profile,
    fault: Fault,
    trusted: bool,
    prepare: impl FnOnce(&World) -> Option<Rule>,
) -> Played {
    let world = World::new(5);
    let certificate = Certificate::valid(&[HOST], world.clock);
    let image = Image::new("app", "amd64", &[400, 400]);
    let server = Server::new(world.clock, move |seen| answer(seen, fault, &image));
    let rule = prepare(&world);
    let mut spec = world.spec();
    spec.profile = profile;
    if trusted {
        spec.trusted_ca.push(certificate.ca.clone());
    }
    server.listen_tls(&world.registry, 443, &certificate);
    let node = world.start(&spec);
    if let Some(rule) = rule {
        node.host().add_rule(rule);
    }
    let secret = json!({ "containers": [{ "name": "app", "image": format!("{HOST}/app:1.0"), "imagePullPolicy": "Always" }] });
    world.create("app", secret);
    for _ in 0..120 {
        seconds(1).await;
        if !node.attempts().is_empty() {
            break;
        }
    }
    let first = node.attempts()[0].ended;
    let requests = server.log().into_iter().filter(|seen| seen.at <= first);
    let requests = requests.map(|seen| {
        let auth = seen
            .header("authorization")
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        let auth = if auth.is_empty() {
            "-".to_owned()
        } else {
            auth
        };
        normal(&format!("{} {} {auth}", seen.method, seen.path))
    });
    let requests = requests.collect();
    seconds(2).await;
    Played {
        text: world.first_failure("app"),
        requests,
        reason: world.waiting("app", "app").0,
    }
}

fn rule(verdict: Verdict) -> Rule {
    Rule {
        to: vec![address("172.19.0.3")],
        port: Some(443),
        verdict,
    }
}

const UNKNOWN: &str = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest tagged by \"1.0\" is not found","detail":{"Tag":"1.0"}}]}"#;
const UNAUTHORIZED: &str = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required, visit https://aka.ms/acr/authorization"}]}"#;
const DENIED: &str =
    r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
const SLOW_DOWN: &str =
    r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;

/// Every case of one profile, and the requests of a pull that works.
async fn told(profile: Profile) -> String {
    let mut out = String::new();
    let mut say = |case: &str, played: &Played| {
        let text = normal(&played.text).replace('\n', "\\n");
        let count = played.requests.len();
        writeln!(
            out,
            "{case}\n  {text}\n  {count} requests, then {}",
            played.reason
        )
        .unwrap();
    };
    let faults = [
        ("not found", Fault::Manifest(404, UNKNOWN)),
        ("401 with a token", Fault::Manifest(401, UNAUTHORIZED)),
        ("403 with a token", Fault::Manifest(403, DENIED)),
        (
            "403 with a page",
            Fault::Manifest(403, "<html>blocked</html>"),
        ),
        ("insufficient scope", Fault::Scope),
        ("token refused, 401", Fault::Token(401, UNAUTHORIZED)),
        ("token refused, 403", Fault::Token(403, DENIED)),
        ("503", Fault::Manifest(503, "<html>busy</html>")),
        ("429", Fault::Manifest(429, SLOW_DOWN)),
        ("no matching platform", Fault::NoPlatform),
    ];
    for (case, fault) in faults {
        say(case, &play(profile, fault, |_| None).await);
    }
    let ruled = |verdict| move |_: &World| Some(rule(verdict));
    let named = |record: Record| {
        move |world: &World| {
            world.network.set_record(HOST, record);
            None
        }
    };
    say(
        "refused",
        &play(profile, Fault::None, ruled(Verdict::Refuse)).await,
    );
    say(
        "silence",
        &play(profile, Fault::None, ruled(Verdict::Drop)).await,
    );
    say(
        "no such host",
        &play(profile, Fault::None, named(Record::NxDomain)).await,
    );
    say(
        "name server fails",
        &play(profile, Fault::None, named(Record::ServFail)).await,
    );
    say(
        "unknown authority",
        &play_trusting(profile, Fault::None, false, |_| None).await,
    );
    let works = play(profile, Fault::None, |_| None).await;
    assert_eq!(works.text, "", "the pull that works");
    out.push_str("a pull that works\n");
    for request in works.requests {
        writeln!(out, "  {request}").unwrap();
    }
    out
}

#[tokio::test(start_paused = true)]
async fn words_and_requests_by_profile() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/profiles");
    let mut different = BTreeMap::new();
    for (name, profile) in profiles() {
        let got = told(profile).await;
        let text = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap_or_default();
        let lines = text.split_inclusive('\n');
        let want: String = lines.filter(|line| !line.starts_with('#')).collect();
        if got != want {
            different.insert(name, got);
        }
    }
    let all: Vec<_> = different
        .iter()
        .map(|(name, got)| format!("== {name}\n{got}"))
        .collect();
    assert!(
        different.is_empty(),
        "other than in tests/profiles:\n{}",
        all.join("")
    );
}
