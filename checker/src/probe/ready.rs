//! What a second probe of the same image need not find out again.
//!
//! A whole probe goes first, to the manifest; what worked in it (scheme, addresses, authorization) is kept for those
//! who ask the same question many times. Nothing here is for a verdict.

use std::net::IpAddr;

use super::attempt::Way;
use super::session::{Authorization, Session};
use super::{Depth, Options};
use crate::evidence::{Evidence, Role, Seen};
use crate::keyring::{Credential, Keyring, Secret};
use crate::reference::Reference;
use crate::wire::{Url, Verify};
use crate::world::{Place, WallClock};

/// A question that was answered once.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The manifest by its name.
    pub(crate) url: Url,
    /// The value of `Authorization` that was taken.
    pub(crate) authorization: Option<Secret>,
    /// Where the registry is.
    pub(crate) addresses: Vec<IpAddr>,
    /// Whether its certificate is verified.
    pub(crate) verify: Verify,
    /// The credential that the token was given for.
    pub(crate) credential: Option<Credential>,
    /// The `Accept` headers of the question.
    pub(crate) accept: Vec<String>,
}

/// Probes to the manifest; what worked, if it did, and the record either way.
pub(crate) async fn ready(
    place: &Place,
    clock: &dyn WallClock,
    reference: &Reference,
    keyring: &Keyring,
    options: &Options,
) -> (Option<Ready>, Evidence) {
    let options = Options {
        depth: Depth::Manifest,
        ..options.clone()
    };
    let mut session = Session::new(place, clock, reference, &options);
    let lookup = keyring.lookup(reference);
    session.note_keyring(&lookup);
    let Ok(ping) = session.ping().await else {
        return (None, session.finish());
    };
    session.attempts(&ping, &lookup).await;
    let target = format!(
        "/v2/{}/manifests/{}",
        reference.repository(),
        reference.target()
    );
    let authorization = match &session.authorization {
        Authorization::None => None,
        Authorization::Basic(value) => Some(Secret::new(format!("Basic {}", value.expose()))),
        Authorization::Bearer(value) => Some(Secret::new(format!("Bearer {}", value.expose()))),
    };
    let url = session.base.with_target(&target);
    let verify = session.verify(Role::Registry);
    let evidence = session.finish();
    let used = evidence
        .attempts()
        .find(|(_, end)| end.complete)
        .map(|(fact, _)| fact.identity.clone());
    let Some(identity) = used else {
        return (None, evidence);
    };
    let credential = lookup
        .order
        .iter()
        .find(|candidate| Some(candidate.identity()) == identity)
        .map(|candidate| candidate.credential.clone())
        .filter(|credential| !credential.is_anonymous());
    let mut addresses: Vec<IpAddr> = reference.endpoint().host().address().into_iter().collect();
    for fact in evidence.about(Role::Registry) {
        if let Seen::Connected { address } = &fact.seen
            && !addresses.contains(&address.ip())
        {
            addresses.push(address.ip());
        }
    }
    let ready = Ready {
        url,
        authorization,
        addresses,
        verify,
        credential,
        accept: options.habits.accept(),
    };
    (Some(ready), evidence)
}

/// One probe of the name from nothing: connection, challenge, token, answer. True if the name was found.
pub(crate) async fn from_nothing(
    place: &Place,
    clock: &dyn WallClock,
    reference: &Reference,
    credential: Option<&Credential>,
    options: &Options,
) -> bool {
    let mut session = Session::new(place, clock, reference, options);
    let way = Way::question(credential);
    session.manifest(&way, &mut None).await.is_ok()
}
