//! The fence: a packet-filter rule that lets nothing out of the cluster's network.
//!
//! Until kube-proxy has made its rules, and for every service address that no rule covers,
//! packets of nodes and pods would follow the default route out of the machine. The rule sits
//! in the chain that Docker leaves to users, and names the network's bridge; it is put up
//! before the first container starts, and goes last. Between the nodes everything passes.

use super::command::{Call, Said, Stop};
use super::error::KindError;
use super::name::ClusterName;

const CHAIN: &str = "DOCKER-USER";

/// The packet filter, in the way in which this user may change it.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    program: &'static [&'static str],
}

impl Fence {
    /// Finds out how the packet filter can be changed, and that Docker is in it.
    pub(crate) async fn find(stop: &Stop) -> Result<Self, KindError> {
        let mut refused = None;
        for program in [&["iptables"][..], &["sudo", "-n", "iptables"]] {
            let fence = Self { program };
            match fence.call(["-S", CHAIN]).said(stop).await {
                Ok(said) if said.status.success() => return Ok(fence),
                // The first answer counts: that `sudo` asks for a password says less.
                Ok(said) => refused = refused.or(Some(why_refused(&said))),
                Err(KindError::Start { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(other) => return Err(other),
            }
        }
        Err(refused.unwrap_or(KindError::ProgramsMissing {
            programs: "iptables".into(),
        }))
    }

    /// Puts the fence up before the network's bridge, if it is not up yet.
    pub(crate) async fn put_up(&self, name: &ClusterName, stop: &Stop) -> Result<(), KindError> {
        let bridge = name.bridge();
        if !std::path::Path::new("/sys/class/net")
            .join(&bridge)
            .exists()
        {
            return Err(KindError::BridgeElsewhere { bridge });
        }
        if self.is_up(&bridge, stop).await? {
            return Ok(());
        }
        self.call(["-I", CHAIN, "1"])
            .arguments(rule(&bridge))
            .text(stop)
            .await?;
        Ok(())
    }

    /// Takes it away, also where it was put up more than once.
    pub(crate) async fn take_down(&self, name: &ClusterName, stop: &Stop) -> Result<(), KindError> {
        let bridge = name.bridge();
        while self.is_up(&bridge, stop).await? {
            self.call(["-D", CHAIN])
                .arguments(rule(&bridge))
                .text(stop)
                .await?;
        }
        Ok(())
    }

    async fn is_up(&self, bridge: &str, stop: &Stop) -> Result<bool, KindError> {
        let said = self
            .call(["-C", CHAIN])
            .arguments(rule(bridge))
            .said(stop)
            .await?;
        Ok(said.status.success())
    }

    fn call<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        let (first, rest) = self.program.split_first().unwrap_or((&"iptables", &[]));
        // `-w`: Docker changes the same tables.
        Call::new(first)
            .arguments(rest)
            .arguments(["-w"])
            .arguments(arguments)
    }
}

/// What comes in by the bridge and would leave by anything else is refused, so that a
/// connection fails at once instead of hanging.
fn rule(bridge: &str) -> [&str; 11] {
    [
        "-i",
        bridge,
        "!",
        "-o",
        bridge,
        "-m",
        "comment",
        "--comment",
        "pullcheck-kind",
        "-j",
        "REJECT",
    ]
}

fn why_refused(said: &Said) -> KindError {
    let text = said.err.trim();
    if text.contains("ermission denied") || text.contains("password is required") {
        KindError::FilterForbidden
    } else if text.contains("No chain/target/match")
        || text.contains("does not exist")
        || text.contains("incompatible")
    {
        KindError::NoFilterChain
    } else {
        KindError::Command {
            command: format!("iptables -S {CHAIN}"),
            status: said.status.to_string(),
            text: text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn the_rule_lets_the_cluster_talk_to_itself_only() {
        insta::assert_snapshot!(rule("pk-0").join(" "), @"-i pk-0 ! -o pk-0 -m comment --comment pullcheck-kind -j REJECT");
    }

    #[test]
    fn why_the_packet_filter_refuses() {
        let why = |err: &str| {
            why_refused(&Said {
                status: ExitStatus::from_raw(256),
                out: String::new(),
                err: err.into(),
            })
        };
        let rights = "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)";
        assert!(matches!(why(rights), KindError::FilterForbidden));
        assert!(matches!(
            why("sudo: a password is required"),
            KindError::FilterForbidden
        ));
        assert!(matches!(
            why("iptables: No chain/target/match by that name."),
            KindError::NoFilterChain
        ));
        assert!(matches!(
            why(
                "iptables v1.8.9 (nf_tables): chain `DOCKER-USER' in table `filter' is incompatible, use 'nft' tool."
            ),
            KindError::NoFilterChain
        ));
        assert!(matches!(why("other"), KindError::Command { text, .. } if text == "other"));
    }
}
