//! The hosts that a runtime asks before the registry, each as the runtime would: by its own path, with `ns=` where
//! containerd sends it, and as nobody.
//!
//! A mirror that serves the whole image ends the pull. One that has it not, refuses or fails is a fact, and the
//! next host is asked. No credential for the registry is given to a mirror, though some runtimes would; headers that
//! the runtime's configuration holds for the mirror itself are.

use std::time::Duration;

use rustls_pki_types::CertificateDer;

use super::attempt::Way;
use super::session::{Session, Stop};
use crate::evidence::{AttemptEnd, Endpoint, Identity, MirrorOutcome, Role, Seen};
use crate::mirrors::{MirrorHost, Route, Upstream};
use crate::stage::Stage;
use crate::wire::{Url, UrlScheme, encode_query};
use crate::world::{ClientCertificate, Place};

/// What the mirrors gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mirrored {
    /// One of them served the image.
    Whole,
    /// None did; the last one that was asked ended at this stage.
    No(Stage),
}

impl Session<'_> {
    /// Speaks with the registry itself as its runtime is told to.
    pub(super) fn speak_as(&mut self, upstream: &Upstream) {
        self.unverified = !upstream.verify;
        self.plain_fallback = upstream.plain_fallback;
        if upstream.plain_http {
            self.base = Url::new(UrlScheme::Http, self.base.authority().clone(), "/v2/");
        }
    }

    /// Asks the mirrors of a route in order.
    pub(super) async fn mirrors(&mut self, route: &Route) -> Mirrored {
        let mut last = Stage::Manifest;
        for mirror in &route.mirrors {
            if !mirror.serves(self.reference) {
                continue;
            }
            let outcome = self.mirror(mirror).await;
            let endpoint = Endpoint::new(Role::Mirror, mirror.base.authority().clone());
            let seen = Seen::MirrorTried { outcome };
            let stage = match outcome {
                MirrorOutcome::Failed { stage } | MirrorOutcome::Refused { stage } => stage,
                MirrorOutcome::Served => Stage::Blob,
                MirrorOutcome::Absent | MirrorOutcome::Resolved => Stage::Manifest,
            };
            self.note_about(stage, Some(endpoint), Duration::ZERO, seen);
            if outcome == MirrorOutcome::Served {
                self.identity = Some(Identity::Anonymous);
                let end = AttemptEnd {
                    stage,
                    complete: true,
                };
                self.note_about(stage, None, Duration::ZERO, Seen::AttemptEnded(end));
                self.identity = None;
                return Mirrored::Whole;
            }
            last = stage;
        }
        Mirrored::No(last)
    }

    async fn mirror(&mut self, mirror: &MirrorHost) -> MirrorOutcome {
        let reference = mirror.renamed.as_ref().unwrap_or(self.reference);
        let place = knowing(
            self.connector.place,
            (&mirror.trust, &mirror.trusted_from),
            mirror.client.as_ref(),
        );
        let mut inner = Session::new(&place, self.connector.clock, reference, self.options);
        inner.role = Role::Mirror;
        inner.identity = Some(Identity::Anonymous);
        inner.unverified = !mirror.verify;
        inner.plain_fallback = mirror.plain_fallback;
        inner.base = mirror.base.clone();
        inner.headers.clone_from(&mirror.headers);
        inner.prefix = mirror.base.path().trim_end_matches('/').to_owned();
        inner.namespace = mirror
            .namespace
            .as_ref()
            .map(|name| encode_query([("ns", &**name)]));
        let way = Way::anonymous(mirror.pull);
        let mut challenge = None;
        if self.options.habits.signs_in_by_ping() {
            // A failure to connect shows in the next request as well.
            challenge = inner.ping().await.ok().and_then(|ping| ping.challenge);
        }
        let outcome = inner.pull(&way, &mut challenge).await;
        let evidence = inner.finish();
        let outcome = match outcome {
            Ok(_) if mirror.pull => MirrorOutcome::Served,
            Ok(_) => MirrorOutcome::Resolved,
            Err(Stop(stage)) => {
                let refused = evidence.iter().rev().find_map(|fact| match &fact.seen {
                    Seen::ManifestRefused { refusal, .. } => Some(refusal.status),
                    _ => None,
                });
                match (stage, refused) {
                    (Stage::Manifest, Some(404)) => MirrorOutcome::Absent,
                    (Stage::Auth | Stage::Token, _) | (Stage::Manifest, Some(401 | 403)) => {
                        MirrorOutcome::Refused { stage }
                    }
                    _ => MirrorOutcome::Failed { stage },
                }
            }
        };
        self.append(evidence);
        outcome
    }
}

/// The place with what the runtime knows for one host: authorities, the files they are from, a client certificate.
pub(super) fn knowing(
    place: &Place,
    (more, files): (&[CertificateDer<'static>], &[Box<str>]),
    client: Option<&ClientCertificate>,
) -> Place {
    let mut place = place.clone();
    if !more.is_empty() {
        place.trust = place.trust.with(more);
    }
    place.trusted_from.extend(files.iter().cloned());
    place.client = client.cloned();
    place
}
