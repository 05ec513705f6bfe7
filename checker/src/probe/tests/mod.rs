//! The probe against the fake registry and against scripted servers, in virtual time and without sockets.

mod azure;
mod credentials;
mod habits;
mod image;
mod mirror;
mod net;
mod network;
mod proxy;
mod second_look;
mod sign_in;
mod traps;

use crate::evidence::{Evidence, Role, Seen};
use crate::keyring::{Credential, Keyring};
use crate::probe::{Options, run};
use crate::stage::Stage;
use crate::world::Place;
use net::TestClock;

async fn probe(place: &Place, image: &str, keyring: &Keyring, options: &Options) -> Evidence {
    let clock = TestClock::new();
    run(place, &clock, &image.parse().unwrap(), keyring, options).await
}

/// Probes as nobody, with the default options.
async fn look(place: &Place, image: &str) -> Evidence {
    probe(place, image, &Keyring::new(), &Options::default()).await
}

/// Over plain HTTP, as scripted registries without certificates need it.
fn plain(registry: &str) -> Options {
    let mut options = Options::default();
    options.plain_http.insert(registry.parse().unwrap());
    options
}

fn with(registry: &str, user: &str, password: &str) -> Keyring {
    let mut keyring = Keyring::new();
    keyring.add_given(registry, Credential::basic(user, password));
    keyring
}

/// The last attempt that a pull makes: where it ended, and whether all was well.
fn ended(evidence: &Evidence) -> (Stage, bool) {
    evidence
        .attempts()
        .last()
        .map(|(_, end)| (end.stage, end.complete))
        .expect("an attempt ended")
}

fn seen(evidence: &Evidence) -> impl Iterator<Item = &Seen> {
    evidence.iter().map(|fact| &fact.seen)
}

/// The facts of one role, as their names in JSON.
fn names(evidence: &Evidence, role: Role) -> Vec<String> {
    evidence
        .about(role)
        .map(|fact| {
            serde_json::to_value(&fact.seen).unwrap()["seen"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

macro_rules! find {
    ($evidence:expr, $pattern:pat $(if $guard:expr)? => $result:expr) => {
        super::seen($evidence)
            .find_map(|seen| match seen {
                $pattern $(if $guard)? => Some($result),
                _ => None,
            })
            .expect("such a fact")
    };
}
use find;
