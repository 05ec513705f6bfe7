//! A node of the cluster: what is done in its container, and whether it was left as it was.
//!
//! Everything that a scenario puts into a node's packet filter carries a comment of ours, so that it
//! can be told from kube-proxy's rules and be taken out again, whoever put it there.

use std::net::IpAddr;

use super::docker::{self, Container, DockerError};
use crate::spec::FirewallAction;

/// On every rule that a scenario makes.
const COMMENT: &str = "pullcheck-scenario";
/// On every rule that the stage of a scenario needs.
pub(super) const STAGE_COMMENT: &str = "pullcheck-stage";

/// Prints what scenarios may change: a heading, then its lines. What Kubernetes itself moves all the
/// time is left out.
const STATE: &str = r"
echo '## packet filter'
iptables-save | grep -v -e '^[#:]' -e KUBE- -e CNI- -e cali -e pullcheck-stage | sed 's/^\[[0-9:]*\] //'
echo '## /etc/resolv.conf'
cat /etc/resolv.conf
echo '## /etc/hosts'
cat /etc/hosts
echo '## files'
find /etc/containerd/certs.d /etc/ssl/certs/ca-certificates.crt /etc/pullcheck /etc/default/kubelet \
  -type f -exec sha256sum {} + 2>/dev/null | sort
echo '## proxy of containerd'
cat /etc/systemd/system/containerd.service.d/pullcheck-*.conf 2>/dev/null
true
";

/// A node, by its container.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) container: Container,
}

impl Node {
    /// The node's name in Kubernetes, which is its container's.
    pub(super) fn name(&self) -> &str {
        &self.container.name
    }

    pub(super) fn address(&self) -> IpAddr {
        self.container.address
    }

    /// Runs a script in the node.
    pub(super) async fn script(&self, text: &str, input: &[u8]) -> Result<String, DockerError> {
        let arguments = ["exec", "--interactive", self.name(), "bash", "-c", text];
        docker::docker_with(&arguments, input).await
    }

    /// Writes a file, and the folders above it. The file itself stays: it may be mounted.
    pub(super) async fn write(&self, path: &str, content: &[u8]) -> Result<(), DockerError> {
        let script = format!("mkdir -p \"$(dirname '{path}')\" && cat >'{path}'");
        self.script(&script, content).await.map(drop)
    }

    pub(super) async fn state(&self) -> Result<State, DockerError> {
        self.script(STATE, &[]).await.map(State)
    }

    /// Puts a rule for packets to an address and port into the packet filter, or takes all of them
    /// out. `None` when the filter of a real node has no such rule.
    pub(super) async fn firewall(
        &self,
        to: IpAddr,
        port: u16,
        action: &FirewallAction,
    ) -> Option<Result<(), DockerError>> {
        let matched = format!("-d {to} -p tcp --dport {port} -m comment --comment {COMMENT}");
        let reject =
            |with: &str| format!("iptables -I OUTPUT {matched} -j REJECT --reject-with {with}");
        let script = match action {
            FirewallAction::Drop => format!("iptables -I OUTPUT {matched} -j DROP"),
            FirewallAction::Refuse => reject("tcp-reset"),
            FirewallAction::NoRoute => reject("icmp-host-unreachable"),
            FirewallAction::Unreachable => reject("icmp-net-unreachable"),
            FirewallAction::Open => {
                let only = format!("| grep -e '-d {to}/32 .*--dport {port} '");
                remove_rules(COMMENT, &only)
            }
            _ => return None,
        };
        Some(self.script(&script, &[]).await.map(drop))
    }

    /// Takes away what says which hosts the pulls of a registry ask.
    pub(super) async fn clear_mirrors(&self, registry: &str) -> Result<(), DockerError> {
        let script = format!("rm -rf '/etc/containerd/certs.d/{registry}'");
        self.script(&script, &[]).await.map(drop)
    }

    /// Takes out every rule that a scenario or its stage has put in.
    pub(super) async fn clear_rules(&self) -> Result<(), DockerError> {
        for comment in [COMMENT, STAGE_COMMENT] {
            self.script(&remove_rules(comment, ""), &[]).await?;
        }
        Ok(())
    }
}

/// A script that deletes the rules with a comment, in all tables.
fn remove_rules(comment: &str, also: &str) -> String {
    format!(
        "for table in filter nat mangle; do
           iptables -t $table -S | grep -e '--comment \"*{comment}' {also} | sed 's/^-A/-D/' |
           while read -r rule; do eval \"iptables -t $table $rule\"; done
         done"
    )
}

/// What scenarios may change in a node, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State(pub(super) String);

impl State {
    /// What is there now and was not, and the other way round; `None` when nothing changed.
    pub(super) fn difference(&self, now: &Self) -> Option<String> {
        let more = only_in(&now.0, &self.0);
        let less = only_in(&self.0, &now.0);
        let all: Vec<String> = more
            .map(|line| format!("new: {line}"))
            .chain(less.map(|line| format!("gone: {line}")))
            .collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn only_in<'a>(these: &'a str, those: &'a str) -> impl Iterator<Item = &'a str> {
    these
        .lines()
        .filter(move |line| !line.trim().is_empty() && !those.lines().any(|other| other == *line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_was_left_with() {
        let state = |text: &str| State(text.to_owned());
        let before =
            state("## packet filter\n*filter\nCOMMIT\n## /etc/resolv.conf\nnameserver 10.0.0.2");
        assert_eq!(before.difference(&before.clone()), None);
        let after = state(
            "## packet filter\n*filter\n-A OUTPUT -d 10.0.0.5/32 -j DROP\nCOMMIT\n## /etc/resolv.conf",
        );
        assert_eq!(
            before.difference(&after).as_deref(),
            Some("new: -A OUTPUT -d 10.0.0.5/32 -j DROP; gone: nameserver 10.0.0.2")
        );
    }
}
