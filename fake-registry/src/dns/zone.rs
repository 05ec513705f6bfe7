//! The names of a name server, as a file has them.
//!
//! ```yaml
//! names:
//!   registry.example: [10.0.0.5]
//!   gone.example: nx-domain          # also: serv-fail, silent
//! clients:                           # what differs for one that asks
//!   10.0.0.3: { registry.example: serv-fail }
//! ```

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;

use super::DnsError;

/// No list of names is longer.
const MAX_FILE: u64 = 4 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Zone {
    #[serde(default)]
    names: BTreeMap<String, Answer>,
    #[serde(default)]
    clients: BTreeMap<IpAddr, BTreeMap<String, Answer>>,
}

/// What a question for a name gets.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Addresses(Vec<IpAddr>),
    Word(Word),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Word {
    NxDomain,
    ServFail,
    Silent,
}

impl Zone {
    /// What a client gets for a name in lower or upper case, without the last dot.
    pub(super) fn answer(&self, name: &str, client: IpAddr) -> Option<&Answer> {
        let name = name.to_ascii_lowercase();
        let own = self.clients.get(&client).and_then(|names| names.get(&name));
        own.or_else(|| self.names.get(&name))
    }
}

pub(super) fn parse(text: &str) -> Result<Zone, String> {
    if text.trim().is_empty() {
        return Ok(Zone::default());
    }
    let zone: Zone =
        serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())?;
    let lower = |names: BTreeMap<String, Answer>| -> BTreeMap<String, Answer> {
        let names = names.into_iter();
        names
            .map(|(name, answer)| (name.trim_end_matches('.').to_ascii_lowercase(), answer))
            .collect()
    };
    Ok(Zone {
        names: lower(zone.names),
        clients: zone
            .clients
            .into_iter()
            .map(|(client, names)| (client, lower(names)))
            .collect(),
    })
}

pub(super) fn read(path: &Path) -> Result<Zone, DnsError> {
    let unreadable = |source| DnsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    parse(&text).map_err(|text| DnsError::Zone {
        path: path.to_owned(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_refused() {
        for text in [
            "names: []",
            "names: { a: [not-an-address] }",
            "names: { a: loud }",
            "nmaes: {}",
            "clients: { here: {} }",
        ] {
            assert!(parse(text).is_err(), "for {text}");
        }
        assert!(parse("").is_ok());
    }
}
