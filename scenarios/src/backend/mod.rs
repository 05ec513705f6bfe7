//! Where a scenario is played: the small surface that every backend offers to the player.
//!
//! A backend makes the world that the file describes and carries out its steps. It gives the
//! player an ordinary client and the checker the places that a user could reach, nothing more.

mod anew;
mod cloud;
pub(crate) mod embedded;
#[cfg(unix)]
pub(crate) mod kind;
mod proxy;

use std::time::Duration;

use pullcheck::reference::{Reference, Target};
use serde_json::Value;

use crate::observer::{Seconds, Seen};
use crate::play::{Mismatch, NAMESPACE};
use crate::remedy::Command;
use crate::spec::{self, Step};
use crate::traces::{Request, Stage};

/// One pull as the node made it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Attempt {
    /// The node.
    pub node: String,
    /// The pod.
    pub pod: String,
    /// The image, as written in the pod.
    pub image: String,
    /// When it began, since the play began.
    pub at: Seconds,
    /// How long it took.
    pub took: Seconds,
    /// Whether the image arrived.
    pub pulled: bool,
    /// What the kubelet says of it, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For how long the kubelet will not try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back_off: Option<Seconds>,
}

/// Why a step was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// This backend cannot do it: the scenario is skipped.
    #[error("not possible on this backend: {0}")]
    Unsupported(String),
    /// It was tried and failed.
    #[error("{0}")]
    Failed(String),
}

impl StepError {
    pub(crate) fn failed(error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        Self::Failed(text)
    }
}

/// How time passes while a scenario is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It costs nothing: every wait is as long as the file says.
    Virtual,
    /// It is everybody's: watching ends as soon as all has been seen.
    Real,
}

/// The stage on which a scenario is played.
pub(crate) trait Backend {
    /// The client that `kubectl` would be.
    fn client(&self) -> kube::Client;
    /// The namespace in which the scenario plays.
    fn namespace(&self) -> &str {
        NAMESPACE
    }
    /// How time passes.
    fn pace(&self) -> Pace {
        Pace::Virtual
    }
    /// The objects of a manifest text, as this cluster needs them.
    fn objects(&self, manifests: &str) -> Result<Vec<Value>, StepError> {
        spec::objects(manifests).map_err(|error| StepError::failed(&error))
    }
    /// What the cluster calls a node of the file.
    fn node_name(&self, name: &str) -> String {
        name.to_owned()
    }
    /// What the checker is given.
    fn world(&self) -> pullcheck::world::World;
    /// What the user gives the checker beside that.
    fn settings(&self) -> pullcheck::check::Settings;
    /// Carries out one step that is not an ordinary API call.
    async fn step(&self, step: &Step) -> Result<(), StepError>;
    /// Carries out a cloud command of a remedy.
    async fn cloud(&self, command: &Command) -> Result<(), StepError>;
    /// Pulls so far, in the order in which they began; `seen` is what a user has seen by then.
    fn attempts(&self, seen: &Seen) -> Vec<Attempt>;
    /// The requests that the registries saw so far, in their order.
    async fn requests(&self) -> Vec<Request>;
    /// How the stage calls what the file names.
    fn stage(&self) -> Stage;
    /// The digest that a reference has at its registry now.
    fn digest(&self, reference: &str) -> Option<String>;
    /// Lets time pass.
    async fn sleep(&self, length: Duration);
    /// What the stage needs and is not there any more. Asked now and then while something is waited for, and only
    /// where time is everybody's.
    async fn gone(&self) -> Vec<Mismatch> {
        Vec::new()
    }
    /// What the scenario should have put back and did not, once all acts went well.
    async fn left_behind(&self) -> Vec<Mismatch> {
        Vec::new()
    }
}

/// The host that serves a reference, and the rest of it, as the registry takes them.
fn stored_at(reference: &str) -> Option<(String, String)> {
    let reference = Reference::parse(reference).ok()?;
    let host = reference.registry().host().to_string();
    // The name that people write is not the name of the host.
    let host = if reference.is_hub() {
        "registry-1.docker.io".to_owned()
    } else {
        host
    };
    let rest = match reference.target() {
        Target::Digest(digest) => format!("{}@{digest}", reference.repository()),
        Target::Tag(tag) => format!("{}:{tag}", reference.repository()),
    };
    Some((host, rest))
}
