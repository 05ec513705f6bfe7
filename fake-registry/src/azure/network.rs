//! Network rules of a registry: which addresses may talk to it.

use std::net::IpAddr;

use super::state::Acr;

/// An address, or a range of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    bits: u128,
    mask: u128,
    v4: bool,
}

impl Cidr {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(width);
        if length > width {
            return None;
        }
        let mask = u128::MAX.checked_shl(width - length).unwrap_or(0);
        let bits = bits(address);
        Some(Self {
            bits: bits & mask,
            mask,
            v4: address.is_ipv4(),
        })
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        self.v4 == address.is_ipv4() && bits(address) & self.mask == self.bits
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Acr {
    /// Whether a client may talk to this registry at all: through an approved private endpoint,
    /// or over the public network as far as that is open.
    pub(crate) fn admits(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let private = self.private.iter().any(|(endpoint, subnets)| {
            endpoint.status == "Approved" && subnets.iter().any(|subnet| subnet.contains(client))
        });
        let listed = || match &self.allowed {
            None => true,
            Some(ranges) => ranges.iter().any(|(_, range)| range.contains(client)),
        };
        private || (self.spec.public_network && listed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_addresses() {
        let table = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("20.1.2.3", "20.1.2.3", true),
            ("20.1.2.3", "20.1.2.4", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
        ];
        for (range, address, want) in table {
            assert_eq!(
                Cidr::parse(range)
                    .unwrap()
                    .contains(address.parse().unwrap()),
                want,
                "{range} {address}"
            );
        }
        for text in ["", "10.0.0.0/33", "10.0.0/8", "a", "10.0.0.0/-1", "::/129"] {
            assert!(Cidr::parse(text).is_none(), "for {text:?}");
        }
    }
}
