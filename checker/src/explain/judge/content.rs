//! What the registry holds and what arrives: manifests, platforms, blobs, storage, mirrors.

use super::{Finding, Weight};
use crate::clue::Clue;
use crate::explain::reading::Reading;
use crate::explain::signal::Signal as S;
use crate::explain::text;
use crate::explain::url::Asked;
use crate::stage::Stage;

/// The bytes are wrong or too few.
pub(super) fn bytes(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::Truncated) {
        return Some(
            Finding::sure(Clue::TruncatedTransfer, Stage::Blob)
                .with(&[Clue::ConnectionReset, Clue::RedirectOrStorageFailed]),
        );
    }
    if reading.has(S::Corrupt) {
        let finding = Finding::sure(Clue::BlobCorrupt, Stage::Blob);
        // containerd says what it checked: `manifest-sha256:…`, `layer-sha256:…`.
        let of_manifest =
            reading.text.contains("\"manifest-sha256:") || reading.text.contains("\"index-sha256:");
        return Some(if of_manifest {
            Finding {
                certain: false,
                stage: Stage::Manifest,
                ..finding
            }
            .with(&[Clue::ManifestDigestNotFound])
        } else {
            finding
        });
    }
    None
}

/// The storage behind the registry answered.
pub(super) fn storage(reading: &Reading<'_>) -> Option<Finding> {
    if reading.any(&[S::Xml, S::StorageRefused]) {
        return Some(
            Finding::sure(Clue::RedirectOrStorageFailed, Stage::Blob)
                .with(&[Clue::PermissionDenied, Clue::FirewallDenied403]),
        );
    }
    if reading.has(S::Redirects) {
        return Some(Finding::unsure(
            Clue::RedirectOrStorageFailed,
            Stage::Manifest,
            &[Clue::Unknown],
        ));
    }
    None
}

pub(super) fn platform(reading: &Reading<'_>) -> Option<Finding> {
    reading
        .has(S::Platform)
        .then(|| Finding::sure(Clue::PlatformMismatch, Stage::Platform))
}

/// A manifest that came and cannot be used.
pub(super) fn unusable(reading: &Reading<'_>) -> Option<Finding> {
    // A media type inside of "could not fetch" only says what was asked for.
    if reading.has(S::DescriptorFetch) || !reading.has(S::Unsupported) {
        return None;
    }
    if reading.has(S::HtmlType) {
        // A web page in place of a manifest: not a registry that answered.
        return Some(Finding::unsure(
            Clue::MirrorMisconfigured,
            Stage::Manifest,
            &[Clue::UnsupportedManifest, Clue::ProxyFailed],
        ));
    }
    let finding = Finding::sure(Clue::UnsupportedManifest, Stage::Manifest);
    Some(
        if reading.has(S::Unpack) || reading.text.contains("unpack") {
            Finding {
                certain: false,
                ..finding
            }
            .with(&[Clue::UnpackFailed, Clue::RuntimeError])
        } else {
            finding
        },
    )
}

/// Something is not there.
pub(super) fn absent(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::BlobUnknown) {
        return Some(Finding::sure(Clue::BlobNotFound, Stage::Blob));
    }
    if reading.has(S::DescriptorFetch) {
        return Some(descriptor(reading));
    }
    if reading.has(S::NameUnknown) {
        return Some(Finding::sure(Clue::RepositoryNotFound, Stage::Manifest));
    }
    if reading.has(S::ManifestUnknown) {
        return Some(manifest(reading));
    }
    if reading.has(S::ContentAt) && reading.has(S::NotFound) {
        return match reading.asked() {
            Some(Asked::ManifestByDigest) => {
                Some(Finding::sure(Clue::ManifestDigestNotFound, Stage::Manifest))
            }
            Some(Asked::Blob) => Some(Finding::sure(Clue::BlobNotFound, Stage::Blob)),
            _ => Some(manifest(reading)),
        };
    }
    if reading.has(S::Page404) {
        return Some(page_404());
    }
    if reading.has(S::ManifestFor) && reading.has(S::NotFound) {
        return Some(manifest(reading));
    }
    not_found_of(reading)
}

/// A manifest that the registry says it does not have.
fn manifest(reading: &Reading<'_>) -> Finding {
    if reading.by_digest() {
        Finding::sure(Clue::ManifestDigestNotFound, Stage::Manifest)
    } else {
        Finding::sure(Clue::TagNotFound, Stage::Manifest)
    }
}

fn page_404() -> Finding {
    Finding::unsure(
        Clue::RepositoryNotFound,
        Stage::Manifest,
        &[
            Clue::TagNotFound,
            Clue::UnsupportedManifest,
            Clue::InvalidReference,
        ],
    )
    .of(Weight::Status)
}

/// `could not fetch content descriptor sha256:… (media type) from remote`.
fn descriptor(reading: &Reading<'_>) -> Finding {
    if reading.has(S::ManifestDescriptor) {
        let finding = Finding::sure(Clue::ManifestDigestNotFound, Stage::Manifest);
        let old = reading.has(S::Unsupported);
        return finding.with(if old {
            &[Clue::UnsupportedManifest, Clue::BlobNotFound]
        } else {
            &[Clue::BlobNotFound]
        });
    }
    let finding = Finding::sure(Clue::BlobNotFound, Stage::Blob);
    if reading.has(S::HtmlType) {
        return Finding {
            certain: false,
            ..finding
        }
        .with(&[
            Clue::UnsupportedManifest,
            Clue::ManifestDigestNotFound,
            Clue::MirrorMisconfigured,
        ]);
    }
    // Without a media type it may be a manifest as well.
    let typed = reading
        .last(S::DescriptorFetch)
        .is_some_and(|hit| text::bounded(reading.after(hit.end), 120).contains('('));
    if typed {
        finding
    } else {
        Finding {
            certain: false,
            ..finding
        }
        .with(&[Clue::ManifestDigestNotFound])
    }
}

/// `REFERENCE: not found`, containerd's word for a 404 to a resolver; `image REFERENCE not found`.
fn not_found_of(reading: &Reading<'_>) -> Option<Finding> {
    let hit = reading.last(S::NotFound)?;
    let before = reading.before(hit.start).trim_end_matches([' ', ':', '"']);
    let at = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let token = text::from(before, at).trim_matches(['"', '\'', '(']);
    if token.contains("@sha256:") {
        return Some(Finding::unsure(
            Clue::ManifestDigestNotFound,
            Stage::Manifest,
            &[Clue::TagNotFound, Clue::RepositoryNotFound],
        ));
    }
    let word_before = text::until(before, at)
        .trim_end()
        .rsplit([' ', ':'])
        .next()
        .unwrap_or("");
    if ["repository", "project"]
        .iter()
        .any(|word| word_before.eq_ignore_ascii_case(word))
    {
        return Some(Finding::sure(Clue::RepositoryNotFound, Stage::Manifest));
    }
    let named =
        token.contains(['/', ':']) && !token.starts_with("sha256:") && !token.starts_with('/');
    if !named {
        return None;
    }
    Some(Finding::unsure(
        Clue::TagNotFound,
        Stage::Manifest,
        &[Clue::RepositoryNotFound],
    ))
}

/// Only the number tells.
pub(super) fn by_status(reading: &Reading<'_>) -> Option<Finding> {
    let mirror: &[Clue] = if goes_to_mirror(reading) {
        &[Clue::MirrorMisconfigured]
    } else {
        &[]
    };
    let finding = match reading.status? {
        500..=599 => {
            let step = reading.step().unwrap_or(Stage::Manifest);
            let finding = Finding::sure(
                Clue::Registry5xx,
                if reading.has(S::Signatures) {
                    Stage::Policy
                } else {
                    step
                },
            );
            let also: &[Clue] = if reading.has(S::Signatures) {
                &[Clue::PolicyBlocked]
            } else if reading.fetches_blob() {
                &[Clue::RedirectOrStorageFailed]
            } else {
                &[]
            };
            finding.with(also)
        }
        404 => match reading.asked() {
            Some(Asked::ManifestByDigest) => {
                Finding::sure(Clue::ManifestDigestNotFound, Stage::Manifest)
            }
            Some(Asked::ManifestByTag) => Finding::unsure(
                Clue::TagNotFound,
                Stage::Manifest,
                &[Clue::RepositoryNotFound],
            ),
            Some(Asked::Blob) => Finding::sure(Clue::BlobNotFound, Stage::Blob),
            Some(Asked::Ping) => Finding::unsure(
                Clue::RegistryUnavailable,
                Stage::Ping,
                &[Clue::RepositoryNotFound, Clue::MirrorMisconfigured],
            ),
            _ => page_404(),
        },
        400 | 405..=428 if reading.fetches_blob() => Finding::unsure(
            Clue::RedirectOrStorageFailed,
            Stage::Blob,
            &[Clue::MirrorMisconfigured],
        ),
        400 | 405..=428 => Finding::unsure(
            Clue::RegistryUnavailable,
            reading.step().unwrap_or(Stage::Manifest),
            &[Clue::MirrorMisconfigured, Clue::RedirectOrStorageFailed],
        )
        .of(Weight::Hint),
        _ => return None,
    };
    let weight = finding.weight.min(Weight::Status);
    Some(finding.with(mirror).of(weight))
}

/// The request went to another host than the reference names.
fn goes_to_mirror(reading: &Reading<'_>) -> bool {
    reading.has(S::MirrorParameter) || reading.request.is_some_and(|url| url.for_other_host)
}

/// The mirror, or the configuration that names it.
pub(super) fn mirror(reading: &Reading<'_>) -> Option<Finding> {
    if reading.has(S::RegistryBlocked) {
        return Some(Finding::unsure(
            Clue::PolicyBlocked,
            Stage::Policy,
            &[Clue::MirrorMisconfigured],
        ));
    }
    if reading.has(S::Html) && reading.status.is_none() && !reading.has(S::Mirror) {
        // A page for browsers where a registry should answer.
        return Some(
            Finding::unsure(
                Clue::MirrorMisconfigured,
                reading.step().unwrap_or(Stage::Ping),
                &[
                    Clue::TokenServiceFailed,
                    Clue::UnsupportedManifest,
                    Clue::ProxyFailed,
                ],
            )
            .of(Weight::Hint),
        );
    }
    reading.has(S::Mirror).then(|| {
        let mut finding = Finding::unsure(Clue::MirrorMisconfigured, Stage::Manifest, &[]);
        if reading.status.is_some_and(|code| code >= 500) {
            finding.admit(&[Clue::Registry5xx, Clue::TagNotFound]);
        } else {
            finding.admit(&[Clue::Unknown]);
        }
        finding
    })
}
