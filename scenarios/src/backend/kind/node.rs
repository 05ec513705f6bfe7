//! A node of the cluster: what is done in its container, and whether it was left as it was.
//!
//! Everything that a scenario puts into a node's packet filter carries a comment of ours, so that it
//! can be told from kube-proxy's rules and be taken out again, whoever put it there.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use super::docker::{self, Container, DockerError};
use super::settings::MARK;
use crate::spec::FirewallAction;

/// On every rule that a scenario makes.
const COMMENT: &str = "pullcheck-scenario";
/// On every rule that the stage of a scenario needs.
pub(super) const STAGE_COMMENT: &str = "pullcheck-stage";

/// The metadata service of every cloud.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

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
find /etc/containerd/certs.d /etc/containerd/config.toml /etc/ssl/certs/ca-certificates.crt /etc/pullcheck \
  /etc/default/kubelet /var/lib/kubelet/config.yaml \
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
    /// out. `None` when the filter of a real node has no such rule. `other` is where packets go that are
    /// led elsewhere.
    pub(super) async fn firewall(
        &self,
        to: Option<IpAddr>,
        port: u16,
        action: &FirewallAction,
        other: Option<IpAddr>,
    ) -> Option<Result<(), DockerError>> {
        let script = rule(to, port, action, other)?;
        Some(self.script(&script, &[]).await.map(drop))
    }

    /// What a scenario that shares the node has there: rules for its addresses, mirrors of its registries.
    pub(super) async fn own_state<'a>(
        &self,
        addresses: impl Iterator<Item = IpAddr>,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<State, DockerError> {
        let mut script = "rules=$(iptables-save)\n".to_owned();
        for address in addresses {
            let _ = writeln!(script, "grep -F '{}' <<<\"$rules\"", own(address));
        }
        for name in names {
            let _ = writeln!(
                script,
                "cat '/etc/containerd/certs.d/{name}/hosts.toml' 2>/dev/null"
            );
        }
        script.push_str("true\n");
        self.script(&script, &[]).await.map(State)
    }

    /// Takes out what `own_state` shows.
    pub(super) async fn clear_own<'a>(
        &self,
        addresses: impl Iterator<Item = IpAddr>,
        names: impl Iterator<Item = &'a String>,
    ) -> Result<(), DockerError> {
        let mut script = String::new();
        for address in addresses {
            let _ = writeln!(script, "{}", remove_rules(&own(address)));
        }
        for name in names {
            let folder = format!("/etc/containerd/certs.d/{name}");
            let _ = writeln!(
                script,
                "if head -n 1 '{folder}/hosts.toml' 2>/dev/null | grep -q '^{MARK}'; then rm -rf '{folder}'; fi"
            );
        }
        self.script(&script, &[]).await.map(drop)
    }

    /// Takes out every rule that a scenario or its stage has put in.
    pub(super) async fn clear_rules(&self) -> Result<(), DockerError> {
        for comment in [COMMENT, STAGE_COMMENT] {
            self.script(&remove_rules(comment), &[]).await?;
        }
        Ok(())
    }
}

/// What the comments of an address's rules begin with.
fn own(address: IpAddr) -> String {
    format!("{COMMENT}/{address}/")
}

/// The comment of the rules for an address, or all, and a port.
pub(super) fn comment(to: Option<IpAddr>, port: u16) -> String {
    let to = to.map_or_else(|| "anywhere".to_owned(), |address| address.to_string());
    format!("{COMMENT}/{to}/{port}/")
}

/// A script that changes the packet filter of a node; `None` where there is no such rule.
pub(super) fn rule(
    to: Option<IpAddr>,
    port: u16,
    action: &FirewallAction,
    other: Option<IpAddr>,
) -> Option<String> {
    let own = comment(to, port);
    let named = format!("-m comment --comment {own}");
    let metadata = to == Some(METADATA);
    let there = match to {
        // By then another rule has led them elsewhere.
        Some(to) if metadata => {
            format!("-p tcp -m conntrack --ctorigdst {to} --ctorigdstport {port} {named}")
        }
        Some(to) => format!("-d {to} -p tcp --dport {port} {named}"),
        None => format!("-p tcp --dport {port} {named}"),
    };
    let reject = |with: &str| format!("iptables -I OUTPUT {there} -j REJECT --reject-with {with}");
    Some(match action {
        FirewallAction::Drop => format!("iptables -I OUTPUT {there} -j DROP"),
        FirewallAction::Refuse => reject("tcp-reset"),
        FirewallAction::NoRoute => reject("icmp-host-unreachable"),
        FirewallAction::Unreachable => reject("icmp-net-unreachable"),
        // The first bytes that are said are answered with a reset.
        FirewallAction::ResetAfter(0) => format!(
            "iptables -I OUTPUT {there} --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset"
        ),
        FirewallAction::DropLarger(bytes) if !metadata => {
            let from = to.map_or_else(String::new, |to| format!("-s {to} "));
            let least = bytes.saturating_add(1).min(65535);
            format!(
                "iptables -I INPUT {from}-p tcp --sport {port} -m length --length {least}:65535 {named} -j DROP"
            )
        }
        FirewallAction::Redirect(_) => {
            format!(
                "iptables -t nat -I OUTPUT {there} -j DNAT --to-destination {}",
                other?
            )
        }
        FirewallAction::Open => remove_rules(&own),
        _ => return None,
    })
}

/// A script that deletes the rules whose comment begins so, in all tables.
pub(super) fn remove_rules(comment: &str) -> String {
    format!(
        "for table in filter nat mangle; do
           iptables -t $table -S | grep -F -e '--comment {comment}' -e '--comment \"{comment}' | sed 's/^-A/-D/' |
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
        self.left(self, now)
    }

    /// What is there now and was there neither before the stage was made nor when the first act began, and
    /// what was there both times and is gone.
    pub(super) fn left(&self, furnished: &Self, now: &Self) -> Option<String> {
        let more = only_in(&now.0, &self.0).filter(|line| !has(&furnished.0, line));
        let less = only_in(&self.0, &now.0).filter(|line| has(&furnished.0, line));
        let all: Vec<String> = more
            .map(|line| format!("new: {line}"))
            .chain(less.map(|line| format!("gone: {line}")))
            .collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

fn has(text: &str, line: &str) -> bool {
    text.lines().any(|other| other == line)
}

fn only_in<'a>(these: &'a str, those: &'a str) -> impl Iterator<Item = &'a str> {
    these
        .lines()
        .filter(move |line| !line.trim().is_empty() && !has(those, line))
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

    #[test]
    fn what_the_stage_itself_did_is_nobodys_fault() {
        let state = |text: &str| State(text.to_owned());
        let (pristine, furnished) = (state("a\nb"), state("a\nb\nmirror"));
        for (now, want) in [
            ("a\nb\nmirror", None),
            ("a\nb", None),
            ("a\nb\nrule", Some("new: rule")),
            ("a\nmirror", Some("gone: b")),
        ] {
            assert_eq!(
                pristine.left(&furnished, &state(now)).as_deref(),
                want,
                "for {now:?}"
            );
        }
    }

    #[test]
    fn rules_of_the_packet_filter() {
        let to = Some("10.0.0.5".parse().unwrap());
        let lines = [
            rule(to, 443, &FirewallAction::Drop, None),
            rule(None, 443, &FirewallAction::Refuse, None),
            rule(to, 443, &FirewallAction::ResetAfter(0), None),
            rule(to, 443, &FirewallAction::ResetAfter(9), None),
            rule(to, 443, &FirewallAction::DropLarger(1400), None),
            rule(Some(METADATA), 80, &FirewallAction::Drop, None),
            rule(
                to,
                443,
                &FirewallAction::Redirect("x".into()),
                Some([10, 0, 0, 9].into()),
            ),
        ];
        let lines = lines.map(|line| line.unwrap_or_else(|| "none".to_owned()));
        insta::assert_snapshot!(lines.join("\n"), @r"
        iptables -I OUTPUT -d 10.0.0.5 -p tcp --dport 443 -m comment --comment pullcheck-scenario/10.0.0.5/443/ -j DROP
        iptables -I OUTPUT -p tcp --dport 443 -m comment --comment pullcheck-scenario/anywhere/443/ -j REJECT --reject-with tcp-reset
        iptables -I OUTPUT -d 10.0.0.5 -p tcp --dport 443 -m comment --comment pullcheck-scenario/10.0.0.5/443/ --tcp-flags PSH PSH -j REJECT --reject-with tcp-reset
        none
        iptables -I INPUT -s 10.0.0.5 -p tcp --sport 443 -m length --length 1401:65535 -m comment --comment pullcheck-scenario/10.0.0.5/443/ -j DROP
        iptables -I OUTPUT -p tcp -m conntrack --ctorigdst 169.254.169.254 --ctorigdstport 80 -m comment --comment pullcheck-scenario/169.254.169.254/80/ -j DROP
        iptables -t nat -I OUTPUT -d 10.0.0.5 -p tcp --dport 443 -m comment --comment pullcheck-scenario/10.0.0.5/443/ -j DNAT --to-destination 10.0.0.9
        ");
    }
}
