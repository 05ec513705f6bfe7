//! Names: what a name server answers, and how an answer is put together from records.

use std::net::{IpAddr, SocketAddr};

/// A chain of aliases longer than this is a loop or a mistake; servers give up on it too.
const MAX_ALIASES: usize = 8;

/// What the name server does when it is asked for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Answers with these addresses.
    Addresses(Vec<IpAddr>),
    /// Answers with another name, which is then looked up (CNAME).
    Alias(String),
    /// Says that there is no such name.
    NxDomain,
    /// Says that it cannot tell (SERVFAIL).
    ServFail,
    /// Says nothing.
    Silent,
    /// Says that the name exists and has no address.
    NoData,
}

/// The answer to a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The addresses, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// The names the answer went through, without the one asked for.
    pub aliases: Vec<String>,
    /// The name server that answered.
    pub server: SocketAddr,
}

/// Why a name did not resolve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// There is no such name.
    #[error("no such name, says {server}")]
    NxDomain {
        /// The name server that said so.
        server: SocketAddr,
    },
    /// The server could not tell.
    #[error("{server} cannot tell")]
    ServFail {
        /// The name server that said so.
        server: SocketAddr,
    },
    /// The server did not answer, or could not be reached.
    #[error("{server} did not answer")]
    Timeout {
        /// The name server that was asked.
        server: SocketAddr,
    },
    /// The name has no address.
    #[error("the name has no address, says {server}")]
    NoData {
        /// The name server that said so.
        server: SocketAddr,
    },
}

/// A name as it is compared: lower case, without the dot of the root.
pub(super) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Follows the records of a name to an answer. `None` is silence.
pub(super) fn answer(
    name: &str,
    server: SocketAddr,
    record: impl Fn(&str) -> Option<Record>,
) -> Option<Result<Lookup, LookupError>> {
    let mut name = canonical(name);
    let mut aliases = Vec::new();
    loop {
        return Some(match record(&name) {
            Some(Record::Addresses(addresses)) if addresses.is_empty() => {
                Err(LookupError::NoData { server })
            }
            Some(Record::Addresses(addresses)) => Ok(Lookup {
                addresses,
                aliases,
                server,
            }),
            Some(Record::Alias(target)) if aliases.len() < MAX_ALIASES => {
                name = canonical(&target);
                aliases.push(name.clone());
                continue;
            }
            Some(Record::Alias(_) | Record::ServFail) => Err(LookupError::ServFail { server }),
            Some(Record::Silent) => return None,
            Some(Record::NoData) => Err(LookupError::NoData { server }),
            Some(Record::NxDomain) | None => Err(LookupError::NxDomain { server }),
        });
    }
}
