//! What a user names on a command line: `deployment/web`, `pod/web-1`.

use std::fmt;

use pullcheck::check::{Request, WorkloadKind};
use serde::{Deserialize, Deserializer, de::Error as _};

/// A workload or a pod, in the scenario's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// Its name.
    pub name: String,
}

/// The kinds that a scenario can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// A Deployment.
    Deployment,
    /// A Pod.
    Pod,
}

impl TargetKind {
    /// The word before the slash.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Pod => "pod",
        }
    }
}

impl Target {
    /// What the checker is asked about it.
    pub(crate) fn request(&self, namespace: &str) -> Request {
        let (namespace, name) = (namespace.to_owned(), self.name.clone());
        match self.kind {
            TargetKind::Pod => Request::Pod { namespace, name },
            TargetKind::Deployment => Request::Workload {
                kind: WorkloadKind::Deployment,
                namespace,
                name,
            },
        }
    }
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once('/').ok_or_else(|| {
            format!("`{text}` is not of the form `deployment/NAME` or `pod/NAME`")
        })?;
        let kind = match kind {
            "deployment" | "deploy" => TargetKind::Deployment,
            "pod" | "po" => TargetKind::Pod,
            other => return Err(format!("`{other}` is neither `deployment` nor `pod`")),
        };
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if name.is_empty() || name.len() > 253 || !name.chars().all(label) {
            return Err(format!("`{name}` is no name of a Kubernetes object"));
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}
