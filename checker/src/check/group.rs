//! Containers in trouble, put together by the image that they wait for.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::symptom::{Pod, Symptoms, Trouble};

/// A pull that has run this long without an end or a failure counts as hanging.
const HANGING: SignedDuration = SignedDuration::from_secs(120);
/// The same for a pod that is being deleted: a pull that runs keeps it from going.
const HANGING_ON_DELETE: SignedDuration = SignedDuration::from_secs(60);

/// Everything in the symptoms about one image.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub(super) image: String,
    pub(super) in_cluster: bool,
    pub(super) failing: Vec<(&'a Pod, Trouble<'a>)>,
    pub(super) running_on: BTreeSet<String>,
    /// A pod that runs it; its pull secrets are those that work.
    pub(super) example: Option<&'a Pod>,
    pub(super) running: usize,
    pub(super) hanging: Option<Timestamp>,
}

/// One group an image: those in trouble; when none is, every image that the pods run.
pub(super) fn groups(symptoms: &Symptoms, now: Timestamp) -> Vec<Group<'_>> {
    let mut found: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for pod in &symptoms.pods {
        for trouble in pod.troubles() {
            let counts = match &trouble {
                Trouble::Hanging { since, .. } if pod.deleting => {
                    now.duration_since(*since) >= HANGING_ON_DELETE
                }
                Trouble::Hanging { since, .. } => now.duration_since(*since) >= HANGING,
                _ => !pod.deleting,
            };
            if !counts {
                continue;
            }
            let group = found.entry(trouble.image()).or_default();
            if let Trouble::Hanging { since, .. } = &trouble {
                group.hanging = Some(group.hanging.map_or(*since, |known| known.min(*since)));
            }
            group.failing.push((pod, trouble));
        }
    }
    let all_fine = found.is_empty();
    for pod in symptoms.pods.iter().filter(|pod| !pod.deleting) {
        for container in &pod.containers {
            if all_fine {
                found.entry(&container.image).or_default();
            }
            let runs = !container.image_id.is_empty();
            if let Some(group) = found.get_mut(container.image.as_str()).filter(|_| runs) {
                group.running += 1;
                group.running_on.extend(pod.node.clone());
                group.example.get_or_insert(pod);
            }
        }
    }
    let mut groups: Vec<Group<'_>> = found
        .into_iter()
        .map(|(image, group)| Group {
            image: image.to_owned(),
            in_cluster: true,
            ..group
        })
        .collect();
    groups.sort_by(|a, b| {
        b.failing
            .len()
            .cmp(&a.failing.len())
            .then_with(|| a.image.cmp(&b.image))
    });
    groups
}
