//! Many answers as few problems: what fails, where, and how much hangs on it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cause::Cause;
use crate::stage::Stage;

/// Answers with the same verdict that go back to one node, one image or one registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `blocked` or `undetermined`.
    pub verdict: &'static str,
    /// The cause, when it is proven.
    pub cause: Option<Cause>,
    /// The likeliest causes, when it is not; at most three.
    pub candidates: Vec<Cause>,
    /// The stage that failed or is in doubt.
    pub stage: Option<Stage>,
    /// What the failures have in common.
    pub extent: Extent,
    /// The images, in order of their names.
    pub images: Vec<String>,
    /// The nodes on which they fail.
    pub nodes: Vec<String>,
    /// The namespaces of the pods.
    pub namespaces: Vec<String>,
    /// How many containers wait.
    pub waiting: usize,
}

/// What failures have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "of", rename_all = "kebab-case")]
pub enum Extent {
    /// One node: the same images work elsewhere, or every failure is there.
    Node {
        /// Its name.
        node: String,
    },
    /// One image, wherever it is pulled.
    Image {
        /// The image.
        image: String,
    },
    /// Several images of one registry.
    Registry {
        /// Its host.
        host: String,
    },
}

impl Problem {
    /// In one line: `tag-not-found: image r.example/a:1, 12 containers in 2 namespaces`.
    pub fn line(&self) -> String {
        let what = match self.cause {
            Some(cause) => cause.id().to_owned(),
            None if self.candidates.is_empty() => "no cause fits".into(),
            None => {
                let ids: Vec<&str> = self.candidates.iter().map(|cause| cause.id()).collect();
                format!("perhaps {}", ids.join(" or "))
            }
        };
        let place = match &self.extent {
            Extent::Node { node } => format!("node {node}, {}", count(self.images.len(), "image")),
            Extent::Image { image } => format!("image {image}"),
            Extent::Registry { host } => {
                format!("registry {host}, {}", count(self.images.len(), "image"))
            }
        };
        let mut line = format!("{what}: {place}");
        if self.waiting > 0 {
            let _ = write!(line, ", {}", count(self.waiting, "container"));
            if self.namespaces.len() > 1 {
                let _ = write!(line, " in {}", count(self.namespaces.len(), "namespace"));
            }
            if self.nodes.len() > 1 {
                let _ = write!(line, " on {}", count(self.nodes.len(), "node"));
            }
        }
        line
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}
