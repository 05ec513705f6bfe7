//! The nodes that are looked from through the cluster: what they are asked, and what becomes of what they tell.
//!
//! They are asked once a check, about all of its images, before anything is judged. Of many nodes that see the same
//! only a few are kept as evidence; all of them are compared.

use std::collections::BTreeMap;

use super::group::Group;
use super::plan::{asked, plan};
use super::{IMAGES, Settings};
use crate::evidence::Evidence;
use crate::nodes::{FleetSeen, ImageOrder, NoProbe, Order};
use crate::probe::Habits;
use crate::reference::Reference;
use crate::report::Gap;
use crate::stage::Stage;
use crate::symptom::{SecretState, Symptoms};
use crate::verdict::{Comparison, Outcome, Seat, compare};
use crate::world::{Place, Vantage, World};

/// Nodes of one outcome whose facts are kept.
const KEPT: usize = 2;
/// Nodes without an answer that are named one by one.
const NAMED: usize = 5;

/// What nodes told about the images of a check.
#[derive(Default)]
pub(super) struct FromNodes {
    order: Option<Order>,
    seen: FleetSeen,
}

/// What of it concerns one image.
#[derive(Default)]
pub(super) struct OfImage {
    /// The facts, failing nodes first.
    pub(super) evidence: Evidence,
    /// Nodes that were asked no further than to `/v2/`.
    pub(super) shallow: Vec<Vantage>,
    /// Why they were.
    pub(super) note: Option<String>,
    whole: BTreeMap<String, Result<Evidence, String>>,
}

impl FromNodes {
    /// Asks the nodes, if there is a way to them.
    pub(super) async fn ask(
        world: &World,
        settings: &Settings,
        symptoms: &Symptoms,
        groups: &[&Group<'_>],
    ) -> Self {
        let Some(fleet) = world.fleet.as_ref().filter(|_| !settings.no_probe) else {
            return Self::default();
        };
        let mut order = Order {
            plain_http: settings.plain_http,
            // Nodes have a runtime of their own; only another one than the usual was told.
            habits: (settings.habits != Habits::default()).then_some(settings.habits),
            depth: settings.depth,
            user_agent: settings.user_agent.clone(),
            ..Order::default()
        };
        for group in groups.iter().take(IMAGES) {
            let Ok(reference) = Reference::parse(&group.image) else {
                continue;
            };
            let known = |one: &ImageOrder| one.reference.written() == reference.written();
            let one = image_order(world, settings, symptoms, group, reference.clone()).await;
            let one = ImageOrder {
                shallow: one.shallow && !fleet.signs_in(),
                ..one
            };
            match order.images.iter_mut().find(|one| known(one)) {
                // The same image with other credentials: what holds for both is asked.
                Some(other) => other.shallow |= one.shallow,
                None => order.images.push(one),
            }
        }
        if order.images.is_empty() {
            return Self::default();
        }
        let failing: Vec<String> = groups
            .iter()
            .flat_map(|group| group.failing.iter().filter_map(|(pod, _)| pod.node.clone()))
            .collect();
        let mut seen = fleet.look(&order, &failing).await;
        if groups.len() > IMAGES {
            seen.notes.push(format!(
                "nodes were asked about the first {IMAGES} of {} images",
                groups.len()
            ));
        }
        Self {
            order: Some(order),
            seen,
        }
    }

    /// What the nodes saw of `image`. Nodes that the world has a place on speak for themselves.
    pub(super) fn of(&self, world: &World, image: &str, failing: &[String]) -> OfImage {
        let Some(order) = &self.order else {
            return OfImage::default();
        };
        let mut found = OfImage::default();
        let asked = order
            .images
            .iter()
            .find(|one| one.reference.written() == image);
        let Some(shallow) = asked.map(|one| one.shallow) else {
            return found;
        };
        for node in &self.seen.nodes {
            if world.node(&node.name).is_some() {
                continue;
            }
            let told = match &node.heard {
                Err(why) => Err(why.to_string()),
                Ok(heard) => match heard.images.get(image) {
                    Some(seen) => Ok(seen.clone()),
                    None => Err("the probe there did not get to this image".to_owned()),
                },
            };
            if shallow && told.is_ok() {
                found.shallow.push(Vantage::node(&node.name));
            }
            found.whole.insert(node.name.clone(), told);
        }
        let seats: Vec<Seat<'_>> = found.whole.iter().map(|one| seat(one, shallow)).collect();
        // By outcome, failing nodes of the cluster before others, a few of each.
        let mut alike: BTreeMap<(bool, bool, Option<Stage>), Vec<String>> = BTreeMap::new();
        for place in compare(&seats).places {
            let Vantage::Node(name) = &place.place else {
                continue;
            };
            if place.outcome == Outcome::NoProbe {
                continue;
            }
            let fails = failing.iter().any(|one| **one == **name);
            let key = (!fails, place.outcome == Outcome::Passed, place.stage);
            alike.entry(key).or_default().push(name.to_string());
        }
        let kept = alike
            .into_values()
            .flat_map(|names| names.into_iter().take(KEPT));
        let facts: Vec<Evidence> = kept
            .filter_map(|name| found.whole.get(&name)?.as_ref().ok().cloned())
            .collect();
        for seen in facts {
            found.evidence.append(seen);
        }
        found.note = found.shallow.first().map(|_| {
            "from nodes the way was walked to /v2/ alone: they were not given the credentials that a pull has \
             (--node-pull-secret)"
                .to_owned()
        });
        found
    }

    /// What kept nodes from telling, and what they say besides.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        if let Some(error) = &self.seen.failed {
            gaps.push(Gap {
                what: format!("no node was looked from: {error}"),
                ask: error.ask(),
            });
        }
        let silent = self
            .seen
            .nodes
            .iter()
            .filter_map(|node| Some((&node.name, node.heard.as_ref().err()?)));
        for (name, why) in silent.clone().take(NAMED) {
            let other = match why {
                NoProbe::Image { .. } => "; --node-image names another one, or by hand",
                _ => "; by hand",
            };
            gaps.push(Gap {
                what: format!("node {name}: {why}{other}"),
                ask: Some(self.instead(name)),
            });
        }
        let count = silent.count();
        if count > NAMED {
            gaps.push(Gap {
                what: format!("{} more nodes gave no answer", count - NAMED),
                ask: None,
            });
        }
        let mut notes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for node in &self.seen.nodes {
            for note in node.heard.iter().flat_map(|heard| &heard.notes) {
                notes.entry(note).or_default().push(&node.name);
            }
        }
        for (note, nodes) in notes.into_iter().take(NAMED) {
            let of = match nodes.as_slice() {
                [one] => format!("node {one}"),
                [one, rest @ ..] => format!("node {one} and {} more", rest.len()),
                [] => continue,
            };
            gaps.push(Gap {
                what: format!("{of}: {note}"),
                ask: None,
            });
        }
        gaps.extend(self.seen.notes.iter().map(|note| Gap {
            what: note.clone(),
            ask: None,
        }));
        gaps
    }

    /// What to do where no probe ran: by hand, with whatever image the node has.
    fn instead(&self, node: &str) -> String {
        let first = self.order.as_ref().and_then(|order| order.images.first());
        let reference = first.map_or_else(String::new, |one| one.reference.written().to_owned());
        format!(
            "kubectl debug node/{node} -it --image=IMAGE_ON_THE_NODE -- chroot /host crictl pull {}",
            crate::verdict::quoted(&reference)
        )
    }
}

impl OfImage {
    /// Nodes and workstation side by side; nothing where no node was asked.
    pub(super) fn compared(&self, here: &Place, seen_here: &Evidence) -> Option<Comparison> {
        if self.whole.is_empty() {
            return None;
        }
        let mut seats = vec![Seat {
            place: here.vantage.clone(),
            seen: Ok(seen_here),
            shallow: false,
        }];
        let shallow = !self.shallow.is_empty();
        seats.extend(self.whole.iter().map(|one| seat(one, shallow)));
        Some(compare(&seats))
    }
}

fn seat<'e>((name, told): (&String, &'e Result<Evidence, String>), shallow: bool) -> Seat<'e> {
    Seat {
        place: Vantage::node(name),
        seen: told.as_ref().map_err(Clone::clone),
        shallow,
    }
}

/// How far a node can be asked about an image without what the pod signs in with.
async fn image_order(
    world: &World,
    settings: &Settings,
    symptoms: &Symptoms,
    group: &Group<'_>,
    reference: Reference,
) -> ImageOrder {
    let pod = group.failing.first().map(|(pod, _)| *pod).or(group.example);
    // As a node of the pod's platform and cloud would be asked.
    let node = pod.and_then(|pod| pod.node.as_deref());
    let place = Place {
        vantage: Vantage::node(node.unwrap_or_default()),
        ..world.workstation.clone()
    };
    let mut plan = plan(settings, symptoms, &reference, &place, pod, None);
    plan.keyring
        .add_asked(asked(world, settings, &reference).await);
    let unknown = pod.is_some_and(|pod| {
        pod.pull_secrets.iter().any(|secret| {
            !matches!(
                secret.state,
                SecretState::Found { .. } | SecretState::Missing
            )
        })
    });
    let lookup = plan.keyring.lookup(&reference);
    ImageOrder {
        shallow: unknown || !lookup.order.is_empty() || settings.entra_token.is_some(),
        identity: plan.options.node_identity,
        reference,
    }
}
