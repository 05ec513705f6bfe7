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
    /// A pod that runs it or will; its pull secrets are sent where nothing fails.
    pub(super) example: Option<&'a Pod>,
    pub(super) running: usize,
    pub(super) hanging: Option<Timestamp>,
    /// A pod whose container of this image does not stay up, and the code with which it ends.
    pub(super) stops: Option<(&'a Pod, i32)>,
}

/// One group an image and set of pull secrets: those in trouble; when none is, and the request was no
/// `wide` one, every image that the pods run.
pub(super) fn groups(symptoms: &Symptoms, now: Timestamp, wide: bool) -> Vec<Group<'_>> {
    let mut found: BTreeMap<(&str, String), Group<'_>> = BTreeMap::new();
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
            let group = found
                .entry((trouble.image(), credentials_of(pod)))
                .or_default();
            if let Trouble::Hanging { since, .. } = &trouble {
                group.hanging = Some(group.hanging.map_or(*since, |known| known.min(*since)));
            }
            group.failing.push((pod, trouble));
        }
    }
    let all_fine = found.is_empty() && !wide;
    for pod in symptoms.pods.iter().filter(|pod| !pod.deleting) {
        for container in &pod.containers {
            if all_fine {
                found
                    .entry((&container.image, credentials_of(pod)))
                    .or_default()
                    .example
                    .get_or_insert(pod);
            }
            if container.image_id.is_empty() {
                continue;
            }
            let alike = found
                .range_mut((container.image.as_str(), String::new())..)
                .take_while(|((image, _), _)| *image == container.image);
            for (_, group) in alike {
                group.running += 1;
                if let Some(code) = container.stops_with() {
                    group.stops.get_or_insert((pod, code));
                }
                group.running_on.extend(pod.node.clone());
                group.example.get_or_insert(pod);
            }
        }
    }
    let mut groups: Vec<Group<'_>> = found
        .into_iter()
        .map(|((image, _), mut group)| {
            if let Some(runs) = symptoms.runs.get(image) {
                group.running += runs.containers;
                group.running_on.extend(runs.nodes.iter().cloned());
            }
            Group {
                image: image.to_owned(),
                in_cluster: true,
                ..group
            }
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

/// What a pod's pulls are signed in with: pods that agree in it are asked about once.
fn credentials_of(pod: &Pod) -> String {
    if pod.pull_secrets.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = pod
        .pull_secrets
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    format!("{}/{}", pod.namespace, names.join(","))
}
