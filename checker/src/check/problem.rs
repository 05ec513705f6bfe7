//! From answers to problems: one bad node is told from one bad image and from one registry.

use std::collections::{BTreeMap, BTreeSet};

use crate::cause::Cause;
use crate::reference::Reference;
use crate::report::{Answer, Extent, Problem};
use crate::stage::Stage;
use crate::verdict::Verdict;

/// Node to blame, registry, kind of verdict, first cause.
type Key = (Option<String>, String, &'static str, Option<Cause>);

/// Puts answers that are no success together. `nodes` are all that are known of, failing or not.
pub(super) fn problems(answers: &[Answer], nodes: &BTreeSet<String>) -> Vec<Problem> {
    let mut found: BTreeMap<Key, Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        let verdict = &answer.judgement.verdict;
        let first = match verdict {
            Verdict::Pullable => continue,
            Verdict::Blocked { cause, .. } => Some(*cause),
            Verdict::Undetermined { candidates, .. } => candidates.first().copied(),
        };
        let node = bad_node(answer, nodes);
        let host = if node.is_some() {
            String::new()
        } else {
            host(&answer.image)
        };
        found
            .entry((node, host, verdict.kind(), first))
            .or_default()
            .push(answer);
    }
    let mut problems: Vec<Problem> = found
        .into_iter()
        .map(|((node, host, kind, _), answers)| {
            let set = |of: &dyn Fn(&Answer) -> Vec<String>| -> Vec<String> {
                let all: BTreeSet<String> = answers.iter().flat_map(|one| of(one)).collect();
                all.into_iter().collect()
            };
            let images = set(&|one| vec![one.image.clone()]);
            let verdict = answers.first().map(|one| &one.judgement.verdict);
            let candidates = match verdict {
                Some(Verdict::Undetermined { candidates, .. }) => {
                    candidates.iter().copied().take(3).collect()
                }
                _ => Vec::new(),
            };
            let extent = match (node, images.as_slice()) {
                (Some(node), _) => Extent::Node { node },
                (None, [image]) => Extent::Image {
                    image: image.clone(),
                },
                (None, _) => Extent::Registry { host },
            };
            Problem {
                verdict: kind,
                cause: verdict.and_then(Verdict::cause),
                candidates,
                stage: verdict.and_then(Verdict::stage),
                extent,
                nodes: set(&|one| one.waiting.iter().filter_map(|w| w.node.clone()).collect()),
                namespaces: set(&|one| one.waiting.iter().map(|w| w.namespace.clone()).collect()),
                waiting: answers.iter().map(|one| one.waiting.len()).sum(),
                images,
            }
        })
        .collect();
    problems.sort_by(|a, b| {
        (a.verdict, std::cmp::Reverse(a.waiting), &a.extent).cmp(&(
            b.verdict,
            std::cmp::Reverse(b.waiting),
            &b.extent,
        ))
    });
    problems
}

/// The node to blame: the image fails there alone, though there are others, for a reason that is the
/// node's or with the image running elsewhere.
fn bad_node(answer: &Answer, nodes: &BTreeSet<String>) -> Option<String> {
    let failing: BTreeSet<&String> = answer
        .waiting
        .iter()
        .filter_map(|one| one.node.as_ref())
        .collect();
    let [node] = failing.into_iter().collect::<Vec<_>>()[..] else {
        return None;
    };
    let others = nodes.iter().any(|other| other != node);
    let of_the_node = matches!(
        answer.judgement.verdict.stage(),
        Some(Stage::Dns | Stage::Tcp | Stage::Proxy | Stage::Tls | Stage::Unpack)
    );
    (others && (of_the_node || answer.running > 0)).then(|| node.clone())
}

/// The registry of an image as it is written.
pub(super) fn host(image: &str) -> String {
    Reference::parse(image).map_or_else(|_| String::new(), |one| one.registry().to_string())
}
