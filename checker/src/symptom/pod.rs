//! One pod as the cluster shows it, and the containers in it that are in trouble over an image.
//!
//! The reading rules come from recordings of Kubernetes 1.20 to 1.36: a waiting reason that is a
//! whole sentence is a pull secret that cannot be read; a back-off message carries the last error
//! only since 1.32, before that the event does; counts of `Failed` events freeze after some
//! minutes; a pull can hang without any failure event; an image volume's image stands only in the
//! text.

use jiff::{SignedDuration, Timestamp};

use super::PullSecret;

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.nodeName`; none while it is not scheduled.
    pub node: Option<String>,
    /// `status.phase`.
    pub phase: Option<String>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `spec.serviceAccountName`.
    pub service_account: Option<String>,
    /// `spec.imagePullSecrets`, in the order of the pod.
    pub pull_secrets: Vec<PullSecret>,
    /// What the pod belongs to: a Deployment rather than its ReplicaSet where the names tell.
    pub owner: Option<Owner>,
    /// Init, then ordinary, then ephemeral containers, in the order of the spec.
    pub containers: Vec<Container>,
    /// References of image volumes.
    pub image_volumes: Vec<String>,
    /// The pod's events, oldest first; none when they could not be read.
    pub events: Option<Vec<EventSeen>>,
}

/// The workload that made a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Lower-case kind as kubectl takes it: `deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// Which list of the spec a container stands in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerKind {
    /// `initContainers`, sidecars included.
    Init,
    /// `containers`.
    #[default]
    Main,
    /// `ephemeralContainers`.
    Ephemeral,
}

/// `imagePullPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Pull each time.
    Always,
    /// Pull unless the image is on the node.
    IfNotPresent,
    /// Never pull.
    Never,
    /// A word that is not known here.
    Other(String),
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Which list it stands in.
    pub kind: ContainerKind,
    /// Its name.
    pub name: String,
    /// The image as the spec writes it.
    pub image: String,
    /// The digest the node runs, empty while there is none.
    pub image_id: String,
    /// The pull policy, when the spec has it.
    pub policy: Option<PullPolicy>,
    /// What it does now.
    pub state: ContainerState,
    /// How its last run ended, if it ran before.
    pub last_exit: Option<i32>,
}

impl Container {
    /// The code with which it ended, where it does not stay up.
    pub(crate) fn stops_with(&self) -> Option<i32> {
        let code = match &self.state {
            ContainerState::Waiting { reason, .. } if reason == "CrashLoopBackOff" => {
                self.last_exit?
            }
            ContainerState::Terminated { exit_code, .. } => *exit_code,
            _ => return None,
        };
        (code != 0).then_some(code)
    }
}

/// What a container does now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// The status does not say.
    #[default]
    Unknown,
    /// It waits.
    Waiting {
        /// `ImagePullBackOff`, `ContainerCreating`, or a whole sentence.
        reason: String,
        /// The text beside it.
        message: Option<String>,
    },
    /// It runs.
    Running,
    /// It ended.
    Terminated {
        /// Its exit code.
        exit_code: i32,
        /// The reason beside it.
        reason: Option<String>,
    },
}

/// An event about the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventSeen {
    /// `Pulling`, `Failed`, `BackOff` and so on.
    pub reason: String,
    /// Its text.
    pub message: String,
    /// Whether its type is `Warning`.
    pub warning: bool,
    /// How often it was written. Frozen by the kubelet's spam filter after some minutes.
    pub count: u32,
    /// First time.
    pub first: Option<Timestamp>,
    /// Last time.
    pub last: Option<Timestamp>,
    /// The container named in the field path.
    pub container: Option<String>,
}

/// How a container is in trouble over its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// The kubelet tells of a failed pull, or of a name, policy or secret that forbids one.
    Refused {
        /// The container.
        container: &'a Container,
        /// The image that is meant; an image volume's where the text says so.
        image: &'a str,
        /// The waiting reason.
        reason: &'a str,
        /// The text that says most.
        message: Option<&'a str>,
    },
    /// A pull began and neither ended nor failed.
    Hanging {
        /// The container.
        container: &'a Container,
        /// The image that is meant.
        image: &'a str,
        /// When the `Pulling` event was written last.
        since: Timestamp,
    },
    /// The sandbox image could not be pulled, so no container was begun.
    Sandbox {
        /// The image, as the text quotes it.
        image: &'a str,
        /// The event's text.
        message: &'a str,
    },
    /// The image is there and the container cannot run from it.
    AfterPull {
        /// The container.
        container: &'a Container,
        /// `RunContainerError`, or the reason of an exit with 128 or 255.
        reason: &'a str,
        /// The text beside it.
        message: Option<&'a str>,
    },
}

impl<'a> Trouble<'a> {
    /// The image that is meant.
    pub fn image(&self) -> &'a str {
        match self {
            Self::Refused { image, .. }
            | Self::Hanging { image, .. }
            | Self::Sandbox { image, .. } => image,
            Self::AfterPull { container, .. } => &container.image,
        }
    }

    /// The container, unless it is the sandbox.
    pub fn container(&self) -> Option<&'a Container> {
        match self {
            Self::Refused { container, .. }
            | Self::Hanging { container, .. }
            | Self::AfterPull { container, .. } => Some(container),
            Self::Sandbox { .. } => None,
        }
    }

    /// What the kubelet said: the message, else the reason.
    pub fn text(&self) -> Option<&'a str> {
        match self {
            Self::Refused {
                reason, message, ..
            }
            | Self::AfterPull {
                reason, message, ..
            } => Some(message.unwrap_or(reason)),
            Self::Sandbox { message, .. } => Some(message),
            Self::Hanging { .. } => None,
        }
    }
}

/// Reasons by which a kubelet says that the image is at fault.
pub(crate) const PULL_REASONS: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

impl Pod {
    /// Everything that is wrong with the images of this pod, in the order of its containers.
    pub fn troubles(&self) -> impl Iterator<Item = Trouble<'_>> {
        let sandbox = self.sandbox_trouble();
        self.containers
            .iter()
            .filter_map(|container| self.trouble_of(container))
            .chain(sandbox)
    }

    fn trouble_of<'a>(&'a self, container: &'a Container) -> Option<Trouble<'a>> {
        match &container.state {
            ContainerState::Waiting { reason, message } => {
                let message = message.as_deref();
                if PULL_REASONS.contains(&reason.as_str()) || is_sentence(reason) {
                    let told = message.filter(|text| says_more(text));
                    let text = told.or_else(|| self.last_failure(container)).or(message);
                    let image = self.image_meant(container, text);
                    return Some(Trouble::Refused {
                        container,
                        image,
                        reason,
                        message: text,
                    });
                }
                // 255 is what a runtime gives for a program of another architecture, 128 for one that could
                // not be started at all.
                let crashed =
                    reason == "CrashLoopBackOff" && matches!(container.last_exit, Some(128 | 255));
                if reason == "RunContainerError" || crashed {
                    return Some(Trouble::AfterPull {
                        container,
                        reason,
                        message,
                    });
                }
                let begins = matches!(reason.as_str(), "ContainerCreating" | "PodInitializing");
                let since = begins.then(|| self.pulling_since(container)).flatten()?;
                Some(Trouble::Hanging {
                    container,
                    image: &container.image,
                    since,
                })
            }
            ContainerState::Terminated {
                exit_code: 128 | 255,
                reason,
            } => Some(Trouble::AfterPull {
                container,
                reason: reason.as_deref().unwrap_or("Error"),
                message: None,
            }),
            ContainerState::Unknown
            | ContainerState::Running
            | ContainerState::Terminated { .. } => None,
        }
    }

    /// The newest text of a failed pull among the events of `container`.
    fn last_failure(&self, container: &Container) -> Option<&str> {
        let events = self.events.as_deref()?;
        let about = |event: &&EventSeen| match &event.container {
            Some(name) => *name == container.name,
            None => quoted_image(&event.message)
                .is_some_and(|image| self.image_volumes.iter().any(|v| v == image)),
        };
        let failed = |event: &&EventSeen| {
            event.warning
                && matches!(event.reason.as_str(), "Failed" | "InspectFailed")
                && says_more(&event.message)
        };
        let text = events.iter().filter(about).rfind(failed)?;
        Some(&text.message)
    }

    /// Which image the text speaks of: the container's, unless it names an image volume's.
    fn image_meant<'a>(&'a self, container: &'a Container, text: Option<&str>) -> &'a str {
        let named = text.and_then(quoted_image);
        let volume = named.and_then(|image| {
            self.image_volumes.iter().find(|volume| {
                *volume != &container.image
                    && (volume.as_str() == image || image.ends_with(&format!("/{volume}")))
            })
        });
        volume.unwrap_or(&container.image)
    }

    /// When the pull of `container` began, if its newest pull event is `Pulling`.
    fn pulling_since(&self, container: &Container) -> Option<Timestamp> {
        let events = self.events.as_deref()?;
        let newest = events
            .iter()
            .filter(|event| event.container.as_ref() == Some(&container.name))
            .rfind(|event| {
                matches!(
                    event.reason.as_str(),
                    "Pulling" | "Pulled" | "Failed" | "BackOff" | "Created"
                )
            })?;
        if newest.reason == "Pulling" {
            newest.last.or(newest.first)
        } else {
            None
        }
    }

    fn sandbox_trouble(&self) -> Option<Trouble<'_>> {
        let begun = |container: &Container| match &container.state {
            ContainerState::Waiting { reason, .. } => {
                !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing")
            }
            ContainerState::Unknown => false,
            ContainerState::Running | ContainerState::Terminated { .. } => true,
        };
        if self.containers.iter().any(begun) {
            return None;
        }
        let event = self.events.as_deref()?.iter().rfind(|event| {
            event.reason == "FailedCreatePodSandBox" && event.message.contains("sandbox image")
        })?;
        Some(Trouble::Sandbox {
            image: quoted_image(&event.message)?,
            message: &event.message,
        })
    }

    /// Names of pull secrets that the kubelet said it could not find.
    pub fn secrets_missed(&self) -> Vec<&str> {
        let Some(events) = &self.events else {
            return Vec::new();
        };
        let text = events
            .iter()
            .rfind(|event| event.reason == "FailedToRetrieveImagePullSecret");
        let names = text.and_then(|event| event.message.split_once('(')?.1.split_once(')'));
        names.map_or_else(Vec::new, |(names, _)| {
            names.split(", ").map(str::trim).collect()
        })
    }

    /// How far the back-off of `container` has got, from its events.
    pub fn back_off(&self, container: &Container) -> Option<BackOffView> {
        let events = self.events.as_deref()?;
        let failures = events.iter().filter(|event| {
            event.container.as_ref() == Some(&container.name)
                && event.reason == "Failed"
                && event.message.starts_with("Failed to pull image")
        });
        let (mut attempts, mut first, mut last) = (0_u32, None, None);
        for event in failures {
            first = match (first, event.first.or(event.last)) {
                (Some(known), Some(at)) if known <= at => Some(known),
                (known, at) => at.or(known),
            };
            attempts = attempts.saturating_add(event.count.max(1));
            last = last.max(event.last.or(event.first));
        }
        Some(BackOffView {
            attempts_at_least: (attempts > 0).then_some(attempts)?,
            first_failure: first.or(last)?,
            last_failure: last?,
        })
    }
}

/// What events tell of a container's back-off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOffView {
    /// Failed attempts that were written down; the kubelet stops counting after some minutes.
    pub attempts_at_least: u32,
    /// When the first one of them failed.
    pub first_failure: Timestamp,
    /// When the last one of them failed.
    pub last_failure: Timestamp,
}

impl BackOffView {
    /// The longest the kubelet waits between two attempts, seconds (`MaxContainerBackOff`).
    pub const CAP: i64 = 300;
    /// The longest time between two looks of the kubelet at a failing pod, seconds.
    pub const SYNC: i64 = 15;

    /// How long from `now` until the next attempt at the latest.
    ///
    /// Back-off 10, 20, 40 … 300 s, begun when an attempt fails, and tried again at the first look
    /// after it. When the written events are too old to tell, the whole cap and one look.
    pub fn next_within(&self, now: Timestamp) -> SignedDuration {
        let delay = super::ladder::delay(self.attempts_at_least) + Self::SYNC;
        let left = delay - now.duration_since(self.last_failure).as_secs();
        let secs = if left > 0 {
            left
        } else {
            Self::CAP + Self::SYNC
        };
        SignedDuration::from_secs(secs)
    }
}

/// A waiting reason with blanks in it is an error text that the kubelet put in its place.
fn is_sentence(reason: &str) -> bool {
    reason.contains(' ')
}

/// Whether a text tells more than that pulling is retried.
fn says_more(text: &str) -> bool {
    let bare_back_off = text.starts_with("Back-off pulling image") && !text.contains("\": ");
    let bare_error = text
        .strip_prefix("Error: ")
        .is_some_and(|rest| PULL_REASONS.contains(&rest));
    !(text.is_empty() || bare_back_off || bare_error)
}

/// The first text in quotes after the word `image`.
fn quoted_image(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("image \"")?;
    rest.split_once('"')
        .map(|(image, _)| image)
        .filter(|image| !image.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(reason: &str, message: Option<&str>) -> Container {
        Container {
            kind: ContainerKind::Main,
            name: "app".into(),
            image: "r.test/app:1".into(),
            image_id: String::new(),
            policy: None,
            state: ContainerState::Waiting {
                reason: reason.into(),
                message: message.map(Into::into),
            },
            last_exit: None,
        }
    }

    fn event(
        reason: &str,
        message: &str,
        container: Option<&str>,
        at: i64,
        count: u32,
    ) -> EventSeen {
        EventSeen {
            reason: reason.into(),
            message: message.into(),
            warning: matches!(
                reason,
                "Failed" | "FailedCreatePodSandBox" | "FailedToRetrieveImagePullSecret"
            ),
            count,
            first: Timestamp::from_second(0).ok(),
            last: Timestamp::from_second(at).ok(),
            container: container.map(Into::into),
        }
    }

    fn pod(container: Container, events: Vec<EventSeen>) -> Pod {
        Pod {
            containers: vec![container],
            events: Some(events),
            ..Pod::default()
        }
    }

    #[test]
    fn the_text_that_says_most_is_taken() {
        let failed = event(
            "Failed",
            "Failed to pull image \"r.test/app:1\": no such host",
            Some("app"),
            5,
            1,
        );
        let table = [
            (
                "ErrImagePull",
                Some("no route to host"),
                Some("no route to host"),
            ),
            (
                "ImagePullBackOff",
                Some("Back-off pulling image \"r.test/app:1\""),
                Some(failed.message.as_str()),
            ),
            (
                "ImagePullBackOff",
                Some("Back-off pulling image \"r.test/app:1\": ErrImagePull: EOF"),
                Some("Back-off pulling image \"r.test/app:1\": ErrImagePull: EOF"),
            ),
            (
                "illegal base64 data at input byte 0",
                None,
                Some(failed.message.as_str()),
            ),
            ("ContainerCreating", None, None),
        ];
        for (reason, message, want) in table {
            let pod = pod(container(reason, message), vec![failed.clone()]);
            let got = pod
                .troubles()
                .next()
                .and_then(|trouble| trouble.text().map(str::to_owned));
            assert_eq!(got.as_deref(), want, "for {reason:?}");
        }
    }

    #[test]
    fn a_pull_that_neither_ends_nor_fails_is_seen() {
        let pulling = event(
            "Pulling",
            "Pulling image \"r.test/app:1\"",
            Some("app"),
            7,
            1,
        );
        let hanging = pod(container("ContainerCreating", None), vec![pulling.clone()]);
        assert!(
            matches!(hanging.troubles().next(), Some(Trouble::Hanging { since, .. }) if since.as_second() == 7)
        );
        let ended = pod(
            container("ContainerCreating", None),
            vec![
                pulling,
                event("Pulled", "Successfully pulled image", Some("app"), 8, 1),
            ],
        );
        assert_eq!(ended.troubles().next(), None);
    }

    #[test]
    fn a_container_that_cannot_be_started_is_seen_in_each_of_its_states() {
        let ended = |exit_code| ContainerState::Terminated {
            exit_code,
            reason: Some("StartError".into()),
        };
        let loops = ContainerState::Waiting {
            reason: "CrashLoopBackOff".into(),
            message: None,
        };
        let table = [
            (ended(128), None, true),
            (ended(255), None, true),
            (ended(1), None, false),
            (loops.clone(), Some(128), true),
            (loops, Some(1), false),
        ];
        for (state, last_exit, seen) in table {
            let mut one = container("", None);
            (one.state, one.last_exit) = (state, last_exit);
            let pod = pod(one, vec![]);
            let after = |one: Trouble<'_>| matches!(one, Trouble::AfterPull { .. });
            assert_eq!(pod.troubles().any(after), seen, "{pod:?}");
        }
    }

    #[test]
    fn an_image_volume_is_found_by_its_text() {
        let text = "Container image \"r.test/data:never\" is not present with pull policy of Never";
        let mut pod = pod(container("ErrImageNeverPull", Some(text)), vec![]);
        pod.image_volumes = vec!["r.test/data:never".into()];
        assert_eq!(
            pod.troubles().next().map(|t| t.image()),
            Some("r.test/data:never")
        );
    }

    #[test]
    fn a_sandbox_image_is_a_trouble_of_the_pod() {
        let text = "Failed to create pod sandbox: rpc error: code = NotFound desc = failed to start sandbox \"13ea\": \
                    failed to get sandbox image \"r.test/pause:no\": failed to pull image \"r.test/pause:no\": x";
        let pod = pod(
            container("ContainerCreating", None),
            vec![event("FailedCreatePodSandBox", text, None, 3, 1)],
        );
        assert_eq!(
            pod.troubles().next().map(|t| t.image()),
            Some("r.test/pause:no")
        );
    }

    #[test]
    fn the_next_attempt_follows_the_ladder() {
        let at = |second| Timestamp::from_second(second).expect("small");
        let view = |attempts_at_least, last| BackOffView {
            attempts_at_least,
            first_failure: at(0),
            last_failure: at(last),
        };
        let table = [
            (1, 0, 0, 25),
            (1, 0, 20, 5),
            (3, 0, 10, 45),
            (9, 0, 0, 315),
            (5, 0, 1000, 315),
        ];
        for (attempts, last, now, want) in table {
            let got = view(attempts, last).next_within(at(now)).as_secs();
            assert_eq!(got, want, "after {attempts} attempts, {now} s later");
        }
    }

    #[test]
    fn missing_secrets_are_read_from_the_warning() {
        let text = "Unable to retrieve some image pull secrets (gone-b, gone-a); attempting to pull the image may not succeed.";
        let pod = pod(
            container("ErrImagePull", None),
            vec![event("FailedToRetrieveImagePullSecret", text, None, 3, 9)],
        );
        assert_eq!(pod.secrets_missed(), ["gone-b", "gone-a"]);
    }
}
