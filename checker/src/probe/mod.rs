//! The probe: walks the way of a pull from one place, and records what it sees.
//!
//! Resolve, connect, TLS, `/v2/`, challenge, token, manifest, platform, configuration and layers, in the order
//! and in the manner of containerd, and it stops where a pull would stop. A place, a reference, options and a
//! keyring come in; evidence goes out. It decides nothing: a refusal is a fact, and what the facts mean is up to
//! the verdict. It is polite: one request at a time, `Retry-After` is obeyed, nothing is tried again in a hurry.

mod attempt;
mod auth;
mod blobs;
mod connect;
mod habits;
mod identity;
mod manifest;
mod mirror;
mod options;
mod ping;
mod platform;
mod ready;
mod second_look;
mod session;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use mirror::Mirrored;
use session::{Session, Stop};

use crate::evidence::{AttemptEnd, Evidence, Seen};
use crate::keyring::Keyring;
use crate::reference::Reference;
use crate::stage::Stage;
use crate::world::{Place, WallClock};

pub use habits::Habits;
pub use options::{Deadlines, Depth, NodeIdentity, Options};
pub(crate) use ready::{Ready, from_nothing, ready};
pub use watch::{Progress, Watch};

/// Probes one image from one place.
///
/// Each attempt at a pull (one a credential) ends with [`Seen::AttemptEnded`]; a complete one means that the
/// image can be pulled, as far as the depth goes.
pub async fn run(
    place: &Place,
    clock: &dyn WallClock,
    reference: &Reference,
    keyring: &Keyring,
    options: &Options,
) -> Evidence {
    let route = options.mirrors.route(reference);
    let upstream = route.as_ref().and_then(|route| route.registry.as_ref());
    let place = match upstream {
        None => place.clone(),
        Some(upstream) => mirror::knowing(
            place,
            (&upstream.trust, &upstream.trusted_from),
            upstream.client.as_ref().or(place.client.as_ref()),
        ),
    };
    let mut session = Session::new(&place, clock, reference, options);
    if let Some(upstream) = upstream {
        session.speak_as(upstream);
    }
    let lookup = keyring.lookup(reference);
    session.note_keyring(&lookup);
    if lookup.malformed {
        // The kubelet gives up before it asks the runtime for anything.
        end(&mut session, Stage::Kubelet, false);
        return session.finish();
    }
    if let Some(route) = &route {
        if route.blocked {
            session.note(Stage::Policy, Duration::ZERO, Seen::RegistryBlocked);
            end(&mut session, Stage::Policy, false);
            return session.finish();
        }
        if options.depth > Depth::Ping {
            match session.mirrors(route).await {
                Mirrored::Whole => return session.finish(),
                Mirrored::No(stage) if route.registry.is_none() => {
                    end(&mut session, stage, false);
                    return session.finish();
                }
                Mirrored::No(_) => {}
            }
        }
    }
    match session.ping().await {
        Err(Stop(stage)) => end(&mut session, stage, false),
        // CRI-O goes no further than an answer that no registry gives; others ask for the image all the same.
        Ok(ping) if options.habits == Habits::CriO && !matches!(ping.status, 200 | 401) => {
            end(&mut session, Stage::Ping, false);
        }
        Ok(_) if options.depth == Depth::Ping => end(&mut session, Stage::Ping, true),
        Ok(ping) => session.attempts(&ping, &lookup).await,
    }
    session.finish()
}

fn end(session: &mut Session<'_>, stage: Stage, complete: bool) {
    let end = AttemptEnd { stage, complete };
    session.note_about(stage, None, Duration::ZERO, Seen::AttemptEnded(end));
}
