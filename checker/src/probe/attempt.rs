//! Which attempts a pull makes, in which order.
//!
//! A kubelet tries every credential that fits until one works, and goes on as nobody only if there is none, or
//! where the credential provider of Azure says so. Where a credential was refused, one more request is made as
//! nobody, to tell a bad credential in front of a public image from a private one.

use std::time::Duration;

use super::Depth;
use super::NodeIdentity;
use super::identity::is_azure_registry;
use super::manifest::Image;
use super::ping::Ping;
use super::session::{Session, Step, Stop};
use crate::evidence::{AttemptEnd, Identity, RequestsPerPull, Seen};
use crate::keyring::{Candidate, Credential, Lookup};
use crate::stage::Stage;
use crate::wire::challenge::Challenge;

/// As whom one attempt is made.
pub(super) struct Way<'a> {
    pub(super) credential: Option<&'a Credential>,
    pub(super) part_of_pull: bool,
    /// Requests to the exchange that this attempt needed before.
    exchanges: u32,
}

impl<'a> Way<'a> {
    /// A mere question, as somebody or as nobody.
    pub(super) const fn question(credential: Option<&'a Credential>) -> Self {
        Self {
            credential,
            part_of_pull: false,
            exchanges: 0,
        }
    }

    /// As nobody; a mere question reads no content.
    pub(super) const fn anonymous(part_of_pull: bool) -> Self {
        Self {
            credential: None,
            part_of_pull,
            exchanges: 0,
        }
    }
}

impl Session<'_> {
    /// Records what the keyring says about this image.
    pub(super) fn note_keyring(&mut self, lookup: &Lookup) {
        for passed in &lookup.passed_over {
            let seen = Seen::CredentialPassedOver {
                source: passed.source.clone(),
                key: passed.key.clone(),
                why: passed.why.clone(),
            };
            self.note_about(Stage::Auth, None, Duration::ZERO, seen);
        }
        if !lookup.malformed {
            let order = lookup.order.iter().map(Candidate::identity).collect();
            self.note_about(
                Stage::Auth,
                None,
                Duration::ZERO,
                Seen::CredentialOrder { order },
            );
        }
    }

    /// Makes attempts until one succeeds.
    pub(super) async fn attempts(&mut self, ping: &Ping, lookup: &Lookup) {
        let mut challenge = ping
            .challenge
            .clone()
            .filter(|_| self.options.habits.signs_in_by_ping());
        if let Some(challenge) = &challenge {
            self.note_challenge(challenge);
        }
        let mut refused = false;
        let mut anonymous = false;
        for candidate in &lookup.order {
            let identity = candidate.identity();
            anonymous |= identity == Identity::Anonymous;
            let credential =
                Some(&candidate.credential).filter(|credential| !credential.is_anonymous());
            let way = Way {
                credential,
                part_of_pull: true,
                exchanges: 0,
            };
            match self.attempt(identity, &way, &mut challenge).await {
                Ok(()) => return,
                Err(Stop(stage)) => refused |= is_refusal(stage),
            }
        }
        let mut part_of_pull = lookup.order.is_empty();
        let node = self.options.node_identity != NodeIdentity::Unused
            || self.options.entra_token.is_some();
        if node
            && is_azure_registry(self.reference.registry())
            && let Some(credential) = self.node_credential(ping).await
        {
            let way = Way {
                credential: Some(&credential),
                part_of_pull: true,
                exchanges: 1,
            };
            match self.attempt_as_set(&way, &mut challenge).await {
                Ok(()) => return,
                Err(Stop(stage)) => refused |= is_refusal(stage),
            }
            // The provider's answer holds an empty credential for all of Azure's registries besides.
            part_of_pull = true;
        }
        if part_of_pull || (refused && !anonymous) {
            let way = Way {
                credential: None,
                part_of_pull,
                exchanges: 0,
            };
            let _ = self
                .attempt(Identity::Anonymous, &way, &mut challenge)
                .await;
        }
    }

    async fn attempt(
        &mut self,
        identity: Identity,
        way: &Way<'_>,
        challenge: &mut Option<Challenge>,
    ) -> Step<()> {
        self.identity = Some(identity);
        self.attempt_as_set(way, challenge).await
    }

    async fn attempt_as_set(
        &mut self,
        way: &Way<'_>,
        challenge: &mut Option<Challenge>,
    ) -> Step<()> {
        self.forget_authorization();
        let outcome = self.pull(way, challenge).await;
        let stage = match outcome {
            Ok(stage) | Err(Stop(stage)) => stage,
        };
        let end = AttemptEnd {
            stage,
            complete: outcome.is_ok(),
        };
        let seen = if way.part_of_pull {
            Seen::AttemptEnded(end)
        } else {
            Seen::ComparisonEnded(end)
        };
        self.note_about(stage, None, Duration::ZERO, seen);
        outcome.map(|_| ())
    }

    /// What a pull does, up to the depth that is wanted; the last stage on success.
    pub(super) async fn pull(
        &mut self,
        way: &Way<'_>,
        challenge: &mut Option<Challenge>,
    ) -> Step<Stage> {
        let Some(image) = self.manifest(way, challenge).await? else {
            return Ok(Stage::Manifest);
        };
        let requests = requests(&image, challenge.as_ref(), way);
        self.note(
            Stage::Manifest,
            Duration::ZERO,
            Seen::RequestsPerPull(requests),
        );
        if self.options.depth < Depth::Blobs {
            return Ok(Stage::Platform);
        }
        self.blobs(&image).await?;
        Ok(Stage::Blob)
    }
}

/// Stages at which another credential, or none, could have fared better.
const fn is_refusal(stage: Stage) -> bool {
    matches!(stage, Stage::Auth | Stage::Token | Stage::Manifest)
}

/// What one pull of this image sends: HEAD (twice where the first is answered by a challenge), every manifest by
/// digest, the configuration and each layer once.
fn requests(image: &Image, challenge: Option<&Challenge>, way: &Way<'_>) -> RequestsPerPull {
    let mut blobs = vec![&image.config.digest];
    for layer in image.layers.iter().filter(|layer| !layer.foreign) {
        if !blobs.contains(&&layer.digest) {
            blobs.push(&layer.digest);
        }
    }
    let challenged = u32::from(challenge.is_some());
    let bearer =
        challenge.is_some_and(|challenge| challenge.scheme == crate::evidence::Scheme::Bearer);
    RequestsPerPull {
        manifests: 1 + challenged + image.manifests,
        blobs: u32::try_from(blobs.len()).unwrap_or(u32::MAX),
        tokens: u32::from(bearer) + way.exchanges,
    }
}
