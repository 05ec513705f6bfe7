//! Carrying an order out, from where the program stands.

use super::load;
use super::order::{ImageOrder, Order};
use super::stand::Standing;
use super::told;
use crate::keyring::Keyring;
use crate::probe::{self, Depth, Options};
use crate::world::{Programs, WallClock};

/// Carries `order` out and prints what was seen, a line at a time, as soon as it is there: whoever ends the program
/// early has what came before.
pub async fn carry_out(
    order: &Order,
    standing: &Standing,
    programs: &dyn Programs,
    clock: &dyn WallClock,
    mut print: impl FnMut(&str),
) {
    print(&told::head());
    for note in &standing.notes {
        print(&told::note(note));
    }
    let clock = standing
        .place
        .clock
        .as_ref()
        .map_or(clock, |own| own.as_ref());
    for image in &order.images {
        let keyring = keyring(order, standing, programs, image).await;
        let options = options(order, standing, image);
        if let Some(wanted) = &order.load {
            let seen = load::measure(
                standing,
                clock,
                &image.reference,
                &keyring,
                &options,
                wanted,
            );
            print(&told::load(&seen.await));
            continue;
        }
        let seen = probe::run(&standing.place, clock, &image.reference, &keyring, &options).await;
        print(&told::image(image.reference.written(), &seen));
    }
    print(&told::end());
}

/// What the node has, in the kubelet's order: pull secrets, then credential providers.
async fn keyring(
    order: &Order,
    standing: &Standing,
    programs: &dyn Programs,
    image: &ImageOrder,
) -> Keyring {
    let mut keyring = Keyring::new();
    if image.shallow {
        return keyring;
    }
    for (namespace, name) in &order.secrets {
        if let Some((kind, body)) = standing.secrets.get(name) {
            keyring.add_pull_secret(namespace, name, kind, Some(body.expose().as_bytes()));
        }
    }
    if let Some(providers) = &standing.providers {
        keyring.add_asked(providers.ask(programs, &image.reference).await);
    }
    keyring
}

fn options(order: &Order, standing: &Standing, image: &ImageOrder) -> Options {
    let mut options = Options {
        mirrors: standing.mirrors.clone(),
        habits: order.habits.unwrap_or(standing.habits),
        platform: standing.platform.clone(),
        node_identity: image.identity.clone(),
        ..Options::default()
    };
    if let Some(depth) = order.depth {
        options.depth = depth;
    }
    if image.shallow {
        options.depth = Depth::Ping;
        options.node_identity = probe::NodeIdentity::Unused;
    }
    if let Some(agent) = &order.user_agent {
        options.user_agent.clone_from(agent);
    }
    if order.plain_http {
        options.plain_http.insert(image.reference.endpoint());
    }
    options
}
