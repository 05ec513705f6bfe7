//! What the registry holds, and how it throttles.

use std::time::Duration;

use super::{Asked, Record, blocked, candidates, refusal, told};
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::{
    BlobKind, Identity, ManifestKind, ManifestSeen, Method, Platform, Refusal, Seen,
};
use crate::reference::{Reference, Target};
use crate::stage::Stage;
use crate::verdict::{Names, Verdict, remedies};
use crate::wire::Excerpt;

const TAGGED: &str = "registry.example/shop/api:1.91";
const PINNED: &str = "registry.example/shop/api@sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn manifest(image: &str, refusal: Refusal) -> Record {
    let target = Reference::parse(image).expect("a reference").target();
    Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .seen(
            "a",
            Stage::Manifest,
            Seen::ManifestRefused {
                method: Method::Get,
                target,
                refusal,
            },
        )
}

fn tags(count: usize, listed: bool) -> Seen {
    Seen::Tags {
        count,
        complete: true,
        listed,
        nearest: vec!["1.9".into(), "1.8".into()],
    }
}

fn end(record: Record, stage: Stage) -> Record {
    record.ended("a", stage, Identity::Anonymous, false)
}

#[test]
fn tag_repository_digest() {
    let unknown = || refusal(404, "MANIFEST_UNKNOWN", "manifest unknown");
    let found = manifest(TAGGED, unknown()).seen("a", Stage::Manifest, tags(3, false));
    let got = Asked::image(TAGGED)
        .on("a")
        .judge(&end(found, Stage::Manifest));
    let others = [
        Cause::RepositoryNotFound,
        Cause::DigestNotFound,
        Cause::CredentialsMissing,
        Cause::DnsNxdomain,
    ];
    blocked(&got, Cause::TagNotFound, &others);
    assert!(
        got.because.contains("the nearest is `1.9`"),
        "{}",
        got.because
    );

    let gone = refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
    let none = manifest(TAGGED, gone.clone()).seen(
        "a",
        Stage::Manifest,
        Seen::TagsRefused { refusal: gone },
    );
    let got = Asked::image(TAGGED)
        .on("a")
        .judge(&end(none, Stage::Manifest));
    blocked(
        &got,
        Cause::RepositoryNotFound,
        &[Cause::TagNotFound, Cause::CredentialsMissing],
    );

    let pinned = manifest(PINNED, unknown()).seen("a", Stage::Manifest, tags(3, false));
    let got = Asked::image(PINNED)
        .on("a")
        .judge(&end(pinned, Stage::Manifest));
    blocked(
        &got,
        Cause::DigestNotFound,
        &[Cause::RepositoryNotFound, Cause::TagNotFound],
    );

    let unlisted = Asked::image(TAGGED)
        .on("a")
        .judge(&end(manifest(TAGGED, unknown()), Stage::Manifest));
    assert_eq!(
        candidates(&unlisted),
        [Cause::TagNotFound, Cause::RepositoryNotFound]
    );
}

#[test]
fn a_bad_tag_seen_from_a_workstation_counts_for_the_node() {
    let target = Target::Tag("1.91".into());
    let refused = Seen::ManifestRefused {
        method: Method::Head,
        target,
        refusal: refusal(404, "MANIFEST_UNKNOWN", ""),
    };
    let record = Record::of("registry.example")
        .reached("here", "20.1.0.4:443")
        .seen("here", Stage::Manifest, refused)
        .seen("here", Stage::Manifest, tags(3, false))
        .ended("here", Stage::Manifest, Identity::Anonymous, false);
    let got = Asked::image(TAGGED)
        .on("a")
        .told(told("a", Clue::TagNotFound, Stage::Manifest, "not found"))
        .judge(&record);
    blocked(&got, Cause::TagNotFound, &[Cause::RepositoryNotFound]);
}

#[test]
fn the_remedy_for_a_bad_tag_is_the_line_to_type() {
    let found = manifest(TAGGED, refusal(404, "MANIFEST_UNKNOWN", "")).seen(
        "a",
        Stage::Manifest,
        tags(3, false),
    );
    let record = end(found, Stage::Manifest);
    let asked = Asked::image(TAGGED).on("a");
    let judgement = asked.judge(&record);
    let owner = crate::symptom::Owner {
        kind: "deployment".into(),
        name: "api".into(),
    };
    let names = Names {
        namespace: Some("shop"),
        pod: Some("api-1"),
        owner: Some(&owner),
        container: Some("main"),
    };
    let reference = Reference::parse(TAGGED).expect("a reference");
    let case = super::super::Case {
        image: TAGGED,
        reference: Some(&reference),
        in_cluster: true,
        told: &[],
        hanging: None,
        ahead: &[],
        after_pull: false,
        stops_with: None,
        running: 0,
        platform: None,
        node: None,
        runs_beside: false,
        always_pulls: false,
        on_azure: true,
        failing_nodes: &asked.nodes,
        secrets: &[],
        namespace: Some("shop"),
        evidence: &record.evidence,
        shallow: &[],
        azure: None,
        corrected_host: None,
        now: super::now(),
    };
    let list = remedies(&case, &judgement, &names);
    let commands: Vec<&str> = list
        .iter()
        .flat_map(|one| &one.commands)
        .map(String::as_str)
        .collect();
    assert_eq!(
        commands.first(),
        Some(&"kubectl -n shop set image deployment/api main=registry.example/shop/api:1.9")
    );
}

#[test]
fn throttled_by_the_registry() {
    let mut too_many = refusal(429, "TOOMANYREQUESTS", "too many requests");
    too_many.retry_after = Some(Duration::from_secs(38));
    let record = end(manifest(TAGGED, too_many), Stage::Manifest);
    let limited = told(
        "a",
        Clue::RateLimited,
        Stage::Manifest,
        "429 Too Many Requests",
    );
    let got = Asked::image(TAGGED).on("a").told(limited).judge(&record);
    blocked(
        &got,
        Cause::Registry429,
        &[
            Cause::KubeletQps,
            Cause::SerializedQueue,
            Cause::HubRateLimit,
        ],
    );
    assert!(got.because.contains("Retry-After 38 s"), "{}", got.because);
}

#[test]
fn a_throttled_pull_stays_throttled_when_one_probe_gets_through() {
    let record = Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .ended("a", Stage::Blob, Identity::Anonymous, true);
    let limited = told(
        "a",
        Clue::RateLimited,
        Stage::Manifest,
        "429 Too Many Requests",
    );
    blocked(
        &Asked::image(TAGGED)
            .on("a")
            .told(limited.clone())
            .judge(&record),
        Cause::Registry429,
        &[Cause::KubeletQps],
    );
    let mut old = limited;
    old.last = "2026-01-15T08:00:00Z".parse().ok();
    blocked(
        &Asked::image(TAGGED).on("a").told(old).judge(&record),
        Cause::StaleBackoff,
        &[],
    );
}

#[test]
fn server_errors_platforms_and_layers() {
    let got = Asked::image(TAGGED).on("a").judge(&end(
        manifest(TAGGED, refusal(503, "", "")),
        Stage::Manifest,
    ));
    blocked(&got, Cause::Registry5xx, &[]);

    let missing = Seen::PlatformMissing {
        wanted: Platform::linux("arm64"),
        available: vec![Platform::linux("amd64")],
    };
    let record = Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .seen("a", Stage::Platform, missing);
    let got = Asked::image(TAGGED)
        .on("a")
        .judge(&end(record, Stage::Platform));
    blocked(&got, Cause::PlatformMismatch, &[]);
    assert_eq!(got.verdict.stage(), Some(Stage::Platform));

    let pinned = Reference::parse(PINNED).expect("a reference");
    let digest = pinned.digest().cloned().expect("a digest");
    let host = Reference::parse(TAGGED)
        .expect("a reference")
        .endpoint()
        .host()
        .clone();
    let lost = Seen::BlobRefused {
        digest: digest.clone(),
        kind: BlobKind::Layer,
        host,
        refusal: refusal(404, "BLOB_UNKNOWN", ""),
    };
    let seen = ManifestSeen {
        method: Method::Get,
        target: Target::Tag("1.91".into()),
        digest: Some(digest),
        media_type: Excerpt::new("application/vnd.oci.image.manifest.v1+json"),
        size: None,
        kind: ManifestKind::Image,
        rate_limit: None,
    };
    let record = Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .seen("a", Stage::Manifest, Seen::ManifestFound(seen));
    let got = Asked::image(TAGGED)
        .on("a")
        .judge(&end(record.seen("a", Stage::Blob, lost), Stage::Blob));
    blocked(&got, Cause::LayerMissing, &[Cause::TagNotFound]);
}

#[test]
fn all_is_well() {
    let record = Record::of("registry.example")
        .reached("here", "20.1.0.4:443")
        .ended("here", Stage::Blob, Identity::Anonymous, true);
    assert_eq!(
        Asked::image(TAGGED).judge(&record).verdict,
        Verdict::Pullable
    );
}
