//! What the kubelet's own words prove.

use super::{Asked, Record, blocked, candidates, told};
use crate::cause::Cause;
use crate::clue::Clue;
use crate::evidence::{HttpFailure, Identity, ManifestKind, ManifestSeen, Method, Seen};
use crate::reference::Target;
use crate::stage::Stage;
use crate::wire::Excerpt;

const IMAGE: &str = "registry.example/team/web:v1";

#[test]
fn nothing_was_sent() {
    let table = [
        (IMAGE, Clue::NeverPullAbsent, Cause::NeverPullAbsent),
        (IMAGE, Clue::SecretMalformed, Cause::PullSecretMalformed),
        (IMAGE, Clue::PullQpsExceeded, Cause::KubeletQps),
        (
            "registry.example/Team/Web:v1",
            Clue::InvalidReference,
            Cause::ImageNameInvalid,
        ),
    ];
    for (image, clue, cause) in table {
        let got = Asked::image(image)
            .on("a")
            .told(told("a", clue, Stage::Kubelet, "text"))
            .judge(&Record::of("registry.example"));
        blocked(&got, cause, &[]);
    }
}

#[test]
fn the_cause_is_gone_and_the_pod_still_waits() {
    let record = Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .ended("a", Stage::Blob, Identity::Anonymous, true);
    let got = Asked::image(IMAGE)
        .on("a")
        .told(told("a", Clue::TagNotFound, Stage::Manifest, "not found"))
        .judge(&record);
    blocked(&got, Cause::StaleBackoff, &[]);
    let here = Record::of("registry.example")
        .reached("here", "20.1.0.4:443")
        .ended("here", Stage::Blob, Identity::Anonymous, true);
    let got = Asked::image(IMAGE)
        .on("a")
        .told(told("a", Clue::TagNotFound, Stage::Manifest, "not found"))
        .judge(&here);
    assert!(
        candidates(&got).contains(&Cause::StaleBackoff),
        "seen from a workstation only: {got:#?}"
    );
}

#[test]
fn a_chart_that_cannot_be_unpacked_is_no_back_off_that_outlives_its_reason() {
    let text = "failed to pull and unpack image \"registry.example/team/web:v1\": failed to unpack image on \
                snapshotter overlayfs: mismatched image rootfs and manifest layers";
    let read = crate::explain::explain(text);
    let found = |from: &str, kind| {
        let seen = ManifestSeen {
            method: Method::Get,
            target: Target::Tag("v1".into()),
            digest: None,
            media_type: Excerpt::new("application/vnd.oci.image.manifest.v1+json"),
            size: None,
            kind,
            rate_limit: None,
        };
        Record::of("registry.example")
            .reached(from, "20.1.0.4:443")
            .seen(from, Stage::Manifest, Seen::ManifestFound(seen))
            .ended(from, Stage::Blob, Identity::Anonymous, true)
    };
    let asked = Asked::image(IMAGE)
        .on("a")
        .told(told("a", read.clue, read.stage, text));
    for from in ["a", "here"] {
        let got = asked.judge(&found(from, ManifestKind::Artifact));
        blocked(&got, Cause::ArtifactNotImage, &[]);
    }
    let image = asked.judge(&found("a", ManifestKind::Image));
    blocked(&image, Cause::StaleBackoff, &[]);
}

#[test]
fn a_pull_that_hangs() {
    let stalled = Seen::HttpFailed {
        method: Method::Get,
        path: Excerpt::new("/v2/x"),
        reason: HttpFailure::Timeout,
    };
    let record = Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .seen("a", Stage::Manifest, stalled);
    let mut asked = Asked::image(IMAGE).on("a");
    asked.hanging = "2026-01-15T09:00:00Z".parse().ok();
    blocked(
        &asked.judge(&record.ended("a", Stage::Manifest, Identity::Anonymous, false)),
        Cause::PullHanging,
        &[],
    );
    let fine = Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .ended("a", Stage::Blob, Identity::Anonymous, true);
    assert_eq!(
        candidates(&asked.judge(&fine))[..2],
        [Cause::PullHanging, Cause::SerializedQueue]
    );
}

#[test]
fn only_back_off_and_nobody_looked() {
    let vague = told(
        "a",
        Clue::BackOffOnly,
        Stage::Kubelet,
        "Back-off pulling image",
    );
    let got = Asked::image(IMAGE)
        .on("a")
        .told(vague)
        .judge(&Record::of("registry.example"));
    assert_eq!(got.verdict.kind(), "undetermined");
}

#[test]
fn a_contradiction_is_said() {
    let dns = told(
        "a",
        Clue::DnsNotFound,
        Stage::Dns,
        "lookup registry.example: no such host",
    );
    let stalled = Seen::HttpFailed {
        method: Method::Get,
        path: Excerpt::new("/v2/x"),
        reason: HttpFailure::Timeout,
    };
    let record = Record::of("registry.example")
        .reached("a", "20.1.0.4:443")
        .seen("a", Stage::Manifest, stalled);
    let got = Asked::image(IMAGE).on("a").told(dns).judge(&record.ended(
        "a",
        Stage::Manifest,
        Identity::Anonymous,
        false,
    ));
    assert!(
        got.notes.iter().any(|note| note.contains("dns-not-found")),
        "{:?}",
        got.notes
    );
}
