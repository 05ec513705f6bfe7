//! The image manager as a pure state machine: what the kubelet does about one container's image at one
//! sync, and what it remembers of failures (`kubelet/images/image_manager.go`).
//!
//! A driver (the pod worker here, a discrete-event storm elsewhere) asks [`ImageManager::step`] with what
//! it knows, carries out the [`Action`], and reports how a pull ended. No clock, no network, no events:
//! their texts are built by the caller from the action.

use std::collections::BTreeMap;
use std::time::Duration;

use super::back_off::BackOff;

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullPolicy {
    /// At every start of a container.
    Always,
    /// Only when it is not on the node.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// As `imagePullPolicy` spells it; anything else is what the API server would have defaulted to.
    pub fn parse(text: &str) -> Self {
        match text {
            "Always" => Self::Always,
            "Never" => Self::Never,
            _ => Self::IfNotPresent,
        }
    }
}

/// What is on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Nothing under this name.
    Absent,
    /// The image, and this pod may use it.
    Present,
    /// The image, but this pod has not shown that it could pull it (Kubernetes 1.35 on).
    PresentForOthers,
}

/// What happened to an image.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A container of a pod wants to start.
    Wanted {
        /// `<pod uid>_<image as written>`.
        key: &'a str,
        /// The container's policy.
        policy: PullPolicy,
        /// What is on the node.
        presence: Presence,
    },
    /// A pull succeeded.
    Pulled {
        /// The same key.
        key: &'a str,
    },
    /// A pull failed.
    Failed {
        /// The same key.
        key: &'a str,
        /// `ErrImagePull`, or one of the runtime's special words.
        reason: &'a str,
        /// The runtime's text.
        message: &'a str,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the container from the image on the node.
    Use,
    /// Ask the runtime to pull.
    Pull,
    /// Fail this sync: `ErrImageNeverPull`.
    Refuse,
    /// Fail this sync: `ImagePullBackOff`.
    BackOff {
        /// Until the next attempt may be made.
        remaining: Duration,
        /// `<reason>: <message>` of the last failure.
        cause: Option<String>,
    },
    /// Noted; after a failure this is the delay in force.
    Noted(Option<Duration>),
}

/// What the kubelet remembers of the images of one node.
#[derive(Debug, Clone, Default)]
pub struct ImageManager {
    back_off: BackOff,
    causes: BTreeMap<String, String>,
}

impl ImageManager {
    /// A kubelet that has just started.
    pub fn new() -> Self {
        Self::default()
    }

    /// One event at virtual time `now`.
    pub fn step(&mut self, now: Duration, event: Event<'_>) -> Action {
        match event {
            Event::Wanted {
                key,
                policy,
                presence,
            } => self.wanted(now, key, policy, presence),
            Event::Pulled { key } => {
                self.causes.remove(key);
                self.back_off.collect(now);
                Action::Noted(None)
            }
            Event::Failed {
                key,
                reason,
                message,
            } => {
                self.causes
                    .insert(key.to_owned(), format!("{reason}: {message}"));
                Action::Noted(Some(self.back_off.failed(key, now)))
            }
        }
    }

    /// The delay in force for a key.
    pub fn delay(&self, key: &str) -> Option<Duration> {
        self.back_off.delay(key)
    }

    fn wanted(&self, now: Duration, key: &str, policy: PullPolicy, presence: Presence) -> Action {
        match (policy, presence) {
            (PullPolicy::Never | PullPolicy::IfNotPresent, Presence::Present) => Action::Use,
            (PullPolicy::Never, _) => Action::Refuse,
            _ => match self.back_off.remaining(key, now) {
                Some(remaining) => Action::BackOff {
                    remaining,
                    cause: self.causes.get(key).cloned(),
                },
                None => Action::Pull,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "uid_registry.example/team/web:v1";

    #[test]
    fn policy_and_presence_decide() {
        use {Presence as H, PullPolicy as P};
        let table = [
            (P::Always, H::Absent, Action::Pull),
            (P::Always, H::Present, Action::Pull),
            (P::IfNotPresent, H::Absent, Action::Pull),
            (P::IfNotPresent, H::Present, Action::Use),
            (P::IfNotPresent, H::PresentForOthers, Action::Pull),
            (P::Never, H::Absent, Action::Refuse),
            (P::Never, H::Present, Action::Use),
            (P::Never, H::PresentForOthers, Action::Refuse),
        ];
        for (policy, presence, want) in table {
            let got = ImageManager::new().step(
                Duration::ZERO,
                Event::Wanted {
                    key: KEY,
                    policy,
                    presence,
                },
            );
            assert_eq!(got, want, "{policy:?} {presence:?}");
        }
    }

    #[test]
    fn the_back_off_carries_the_last_cause_until_a_success() {
        let wanted = Event::Wanted {
            key: KEY,
            policy: PullPolicy::Always,
            presence: Presence::Absent,
        };
        let mut manager = ImageManager::new();
        manager.step(
            Duration::ZERO,
            Event::Failed {
                key: KEY,
                reason: "ErrImagePull",
                message: "EOF",
            },
        );
        let got = manager.step(Duration::from_secs(4), wanted);
        let cause = Some("ErrImagePull: EOF".to_owned());
        assert_eq!(
            got,
            Action::BackOff {
                remaining: Duration::from_secs(6),
                cause
            }
        );
        manager.step(Duration::from_secs(12), Event::Pulled { key: KEY });
        assert_eq!(manager.causes.len(), 0);
        assert_eq!(
            manager.delay(KEY),
            Some(Duration::from_secs(10)),
            "a success does not end the pod's entry"
        );
    }

    /// Attempts of a pod that syncs every 10 to 15 s: each gap is the delay, rounded up to the next sync.
    fn attempts(syncs: &[u64]) -> Vec<(Duration, Duration)> {
        let mut manager = ImageManager::new();
        let (mut now, mut made) = (Duration::ZERO, Vec::new());
        for gap in syncs {
            let wanted = Event::Wanted {
                key: KEY,
                policy: PullPolicy::Always,
                presence: Presence::Absent,
            };
            if manager.step(now, wanted) == Action::Pull {
                let noted = manager.step(
                    now,
                    Event::Failed {
                        key: KEY,
                        reason: "ErrImagePull",
                        message: "x",
                    },
                );
                let Action::Noted(Some(delay)) = noted else {
                    unreachable!()
                };
                made.push((now, delay));
            }
            now += Duration::from_millis(*gap);
        }
        made
    }

    proptest! {
        #[test]
        fn gaps_follow_the_rule(syncs in proptest::collection::vec(10_000u64..15_000, 90..120)) {
            let made = attempts(&syncs);
            prop_assert!(made.len() >= 7);
            for pair in made.windows(2) {
                let [(earlier, delay), (later, _)] = pair else { unreachable!() };
                let gap = later.saturating_sub(*earlier);
                prop_assert!(gap >= *delay && gap < *delay + Duration::from_secs(15), "{gap:?} after {delay:?}");
            }
        }
    }
}
