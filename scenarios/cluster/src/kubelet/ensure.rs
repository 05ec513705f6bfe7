//! Making sure an image is there: `EnsureImageExists`, from the name in the pod to the event that tells
//! how it ended.
//!
//! The image manager decides, the keyring says who asks, the puller when; here they are brought together
//! with the runtime, and the texts of the kubelet's own events are written. Texts of the runtime pass
//! through unchanged.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::docker_config;
use super::image_manager::{Action, Event, Presence, PullPolicy};
use super::keyring::{Candidate, Keyring, Source};
use super::{Shared, lock, pod};
use crate::events::correlator::{ObjectRef, Occurrence, Severity};
use crate::node::PullAttempt;
use crate::runtime::reference::{Named, with_default_tag};
use crate::runtime::{Image, go};
use crate::store::Kind;

/// An image that a pod wants.
pub(crate) struct Wanted<'a> {
    pub(crate) pod: &'a Value,
    /// The container; empty for an image volume.
    pub(crate) container: &'a str,
    /// What the events are about.
    pub(crate) object: ObjectRef,
    /// As written.
    pub(crate) image: &'a str,
    pub(crate) policy: PullPolicy,
    pub(crate) secrets: &'a [Arc<Value>],
}

/// Why the image is not there: what becomes waiting reason and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageFailure {
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// A pull that worked.
struct Pulled {
    image: Image,
    with: Option<Candidate>,
    took: Duration,
}

impl Shared {
    pub(crate) fn event(
        &self,
        object: &ObjectRef,
        severity: Severity,
        reason: &str,
        message: String,
    ) {
        let object = object.clone();
        self.recorder.record(&Occurrence {
            object,
            severity,
            reason: reason.to_owned(),
            message,
        });
    }

    /// The pod's pull secrets that exist; a warning names the others.
    pub(crate) fn pull_secrets(&self, pod: &Value) -> Vec<Arc<Value>> {
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in pod::pull_secrets(pod) {
            match self
                .store
                .get_shared(Kind::Secret, pod::namespace(pod), &name)
            {
                Some(secret) => found.push(secret),
                None => missing.push(name),
            }
        }
        if !missing.is_empty() && self.profile.warns_of_missing_secret() {
            let message = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                missing.join(", ")
            );
            let object = pod::reference(pod, "");
            self.event(
                &object,
                Severity::Warning,
                "FailedToRetrieveImagePullSecret",
                message,
            );
        }
        found
    }

    /// The image on the node, pulled if need be and allowed.
    pub(crate) async fn ensure_image(&self, wanted: &Wanted<'_>) -> Result<Image, ImageFailure> {
        let Wanted {
            image,
            policy,
            object,
            ..
        } = wanted;
        let full = with_default_tag(image, &self.profile).map_err(|message| {
            self.event(object, Severity::Warning, "InspectFailed", message.clone());
            failure("InvalidImageName", message)
        })?;
        let repository = Named::parse(&full).map(|n| n.name()).unwrap_or_default();
        let there = if *policy == PullPolicy::Always {
            None
        } else {
            self.runtime.image(&full)
        };
        if *policy == PullPolicy::Never && there.is_none() {
            return Err(self.refuse(wanted));
        }
        let early = self.profile.malformed_secret_is_reason();
        let candidates = if early {
            self.candidates(wanted.secrets, &repository)
                .await
                .map_err(|problem| failure(&problem.clone(), problem))?
        } else {
            Vec::new()
        };
        let verifies = self.profile.verifies_credentials();
        let presence = match &there {
            None => Presence::Absent,
            Some(image)
                if verifies
                    && lock(&self.records).must_pull(&image.id, &repository, &candidates) =>
            {
                Presence::PresentForOthers
            }
            Some(_) => Presence::Present,
        };
        let key = format!("{}_{image}", pod::uid(wanted.pod));
        let event = Event::Wanted {
            key: &key,
            policy: *policy,
            presence,
        };
        let action = lock(&self.manager).step(self.clock.elapsed(), event);
        match (action, there) {
            (Action::Use, Some(found)) => {
                let access = if verifies {
                    " and can be accessed by the pod"
                } else {
                    ""
                };
                let message = format!(
                    "Container image {} already present on machine{access}",
                    go::quote(image)
                );
                self.event(object, Severity::Normal, "Pulled", message);
                Ok(found)
            }
            (Action::Refuse, _) => Err(self.refuse(wanted)),
            (Action::BackOff { cause, .. }, _) => {
                let message = format!("Back-off pulling image {}", go::quote(image));
                self.event(object, Severity::Normal, "BackOff", message.clone());
                let message = match cause {
                    Some(cause) if self.profile.back_off_tells_cause() => {
                        format!("{message}: {cause}")
                    }
                    _ => message,
                };
                Err(failure("ImagePullBackOff", message))
            }
            _ => {
                self.pull(
                    wanted,
                    &full,
                    &repository,
                    early.then_some(candidates),
                    &key,
                )
                .await
            }
        }
    }

    async fn pull(
        &self,
        wanted: &Wanted<'_>,
        full: &str,
        repository: &str,
        candidates: Option<Vec<Candidate>>,
        key: &str,
    ) -> Result<Image, ImageFailure> {
        let Wanted { image, object, .. } = wanted;
        self.event(
            object,
            Severity::Normal,
            "Pulling",
            format!("Pulling image {}", go::quote(image)),
        );
        let started = self.clock.elapsed();
        let result = self
            .puller
            .run(self.ask_runtime(wanted, full, repository, candidates))
            .await;
        let ended = self.clock.elapsed();
        let mut attempt = PullAttempt {
            node: self.name.clone(),
            namespace: pod::namespace(wanted.pod).to_owned(),
            pod: pod::name(wanted.pod).to_owned(),
            container: wanted.container.to_owned(),
            image: (*image).to_owned(),
            started,
            ended,
            outcome: Ok(String::new()),
            back_off: None,
        };
        match result {
            Ok(Pulled {
                image: got,
                with,
                took,
            }) => {
                attempt.outcome = Ok(format!("{repository}@{}", got.target));
                lock(&self.attempts).push(attempt);
                lock(&self.manager).step(ended, Event::Pulled { key });
                lock(&self.records).pulled(&got.id, repository, with.as_ref());
                let message =
                    self.pulled_text(image, took, ended.saturating_sub(started), got.size);
                self.event(object, Severity::Normal, "Pulled", message);
                Ok(got)
            }
            Err(text) => {
                let message = format!("Failed to pull image {}: {text}", go::quote(image));
                self.event(object, Severity::Warning, "Failed", message);
                let (reason, message) = self.pull_failure(image, text);
                let noted = lock(&self.manager).step(
                    ended,
                    Event::Failed {
                        key,
                        reason,
                        message: &message,
                    },
                );
                if let Action::Noted(delay) = noted {
                    attempt.back_off = delay;
                }
                attempt.outcome = Err(message.clone());
                lock(&self.attempts).push(attempt);
                Err(failure(reason, message))
            }
        }
    }

    /// One pull with each credential in turn, or without any if there is none.
    async fn ask_runtime(
        &self,
        wanted: &Wanted<'_>,
        full: &str,
        repository: &str,
        candidates: Option<Vec<Candidate>>,
    ) -> Result<Pulled, String> {
        let began = self.clock.elapsed();
        self.puller
            .admit(began)
            .map_err(|error| error.to_string())?;
        let candidates = match candidates {
            Some(candidates) => candidates,
            None => self.candidates(wanted.secrets, repository).await?,
        };
        let attempts: Vec<Option<Candidate>> = if candidates.is_empty() {
            vec![None]
        } else {
            candidates.into_iter().map(Some).collect()
        };
        let mut errors = Vec::new();
        for with in attempts {
            let credential = with
                .as_ref()
                .map(|c| c.credential.clone())
                .filter(|c| !c.is_anonymous());
            match Box::pin(self.runtime.pull(full, credential)).await {
                Ok(image) => {
                    return Ok(Pulled {
                        image,
                        with,
                        took: self.clock.elapsed().saturating_sub(began),
                    });
                }
                Err(status) => errors.push(status.as_kubelet_prints(&self.profile)),
            }
        }
        Err(aggregate(errors))
    }

    /// The attempts that secrets and the credential provider give for a repository, in order.
    async fn candidates(
        &self,
        secrets: &[Arc<Value>],
        repository: &str,
    ) -> Result<Vec<Candidate>, String> {
        let mut keyring = Keyring::default();
        for secret in secrets {
            let source = Source::Secret {
                uid: pod::uid(secret).to_owned(),
                namespace: pod::namespace(secret).to_owned(),
                name: pod::name(secret).to_owned(),
            };
            for (registry, credential) in docker_config::entries(secret)? {
                keyring.add(
                    &registry,
                    Candidate {
                        credential,
                        source: source.clone(),
                    },
                );
            }
        }
        let mut found = keyring.lookup(repository);
        if let Some(provider) = &self.provider {
            let mut keyring = Keyring::default();
            for (registry, credential) in provider.credentials(repository).await {
                keyring.add(
                    &registry,
                    Candidate {
                        credential,
                        source: Source::Node,
                    },
                );
            }
            found.extend(keyring.lookup(repository));
        }
        Ok(found)
    }

    /// `evalCRIPullErr`: two words of CRI-O at the beginning of the runtime's text become the reason.
    fn pull_failure(&self, image: &str, text: String) -> (&'static str, String) {
        let special = [
            ("RegistryUnavailable", "the registry is unavailable"),
            (
                "SignatureValidationFailed",
                "the signature validation failed",
            ),
        ];
        if self.profile.reasons_from_runtime() {
            for (reason, why) in special {
                if let Some(rest) = text.strip_prefix(reason) {
                    let message = format!("image pull failed for {image} because {why}{rest}");
                    return (reason, message);
                }
            }
        }
        ("ErrImagePull", text)
    }

    fn refuse(&self, wanted: &Wanted<'_>) -> ImageFailure {
        let message = format!(
            "Container image {} is not present with pull policy of Never",
            go::quote(wanted.image)
        );
        self.event(
            &wanted.object,
            Severity::Warning,
            "ErrImageNeverPull",
            message.clone(),
        );
        failure("ErrImageNeverPull", message)
    }

    fn pulled_text(&self, image: &str, took: Duration, waited: Duration, size: u64) -> String {
        let image = go::quote(image);
        if !self.profile.pulled_tells_waiting() {
            return format!(
                "Successfully pulled image {image} in {}",
                go::duration(took)
            );
        }
        let (took, waited) = (go::duration_in_millis(took), go::duration_in_millis(waited));
        let text =
            format!("Successfully pulled image {image} in {took} ({waited} including waiting)");
        if self.profile.pulled_tells_size() {
            format!("{text}. Image size: {size} bytes.")
        } else {
            text
        }
    }
}

fn failure(reason: &str, message: String) -> ImageFailure {
    ImageFailure {
        reason: reason.to_owned(),
        message,
    }
}

/// Several errors in one text (`apimachinery` aggregate): equal ones once, several in brackets.
fn aggregate(errors: Vec<String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for error in errors {
        if !distinct.contains(&error) {
            distinct.push(error);
        }
    }
    match distinct.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_errors_in_one_text() {
        let table = [
            (vec!["a"], "a"),
            (vec!["a", "a"], "a"),
            (vec!["a", "b", "a"], "[a, b]"),
        ];
        for (errors, want) in table {
            assert_eq!(
                aggregate(errors.into_iter().map(str::to_owned).collect()),
                want
            );
        }
    }
}
