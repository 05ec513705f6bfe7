//! Pulls, as the events of pods tell of them: a real kubelet keeps no list.

use std::collections::BTreeMap;

use crate::backend::Attempt;
use crate::observer::{EventWrite, Seconds, Seen};

/// Every pull that began or ended visibly. Events that the kubelet held back are not there.
pub(super) fn from_events(seen: &Seen) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    // The pull that is under way, by pod and image.
    let mut open: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in &seen.events {
        let Some(pod) = event.object.strip_prefix("pod/") else {
            continue;
        };
        let Some((what, image, rest)) = read(event) else {
            continue;
        };
        let key = (pod.to_owned(), image.to_owned());
        let under_way = open.remove(&key);
        let at = under_way.unwrap_or_else(|| {
            attempts.push(Attempt {
                node: seen.nodes.get(pod).cloned().unwrap_or_default(),
                pod: pod.to_owned(),
                image: image.to_owned(),
                at: event.at,
                took: Seconds::default(),
                pulled: false,
                error: None,
                back_off: None,
            });
            attempts.len() - 1
        });
        let Some(attempt) = attempts.get_mut(at) else {
            continue;
        };
        match what {
            // A second beginning without an end: the first one's end was not told.
            What::Begins if under_way.is_some() => {
                let again = Attempt {
                    at: event.at,
                    ..attempt.clone()
                };
                attempts.push(again);
                open.insert(key, attempts.len() - 1);
            }
            What::Begins => drop(open.insert(key, at)),
            What::Arrives => {
                attempt.pulled = true;
                attempt.took = since(attempt.at, event.at);
            }
            What::Fails => {
                attempt.error = Some(rest.to_owned());
                attempt.took = since(attempt.at, event.at);
            }
        }
    }
    // One that nobody told the end of has neither failed nor arrived.
    attempts.retain(|attempt| attempt.pulled || attempt.error.is_some());
    attempts
}

fn since(from: Seconds, to: Seconds) -> Seconds {
    Seconds(to.0.saturating_sub(from.0))
}

enum What {
    Begins,
    Arrives,
    Fails,
}

/// What an event says of a pull: the image, and the rest of the message.
fn read(event: &EventWrite) -> Option<(What, &str, &str)> {
    let message = event.message.as_str();
    let message = message
        .strip_prefix("(combined from similar events): ")
        .unwrap_or(message);
    let forms = [
        ("Pulling", "Pulling image \"", What::Begins),
        ("Pulled", "Successfully pulled image \"", What::Arrives),
        ("Failed", "Failed to pull image \"", What::Fails),
    ];
    forms.into_iter().find_map(|(reason, begin, what)| {
        let (image, rest) = message.strip_prefix(begin)?.split_once('"')?;
        (event.reason == reason).then_some((what, image, rest.trim_start_matches(": ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, reason: &str, message: &str) -> EventWrite {
        EventWrite {
            at: Seconds(at * 1000),
            type_: String::new(),
            reason: reason.into(),
            object: "pod/web-1".into(),
            message: message.into(),
            count: 1,
        }
    }

    #[test]
    fn what_events_tell_of_pulls() {
        let mut seen = Seen::default();
        seen.nodes.insert("web-1".into(), "node-1".into());
        seen.events = vec![
            event(
                1,
                "Scheduled",
                "Successfully assigned default/web-1 to node-1",
            ),
            event(2, "Pulling", "Pulling image \"r/a:1\""),
            event(
                3,
                "Failed",
                "Failed to pull image \"r/a:1\": rpc error: not found",
            ),
            event(3, "Failed", "Error: ErrImagePull"),
            event(4, "BackOff", "Back-off pulling image \"r/a:1\""),
            event(16, "Pulling", "Pulling image \"r/a:1\""),
            event(
                46,
                "Failed",
                "(combined from similar events): Failed to pull image \"r/a:1\": late",
            ),
            event(60, "Pulling", "Pulling image \"r/a:1\""),
            event(61, "Pulled", "Successfully pulled image \"r/a:1\" in 261ms"),
            event(70, "Pulling", "Pulling image \"r/a:1\""),
        ];
        let told: Vec<String> = from_events(&seen)
            .into_iter()
            .map(|a| {
                format!(
                    "{} {} {} {:?}",
                    a.node,
                    a.at.0 / 1000,
                    a.took.0 / 1000,
                    a.error
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "node-1 2 1 Some(\"rpc error: not found\")",
                "node-1 16 30 Some(\"late\")",
                "node-1 60 1 None",
            ]
        );
    }
}
