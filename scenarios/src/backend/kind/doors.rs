//! The network of a registry's container: an address of its own for each of its names, and what is done
//! at them.
//!
//! A second container, of the nodes' own image, shares that network and may change it: the registry's has
//! neither a shell nor the right. Addresses are taken from the far end of the cluster's network: Docker
//! counts from the near one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::docker::{self, DockerError};
use super::node::{comment, remove_rules};
use crate::backend::StepError;
use crate::spec::ServiceState;

/// The network that a cluster's nodes are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    base: u32,
    size: u32,
    /// The machine's own address on it.
    pub(super) gateway: Ipv4Addr,
}

impl Subnet {
    /// Asks Docker.
    pub(super) async fn of(network: &str) -> Result<Self, DockerError> {
        let format = "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}\n{{end}}";
        let arguments = ["network", "inspect", "--format", format, network];
        let text = docker::docker(&arguments).await?;
        let found = text.lines().find_map(Self::parse);
        found.ok_or_else(|| DockerError::Answer {
            command: format!("network inspect {network}"),
            text,
        })
    }

    /// `172.18.0.0/16 172.18.0.1`
    fn parse(line: &str) -> Option<Self> {
        let (range, gateway) = line.trim().split_once(' ')?;
        let (base, length) = range.split_once('/')?;
        let base: Ipv4Addr = base.parse().ok()?;
        let length: u32 = length
            .parse()
            .ok()
            .filter(|length| (8..=28).contains(length))?;
        Some(Self {
            base: u32::from(base),
            size: 1 << (32 - length),
            gateway: gateway.trim().parse().ok()?,
        })
    }

    /// The address number so-and-so from the far end; a quarter of the network is ours, and used again.
    fn far(self, number: u32) -> Ipv4Addr {
        let from_end = 2 + number % (self.size / 4);
        Ipv4Addr::from(self.base + self.size - from_end)
    }
}

/// The names of a registry's container, each at an address of its own.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) container: String,
    addresses: BTreeMap<String, IpAddr>,
}

/// What doors are made from.
pub(super) struct Wanted<'a> {
    /// The registry's container.
    pub(super) registry: &'a str,
    /// An image with a shell, `ip` and `iptables`.
    pub(super) image: &'a str,
    pub(super) label: &'a str,
    pub(super) subnet: Subnet,
    pub(super) names: &'a [String],
}

impl Doors {
    /// Opens them. `next` gives numbers that no other doors have.
    pub(super) async fn open(
        wanted: &Wanted<'_>,
        next: impl Fn() -> u32,
    ) -> Result<Self, DockerError> {
        let names = wanted.names.iter();
        let addresses: BTreeMap<String, IpAddr> = names
            .map(|name| (name.clone(), IpAddr::V4(wanted.subnet.far(next()))))
            .collect();
        let container = format!("{}-doors", wanted.registry);
        docker::docker(&[
            "run",
            "--detach",
            "--name",
            &container,
            "--network",
            &format!("container:{}", wanted.registry),
            "--cap-add",
            "NET_ADMIN",
            "--label",
            wanted.label,
            "--entrypoint",
            "sleep",
            wanted.image,
            "infinity",
        ])
        .await?;
        let doors = Self {
            container,
            addresses,
        };
        let lines = doors.addresses.values();
        let lines: Vec<String> = lines
            .map(|address| format!("ip address add {address}/32 dev eth0"))
            .collect();
        doors.script(&lines.join(" && ")).await?;
        Ok(doors)
    }

    async fn script(&self, text: &str) -> Result<String, DockerError> {
        docker::docker(&["exec", &self.container, "bash", "-c", text]).await
    }

    /// Where a name is.
    pub(super) fn address(&self, name: &str) -> Option<IpAddr> {
        self.addresses.get(name).copied()
    }

    /// All names with their addresses.
    pub(super) fn all(&self) -> &BTreeMap<String, IpAddr> {
        &self.addresses
    }

    /// What listens at a port of a name from now on.
    pub(super) async fn service(
        &self,
        name: &str,
        port: u16,
        state: ServiceState,
    ) -> Result<(), StepError> {
        let address = self
            .address(name)
            .ok_or_else(|| StepError::Failed(format!("there is no host `{name}`")))?;
        let own = comment(Some(address), port);
        let matched = format!("-d {address} -p tcp --dport {port} -m comment --comment {own}");
        let rule = match state {
            ServiceState::Up => String::new(),
            ServiceState::Down => {
                format!("iptables -I INPUT {matched} -j REJECT --reject-with tcp-reset")
            }
            // The kernel takes the connection; what is said over it is never heard.
            ServiceState::Mute => {
                format!("iptables -I INPUT {matched} --tcp-flags PSH PSH -j DROP")
            }
        };
        let done = self
            .script(&format!("{}\n{rule}", remove_rules(&own)))
            .await;
        done.map(drop).map_err(|error| StepError::failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_from_the_far_end_of_a_network() {
        let table = [
            ("172.18.0.0/16 172.18.0.1", 0, "172.18.255.254"),
            ("172.18.0.0/16 172.18.0.1", 260, "172.18.254.250"),
            ("10.9.8.0/24 10.9.8.1", 0, "10.9.8.254"),
            ("10.9.8.0/24 10.9.8.1", 64, "10.9.8.254"),
        ];
        for (line, number, want) in table {
            let subnet = Subnet::parse(line).unwrap();
            assert_eq!(subnet.far(number).to_string(), want, "for {line} {number}");
        }
        for line in [
            "",
            "fd00::/64 fd00::1",
            "10.0.0.0/30 10.0.0.1",
            "10.0.0.0/99 10.0.0.1",
        ] {
            assert_eq!(Subnet::parse(line), None, "for {line}");
        }
    }
}
