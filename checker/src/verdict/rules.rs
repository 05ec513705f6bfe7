//! Network rules of an Azure registry: what a 403 says, and what Azure says about the rules.

use std::net::IpAddr;

use super::roles::ask_azure;
use super::{Case, Draft, Settle};
use crate::azure::RegistryFacts;
use crate::cause::Cause;
use crate::evidence::Role;
use crate::stage::Stage;
use crate::world::Vantage;

/// The address in `client with ip '20.1.2.3' is not allowed access`; the quotes may come escaped.
pub(super) fn client_address(text: &str) -> Option<IpAddr> {
    let text = text.replace("\\u0027", "'");
    let (_, rest) = text.split_once("client with ip")?;
    let rest = rest.trim_start_matches([' ', '\'', '"']);
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || c == '.' || c == ':'))?;
    rest.get(..end)?.parse().ok()
}

pub(super) fn decide(
    case: &Case<'_>,
    vantage: &Vantage,
    address: Option<IpAddr>,
    because: String,
) -> Draft {
    let at = Stage::Ping;
    let Some(registry) = case.azure.and_then(|azure| azure.registry.as_ref()) else {
        let candidates = vec![
            Cause::AcrFirewallIp,
            Cause::AcrPrivateOnly,
            Cause::PrivateDnsZoneUnlinked,
        ];
        return Draft::open(
            at,
            candidates,
            because,
            vec![ask_azure("the registry's network rules")],
        );
    };
    let public = super::network::listed(case, vantage, Role::Registry);
    if !registry.public_network {
        let linked = registry
            .private_endpoints
            .iter()
            .any(|one| one.status.eq_ignore_ascii_case("Approved"));
        if linked {
            let because = format!(
                "{because}; public access is off and a private endpoint exists, but the name resolves to {public}"
            );
            return Draft::proven(at, Cause::PrivateDnsZoneUnlinked, because);
        }
        let because = format!(
            "{because}; Azure says that public network access of {} is off",
            registry.name
        );
        return Draft::proven(at, Cause::AcrPrivateOnly, because);
    }
    if !registry.denies_by_default {
        let because = format!(
            "{because}; yet Azure says that the rules of {} let everybody in",
            registry.name
        );
        return Draft::open(
            at,
            vec![Cause::AcrFirewallIp],
            because,
            vec![Settle::new(
                "the rules changed a moment ago: the same probe again",
            )],
        );
    }
    match address {
        Some(address) if !registry.ip_rules.iter().any(|rule| covers(rule, address)) => {
            let because = format!(
                "{because}; the rules of {} let in {} and not {address}",
                registry.name,
                list_rules(registry)
            );
            Draft::proven(at, Cause::AcrFirewallIp, because)
        }
        Some(address) => {
            let because = format!("{because}; yet a rule lets {address} in: it may be new");
            Draft::open(at, vec![Cause::AcrFirewallIp], because, Vec::new())
        }
        None => Draft::proven(
            at,
            Cause::AcrFirewallIp,
            format!(
                "{because}; the rules of {} let in {} only",
                registry.name,
                list_rules(registry)
            ),
        ),
    }
}

fn list_rules(registry: &RegistryFacts) -> String {
    match registry.ip_rules.as_slice() {
        [] => "no address".into(),
        rules => rules.iter().take(5).cloned().collect::<Vec<_>>().join(", "),
    }
}

/// Whether an address or CIDR range covers `address`.
fn covers(rule: &str, address: IpAddr) -> bool {
    let (network, bits) = rule
        .split_once('/')
        .map_or((rule, None), |(network, bits)| {
            (network, bits.parse::<u32>().ok())
        });
    match (network.parse::<IpAddr>(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) => {
            let bits = bits.unwrap_or(32).min(32);
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(network) & mask == u32::from(address) & mask
        }
        (Ok(network), address) => network == address,
        (Err(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_the_registry_s_words() {
        let table = [
            (
                "client with ip '20.4.5.6' is not allowed access. refer https://aka.ms/acr/firewall",
                Some("20.4.5.6"),
            ),
            (
                "client with ip \\u002720.4.5.6\\u0027 is not allowed access",
                Some("20.4.5.6"),
            ),
            ("client with ip '172.16.0.9' is not", Some("172.16.0.9")),
            ("client with ip '2001:db8::7' is not", Some("2001:db8::7")),
            ("denied", None),
        ];
        for (text, want) in table {
            assert_eq!(
                client_address(text).map(|one| one.to_string()).as_deref(),
                want,
                "for {text}"
            );
        }
    }

    #[test]
    fn rules_cover_addresses_and_ranges() {
        let table = [
            ("20.1.2.3", "20.1.2.3", true),
            ("20.1.2.0/24", "20.1.2.255", true),
            ("20.1.2.0/24", "20.1.3.0", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("nonsense", "8.8.8.8", false),
            ("20.1.2.3/x", "20.1.2.4", false),
        ];
        for (rule, address, want) in table {
            assert_eq!(
                covers(rule, address.parse().expect("an address")),
                want,
                "{address} by {rule}"
            );
        }
    }
}
