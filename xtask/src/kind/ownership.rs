//! Whether a cluster of the wanted name may be touched, and whether it may stay: a pure
//! function of what Docker has.
//!
//! kind gives its containers no label of ours, but the network can have one. A cluster is
//! ours when its network carries our label with its name and every one of its containers is
//! on that network. Everything else is somebody's, and is left alone.

use super::config::ClusterSpec;
use super::error::KindError;
use super::name::ClusterName;

/// What Docker has under a cluster's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// The network of the name that we would give it.
    pub(crate) network: Option<FoundNetwork>,
    /// The containers that kind calls nodes of a cluster of this name.
    pub(crate) nodes: Vec<FoundNode>,
}

/// A Docker network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundNetwork {
    /// Value of our label, if it has one.
    pub(crate) label: Option<String>,
}

/// A container that kind made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundNode {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) running: bool,
    /// Identifier of its image, `sha256:…`.
    pub(crate) image: String,
    pub(crate) networks: Vec<String>,
}

/// What `up` does about what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing is there.
    Create,
    /// Ours and as wanted, as far as Docker can tell.
    Reuse,
    /// Ours, but not as wanted; why.
    Replace(String),
}

impl Found {
    /// `Ok` when nothing under this name belongs to somebody else.
    pub(crate) fn refuse_others(&self, name: &ClusterName) -> Result<(), KindError> {
        let network = name.network();
        let not_ours = |what| {
            Err(KindError::NotOurs {
                name: name.clone(),
                what,
            })
        };
        match &self.network {
            Some(found) if found.label.as_deref() != Some(name.as_str()) => {
                return not_ours(format!("network `{network}` has not our label"));
            }
            Some(_) => {}
            None => {
                if let Some(node) = self.nodes.first() {
                    return not_ours(format!(
                        "container `{}` is not on network `{network}`",
                        node.name
                    ));
                }
            }
        }
        match self
            .nodes
            .iter()
            .find(|node| !node.networks.contains(&network))
        {
            Some(node) => not_ours(format!(
                "container `{}` is not on network `{network}`",
                node.name
            )),
            None => Ok(()),
        }
    }

    /// What `up` does, given the identifier of the image that the nodes should run.
    pub(crate) fn decide(&self, wanted: &ClusterSpec, image: &str) -> Result<Decision, KindError> {
        self.refuse_others(&wanted.name)?;
        let replace = |why: String| Ok(Decision::Replace(why));
        if self.nodes.is_empty() {
            return match self.network {
                Some(_) => replace("an earlier run was cut off".into()),
                None => Ok(Decision::Create),
            };
        }
        if self.nodes.len() != usize::from(wanted.nodes) {
            return replace(format!(
                "it has {} nodes, not {}",
                self.nodes.len(),
                wanted.nodes
            ));
        }
        if let Some(node) = self.nodes.iter().find(|node| !node.running) {
            return replace(format!("node `{}` does not run", node.name));
        }
        if let Some(node) = self.nodes.iter().find(|node| node.image != image) {
            return replace(format!("node `{}` runs another image", node.name));
        }
        Ok(Decision::Reuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, running: bool, image: &str, network: &str) -> FoundNode {
        FoundNode {
            id: format!("id-of-{name}"),
            name: name.into(),
            running,
            image: image.into(),
            networks: vec![network.into()],
        }
    }

    fn ours(nodes: Vec<FoundNode>) -> Found {
        Found {
            network: Some(FoundNetwork {
                label: Some("shop".into()),
            }),
            nodes,
        }
    }

    fn decide(found: &Found) -> Result<Decision, String> {
        let wanted = ClusterSpec {
            name: "shop".parse().unwrap(),
            nodes: 2,
            stock: false,
        };
        found
            .decide(&wanted, "sha256:aa")
            .map_err(|error| match error {
                KindError::NotOurs { what, .. } => what,
                other => panic!("refused for another reason: {other}"),
            })
    }

    #[test]
    fn what_becomes_of_a_cluster_that_is_ours() {
        let up = |name: &str| node(name, true, "sha256:aa", "pullcheck-shop");
        let table = [
            (Found::default(), Decision::Create),
            (
                ours(vec![]),
                Decision::Replace("an earlier run was cut off".into()),
            ),
            (ours(vec![up("a"), up("b")]), Decision::Reuse),
            (
                ours(vec![up("a")]),
                Decision::Replace("it has 1 nodes, not 2".into()),
            ),
            (
                ours(vec![
                    up("a"),
                    node("b", false, "sha256:aa", "pullcheck-shop"),
                ]),
                Decision::Replace("node `b` does not run".into()),
            ),
            (
                ours(vec![
                    node("a", true, "sha256:bb", "pullcheck-shop"),
                    up("b"),
                ]),
                Decision::Replace("node `a` runs another image".into()),
            ),
        ];
        for (found, want) in table {
            assert_eq!(decide(&found), Ok(want), "for {found:?}");
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_whatever_its_state() {
        let network = |label: Option<&str>| {
            Some(FoundNetwork {
                label: label.map(Into::into),
            })
        };
        let elsewhere = "container `a` is not on network `pullcheck-shop`";
        let unlabelled = "network `pullcheck-shop` has not our label";
        let table = [
            // A plain kind cluster of that name, running or not.
            (
                Found {
                    network: None,
                    nodes: vec![node("a", true, "sha256:aa", "kind")],
                },
                elsewhere,
            ),
            (
                Found {
                    network: None,
                    nodes: vec![node("a", false, "sha256:aa", "kind")],
                },
                elsewhere,
            ),
            // Our own network is still there, but somebody made the cluster on another one.
            (ours(vec![node("a", true, "sha256:aa", "kind")]), elsewhere),
            // Somebody's network of that name.
            (
                Found {
                    network: network(None),
                    nodes: vec![],
                },
                unlabelled,
            ),
            (
                Found {
                    network: network(Some("other")),
                    nodes: vec![],
                },
                unlabelled,
            ),
            (
                Found {
                    network: network(None),
                    nodes: vec![node("a", true, "sha256:aa", "pullcheck-shop")],
                },
                unlabelled,
            ),
        ];
        for (found, want) in table {
            assert_eq!(decide(&found), Err(want.to_owned()), "for {found:?}");
            let name = "shop".parse().unwrap();
            assert!(
                found.refuse_others(&name).is_err(),
                "`down` refuses it too: {found:?}"
            );
        }
    }
}
