//! What there is, and what there is not.

use std::time::Duration;

use fake_registry::{Clock, FakeRegistry, HostSpec, Scheme};

use super::net::{Script, TestNet, registry, say};
use super::{ended, find, look, names, plain, probe, seen};
use crate::evidence::{BlobKind, ManifestKind, Method, Platform, Role, Seen};
use crate::keyring::Keyring;
use crate::probe::{Depth, Options};
use crate::reference::Digest;
use crate::stage::Stage;
use crate::world::Place;

fn fake(lines: &[&str], spec: HostSpec) -> (FakeRegistry, Place) {
    let clock = Clock::starting_at("2026-01-15T09:00:00Z".parse().unwrap());
    let mut builder = FakeRegistry::builder().seed(7).clock(clock).host(spec);
    for line in lines {
        builder = builder.image("registry.example", line);
    }
    let fake = builder.build().unwrap();
    let net = TestNet::default()
        .name("registry.example", &["10.1.0.1"])
        .there("10.1.0.1:443", registry(&fake, Scheme::Https))
        .name("data.example", &["10.1.0.2"])
        .there("10.1.0.2:443", registry(&fake, Scheme::Https));
    let place = net.place([fake.ca_der()]);
    (fake, place)
}

fn open() -> HostSpec {
    HostSpec::new("registry.example")
}

#[tokio::test(start_paused = true)]
async fn a_good_image_is_walked_to_the_smallest_layer() {
    let (fake, place) = fake(&["team/web:v1 linux/amd64,linux/arm64 3x64KiB"], open());
    let evidence = look(&place, "registry.example/team/web:v1").await;
    assert_eq!(ended(&evidence), (Stage::Blob, true));
    assert_eq!(
        names(&evidence, Role::Registry),
        [
            "resolved",
            "connected",
            "tls-established",
            "pinged",
            "manifest-found",
            "manifest-found",
            "platform-chosen",
            "manifest-found",
            "requests-per-pull",
            "blob-reachable",
            "config-read",
            "blob-reachable",
            "blob-reachable",
            "blob-reachable",
        ]
    );
    let requests = evidence.requests_per_pull().unwrap();
    assert_eq!(
        (requests.manifests, requests.blobs, requests.tokens),
        (3, 4, 0)
    );
    let walked: Vec<String> = fake
        .journal()
        .lines()
        .iter()
        .map(|line| {
            line.split(" sha256:")
                .next()
                .unwrap()
                .split("/sha256:")
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        walked,
        [
            "GET /v2/ -> 200",
            "HEAD /v2/team/web/manifests/v1 -> 200",
            "GET /v2/team/web/manifests",
            "GET /v2/team/web/manifests",
            "GET /v2/team/web/blobs",
            "HEAD /v2/team/web/blobs",
            "HEAD /v2/team/web/blobs",
            "GET /v2/team/web/blobs",
        ]
    );
    let entries = fake.journal().entries();
    assert_eq!(entries[7].range.as_deref(), Some("bytes=0-0"));
    assert_eq!(
        entries[1].accept.as_deref(),
        Some(crate::wire::manifest::ACCEPT)
    );
    assert!(entries.iter().all(|entry| {
        entry
            .user_agent
            .as_deref()
            .unwrap()
            .starts_with("pullcheck/")
    }));
}

#[tokio::test(start_paused = true)]
async fn a_full_probe_reads_and_verifies_every_layer() {
    let (_, place) = fake(&["team/web:v1 linux/amd64 2x64KiB"], open());
    let options = Options {
        depth: Depth::Full,
        ..Options::default()
    };
    let evidence = probe(
        &place,
        "registry.example/team/web:v1",
        &Keyring::new(),
        &options,
    )
    .await;
    assert_eq!(ended(&evidence), (Stage::Blob, true));
    let layers = seen(&evidence).filter(|seen| {
        matches!(seen, Seen::BlobReachable { kind: BlobKind::Layer, verified: true, read, size, .. } if read == size)
    });
    assert_eq!(layers.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_missing_tag_is_told_from_a_missing_repository() {
    let (_, place) = fake(
        &[
            "team/web:v1 linux/amd64",
            "team/web:v10 linux/amd64",
            "team/web:x linux/amd64",
        ],
        open(),
    );
    let evidence = look(&place, "registry.example/team/web:v11").await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    let (listed, complete, nearest) = find!(&evidence, Seen::Tags { listed, complete, nearest, .. } => (*listed, *complete, nearest.clone()));
    assert_eq!((listed, complete), (false, true));
    assert_eq!(
        nearest.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        ["v1", "v10", "x"]
    );
    find!(&evidence, Seen::ManifestRefused { method: Method::Get, refusal, .. } if refusal.has_code("MANIFEST_UNKNOWN") => ());

    let evidence = look(&place, "registry.example/team/wev:v1").await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    find!(&evidence, Seen::TagsRefused { refusal } if refusal.status == 404 => ());
}

#[tokio::test(start_paused = true)]
async fn an_index_without_the_platform() {
    let (_, place) = fake(&["team/web:v1 linux/arm64,linux/s390x"], open());
    let evidence = look(&place, "registry.example/team/web:v1").await;
    assert_eq!(ended(&evidence), (Stage::Platform, false));
    let available = find!(&evidence, Seen::PlatformMissing { available, .. } => available.clone());
    assert_eq!(
        available,
        [Platform::linux("arm64"), Platform::linux("s390x")]
    );
}

#[tokio::test(start_paused = true)]
async fn layers_at_another_host_get_no_credential_and_a_connection_of_their_own() {
    let (fake, place) = fake(
        &["team/web:v1 linux/amd64 2x64KiB"],
        open().blobs_at("data.example"),
    );
    let evidence = look(&place, "registry.example/team/web:v1").await;
    assert_eq!(ended(&evidence), (Stage::Blob, true), "{evidence:#?}");
    let storage = names(&evidence, Role::Storage);
    assert_eq!(
        storage.get(..3).unwrap(),
        ["resolved", "connected", "tls-established"]
    );
    find!(&evidence, Seen::BlobReachable { host, kind: BlobKind::Layer, .. } if host.to_string() == "data.example" => ());
    find!(&evidence, Seen::Redirected { to, .. } if to.to_string() == "data.example" => ());
    let text = serde_json::to_string(&evidence).unwrap();
    assert!(!text.contains("sig="), "a signed address was recorded");
    assert!(fake.journal().count(|entry| entry.host == "data.example") > 0);
}

#[tokio::test(start_paused = true)]
async fn a_storage_host_that_drops_packets() {
    let (fake, _) = fake(
        &["team/web:v1 linux/amd64"],
        open().blobs_at("data.example"),
    );
    let net = TestNet::default()
        .name("registry.example", &["10.1.0.1"])
        .there("10.1.0.1:443", registry(&fake, Scheme::Https))
        .name("data.example", &["10.1.0.2"])
        .there("10.1.0.2:443", super::net::There::Drops);
    let evidence = look(&net.place([fake.ca_der()]), "registry.example/team/web:v1").await;
    assert_eq!(ended(&evidence), (Stage::Tcp, false));
    let fact = evidence.about(Role::Storage).next_back().unwrap();
    assert!(matches!(&fact.seen, Seen::DialFailed { .. }), "{fact:?}");
    assert_eq!(fact.took, Duration::from_secs(5));
}

const SHA: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Probes a registry that answers the manifest `GET` in an odd way.
async fn odd(
    answer: impl Fn(&super::net::Got) -> super::net::Say + Send + Sync + 'static,
) -> crate::evidence::Evidence {
    let script = Script::new(answer);
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:80", script.there());
    probe(
        &net.place([]),
        "r.example/a/b:1",
        &Keyring::new(),
        &plain("r.example"),
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn a_page_instead_of_a_manifest() {
    let evidence =
        odd(|_| say(200, "<html>sign in</html>").with("content-type", "text/html")).await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    find!(&evidence, Seen::Pinged { unlike_a_registry: Some(_), .. } => ());
    find!(&evidence, Seen::ManifestUnusable { media_type, .. } if media_type.as_str() == "text/html" => ());
}

#[tokio::test(start_paused = true)]
async fn a_manifest_with_other_bytes_than_its_digest() {
    let evidence = odd(|got| match got.line.as_str() {
        "GET /v2/" => say(200, "{}"),
        _ => say(
            200,
            format!(r#"{{"config":{{"digest":"{SHA}","size":2}}}}"#),
        )
        .with("content-type", MANIFEST_TYPE)
        .with("docker-content-digest", SHA),
    })
    .await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    let expected = find!(&evidence, Seen::DigestMismatch { expected, .. } => expected.clone());
    assert_eq!(expected.to_string(), SHA);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_larger_than_any_is_not_read() {
    let evidence = odd(|got| match got.line.as_str() {
        "GET /v2/" => say(200, "{}"),
        line if line.starts_with("HEAD") => say(200, "").with("content-type", MANIFEST_TYPE),
        _ => say(200, vec![b' '; 5 * 1024 * 1024]),
    })
    .await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    find!(&evidence, Seen::HttpFailed { reason: crate::evidence::HttpFailure::TooLarge { .. }, .. } => ());
}

#[tokio::test(start_paused = true)]
async fn a_tag_whose_digest_is_gone() {
    let evidence = odd(|got| match got.line.as_str() {
        "GET /v2/" => say(200, "{}"),
        "HEAD /v2/a/b/manifests/1" => say(200, "")
            .with("content-type", MANIFEST_TYPE)
            .with("docker-content-digest", SHA),
        _ => say(
            404,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}"#,
        ),
    })
    .await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    find!(&evidence, Seen::ManifestFound(found) if found.method == Method::Head => ());
    find!(&evidence, Seen::ManifestRefused { target: crate::reference::Target::Digest(_), refusal, .. } if refusal.status == 404 => ());
}

/// A registry whose layer is described wrongly or missing.
fn layered(
    size: u64,
    layer: Option<&'static [u8]>,
) -> impl Fn(&super::net::Got) -> super::net::Say + Send + Sync {
    let config = br#"{"os":"linux","architecture":"arm64","rootfs":{"diff_ids":["x"]}}"#;
    let (config_digest, layer_digest) = (Digest::sha256(config), Digest::sha256(b"layer"));
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config_digest}","size":{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer_digest}","size":{size}}}]}}"#,
        config.len()
    );
    move |got| {
        if got.line.contains("/manifests/") {
            return say(200, manifest.clone()).with("content-type", MANIFEST_TYPE);
        }
        if got.line.ends_with(&config_digest.to_string()) {
            return say(200, config.as_slice());
        }
        match layer {
            Some(layer) if got.line.contains("/blobs/") => say(200, layer),
            None if got.line.contains("/blobs/") => {
                say(404, r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#)
            }
            _ => say(200, "{}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn layers_that_are_missing_or_of_another_size() {
    let evidence = odd(layered(5, None)).await;
    assert_eq!(ended(&evidence), (Stage::Blob, false));
    find!(&evidence, Seen::BlobRefused { kind: BlobKind::Layer, refusal, .. } if refusal.has_code("blob_unknown") => ());
    // A single manifest is pulled whatever its platform; the record shows what it was built for.
    find!(&evidence, Seen::ConfigRead { platform, .. } if *platform == Platform::linux("arm64") => ());

    let evidence = odd(layered(6, Some(b"layer"))).await;
    assert_eq!(ended(&evidence), (Stage::Blob, false));
    find!(&evidence, Seen::SizeMismatch { expected: 6, got: 5, .. } => ());

    let evidence = odd(layered(5, Some(b"layer"))).await;
    assert_eq!(ended(&evidence), (Stage::Blob, true));
}

#[tokio::test(start_paused = true)]
async fn a_layer_with_other_bytes_is_found_by_a_full_probe_only() {
    let script = Script::new(layered(5, Some(b"LAYER")));
    let net = TestNet::default()
        .name("r.example", &["10.2.0.1"])
        .there("10.2.0.1:80", script.there());
    let options = Options {
        depth: Depth::Full,
        ..plain("r.example")
    };
    let evidence = probe(&net.place([]), "r.example/a/b:1", &Keyring::new(), &options).await;
    assert_eq!(ended(&evidence), (Stage::Blob, false));
    find!(&evidence, Seen::DigestMismatch { got, .. } if *got == Digest::sha256(b"LAYER") => ());
}

#[tokio::test(start_paused = true)]
async fn the_old_format_and_other_artifacts() {
    let evidence = odd(|_| say(200, r#"{"schemaVersion":1}"#)).await;
    assert_eq!(ended(&evidence), (Stage::Manifest, false));
    find!(&evidence, Seen::ManifestUnusable { .. } => ());

    let evidence = odd(|got| {
        if !got.line.contains("/manifests/") {
            return say(200, "{}");
        }
        say(
            200,
            format!(r#"{{"config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{SHA}","size":2}}}}"#),
        )
    })
    .await;
    assert_eq!(ended(&evidence), (Stage::Blob, true));
    find!(&evidence, Seen::ManifestFound(found) if found.kind == ManifestKind::Artifact => ());
}

#[tokio::test(start_paused = true)]
async fn tags_are_read_page_by_page_and_not_for_ever() {
    let evidence = odd(|got| {
        if got.line.contains("/tags/list") {
            let page = got.line.matches("last=").count();
            let next = format!(
                "</v2/a/b/tags/list?n=1000&last={page}&p={}>; rel=\"next\"",
                got.line.len()
            );
            return say(200, format!(r#"{{"tags":["t{}"]}}"#, got.line.len())).with("link", next);
        }
        if got.line == "GET /v2/" {
            say(200, "{}")
        } else {
            say(404, "")
        }
    })
    .await;
    let (count, complete) =
        find!(&evidence, Seen::Tags { count, complete, .. } => (*count, *complete));
    assert!(!complete && count <= 10);
}
