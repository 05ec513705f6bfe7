//! The workshop: someone learns image pulls on a cluster that is broken on purpose.
//!
//! The story without the cause, hints from vague to plain, a cause to name, a repair to make, and a
//! debrief. This room judges and tells; the cluster itself is `live::Lab`, and whoever holds the
//! terminal is elsewhere.

mod answer;
mod course;
mod debrief;
mod marks;
mod others;
mod repair;

pub use answer::{Meant, meant};
pub use course::{Course, Lesson};
pub use debrief::{Told, debrief};
pub use marks::{Graded, Marks, Repair};
pub use others::{Favour, FavourError, favour, favours};
pub use repair::{Before, Flaw};

use crate::spec::{Access, Scenario};

/// The courses that ship with the project.
pub mod courses {
    pub use super::course::{find, ids, parse};
}

/// What a learner is told at the beginning: what is there and what is seen, never why.
pub fn story(scenario: &Scenario) -> String {
    let ask = &scenario.acts.diagnose.ask.value;
    let observe = &scenario.acts.observe;
    let hosts: Vec<&str> = scenario
        .registries
        .iter()
        .map(|registry| registry.host.value.as_str())
        .collect();
    let nodes = match scenario.all_nodes().len() {
        1 => "one node".to_owned(),
        n => format!("{n} nodes"),
    };
    let azure = if scenario.azure.is_some() {
        " It runs on Azure, and you may read and change what az can."
    } else {
        ""
    };
    let registries = match hosts.as_slice() {
        [one] => format!("the registry {one}"),
        many => format!("the registries {}", many.join(", ")),
    };
    format!(
        "{}.\n\nA cluster with {nodes} pulls from {registries}.{azure} It was well. For {} now, {} {} has not been: \
         kubectl shows {}.",
        scenario.title.trim_end_matches('.'),
        crate::text::length(observe.for_.get()),
        ask.kind.word(),
        ask.name,
        observe.expect.waiting
    )
}

/// Accounts that someone could ask for: host, user, password. They exist in the simulation only.
pub fn accounts(scenario: &Scenario) -> Vec<(String, String, String)> {
    let own = scenario
        .registries
        .iter()
        .filter(|registry| matches!(registry.access, Access::Token | Access::Basic))
        .flat_map(|registry| {
            let host = registry.host.value.clone();
            registry
                .users
                .iter()
                .map(move |(user, account)| (host.clone(), user.clone(), account.password.clone()))
        });
    let tokens = scenario
        .azure
        .iter()
        .flat_map(|azure| &azure.registries)
        .flat_map(|registry| {
            registry.tokens.iter().map(|(user, token)| {
                let host = format!("{}.azurecr.io", registry.name);
                (host, user.clone(), token.password.clone())
            })
        });
    own.chain(tokens).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The story, the hints before the last and the favours never have the cause's own name in them.
    #[test]
    fn a_story_does_not_give_the_cause_away() {
        for scenario in crate::catalogue::all().unwrap() {
            let story = story(&scenario);
            let cause = &scenario.cause.value;
            assert!(
                !story.contains(cause.as_str()),
                "{}: {story}",
                scenario.id()
            );
            assert!(
                !story.contains(scenario.teaches.trim()),
                "{}",
                scenario.id()
            );
            for hint in scenario.hints.iter().rev().skip(1) {
                assert!(!hint.contains(cause.as_str()), "{}: {hint}", scenario.id());
            }
            for favour in favours(&scenario) {
                assert!(
                    !favour.what.contains(cause.as_str()),
                    "{}: {}",
                    scenario.id(),
                    favour.what
                );
            }
        }
    }
}
