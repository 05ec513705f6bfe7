//! The node: disk, the kubelet's limits and policies, pull secrets, the runtime's store.

use super::{Finding, Weight};
use crate::clue::Clue;
use crate::explain::reading::Reading;
use crate::explain::signal::Signal as S;
use crate::explain::text;
use crate::stage::Stage;

pub(super) fn disk(reading: &Reading<'_>) -> Option<Finding> {
    reading.has(S::DiskFull).then(|| {
        Finding::sure(
            Clue::DiskFull,
            if reading.has(S::Unpack) {
                Stage::Unpack
            } else {
                Stage::Blob
            },
        )
    })
}

/// What the kubelet decides by itself.
pub(super) fn limits(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::PullQps) {
        return Some(Finding::sure(Clue::PullQpsExceeded, Stage::Kubelet));
    }
    reading
        .has(S::NeverPull)
        .then(|| Finding::sure(Clue::NeverPullAbsent, Stage::Kubelet))
}

/// A policy refused the image, in so many words.
pub(super) fn policy(reading: &Reading<'_>) -> Option<Finding> {
    reading
        .has(S::PolicyDenied)
        .then(|| Finding::sure(Clue::PolicyBlocked, Stage::Policy))
}

pub(super) fn secret(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::SecretMalformed) {
        let finding = Finding::sure(Clue::SecretMalformed, Stage::Kubelet);
        return Some(if reading.has(S::Admission) {
            Finding {
                certain: false,
                ..finding
            }
            .with(&[Clue::PolicyBlocked])
        } else {
            finding
        });
    }
    if reading.has(S::SecretMissing) {
        return Some(
            Finding::sure(Clue::SecretMissing, Stage::Kubelet)
                .with(&[Clue::AuthRequiredNoCredentials]),
        );
    }
    // `secret "NAME" not found`
    let hit = reading.last(S::SecretNamed)?;
    let rest = text::bounded(reading.after(hit.end), 300);
    let (_, rest) = rest.split_once('"')?;
    rest.trim_start()
        .to_ascii_lowercase()
        .starts_with("not found")
        .then(|| Finding::sure(Clue::SecretMissing, Stage::Kubelet))
}

pub(super) fn reference(reading: &Reading<'_>) -> Option<Finding> {
    reading.has(S::InvalidReference).then(|| {
        let finding = Finding::sure(Clue::InvalidReference, Stage::Reference);
        if reading.text.contains("short-name") {
            finding.with(&[Clue::MirrorMisconfigured])
        } else {
            finding
        }
    })
}

/// The runtime's own store.
pub(super) fn runtime(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::Runtime) {
        return Some(
            Finding::sure(Clue::RuntimeError, Stage::Unpack)
                .with(&[Clue::UnpackFailed, Clue::BlobNotFound]),
        );
    }
    if reading.has(S::Inspect) {
        return Some(
            Finding::sure(Clue::RuntimeError, Stage::Kubelet)
                .with(&[Clue::Unknown])
                .of(Weight::Hint),
        );
    }
    // `content digest sha256:…: not found`: the store lost what it had.
    (reading.has(S::RuntimeWeak)
        && reading.has(S::NotFound)
        && !reading.any(&[S::Unpack, S::Unsupported, S::DescriptorFetch]))
    .then(|| {
        Finding::sure(Clue::RuntimeError, Stage::Unpack)
            .with(&[Clue::UnpackFailed, Clue::BlobNotFound])
    })
}

/// A layer that could not be applied, with no deeper reason.
pub(super) fn unpack(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::Unpack) {
        // Without the system's reason at its end, the text may have been cut before another cause.
        let finding = if reading.has(S::SystemReason) {
            Finding::sure(Clue::UnpackFailed, Stage::Unpack)
        } else {
            Finding::unsure(
                Clue::UnpackFailed,
                Stage::Unpack,
                &[Clue::DiskFull, Clue::RuntimeError],
            )
        };
        return Some(finding.of(Weight::Hint));
    }
    reading.has(S::RuntimeWeak).then(|| {
        Finding::unsure(Clue::RuntimeError, Stage::Unpack, &[Clue::UnpackFailed]).of(Weight::Hint)
    })
}

/// An admission webhook refused, and gives no reason that belongs elsewhere.
pub(super) fn admission(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::AdmissionDenied) {
        return Some(Finding::sure(Clue::PolicyBlocked, Stage::Policy).of(Weight::Hint));
    }
    // It may as well have failed itself.
    reading.has(S::Admission).then(|| {
        Finding::unsure(Clue::Unknown, Stage::Policy, &[Clue::PolicyBlocked]).of(Weight::Echo)
    })
}

/// Only that the pull is retried, or that it failed.
pub(super) fn retry(reading: &Reading<'_>) -> Option<Finding> {
    if let Some(hit) = reading.last(S::BackOff) {
        let named = reading.names.iter().find(|name| name.start >= hit.end);
        let rest = reading.after(named.map_or(hit.end, |name| name.start + name.text.len()));
        let ends = !rest.contains(|c: char| c.is_alphanumeric() || c == ':');
        // A cause was about to follow: the message was cut in front of it.
        let began = reading
            .hits
            .iter()
            .any(|other| other.start > hit.start && other.phrase.speaker.is_some());
        let finding = if ends {
            Finding::sure(Clue::BackOffOnly, Stage::Kubelet).with(&[Clue::Unknown])
        } else if began {
            Finding::unsure(Clue::Unknown, Stage::Kubelet, &[Clue::BackOffOnly])
        } else {
            Finding::unsure(Clue::BackOffOnly, Stage::Kubelet, &[Clue::Unknown])
        };
        return Some(finding.of(Weight::Echo));
    }
    reading.has(S::Vague).then(|| {
        Finding::unsure(
            Clue::Unknown,
            Stage::Kubelet,
            &[Clue::BackOffOnly, Clue::RateLimited],
        )
        .of(Weight::Echo)
    })
}
