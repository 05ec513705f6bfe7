//! What a node is like, and how it changes: `cluster.node`, `cluster.nodes-by-name`, `set-node`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Settings of a node; what is not said stays as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NodeSettings {
    /// `amd64`, `arm64`. Only for a node that joins.
    #[serde(default)]
    pub architecture: Option<String>,
    /// Labels beside the usual ones. Only for a node that joins.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The kubelet's `serializeImagePulls`. Only for a node that joins.
    #[serde(default)]
    pub serialize_image_pulls: Option<bool>,
    /// The kubelet's `registryPullQPS`. Only for a node that joins.
    #[serde(default)]
    pub registry_qps: Option<f64>,
    /// The kubelet's `registryBurst`. Only for a node that joins.
    #[serde(default)]
    pub registry_burst: Option<u32>,
    /// An image that sandboxes are made of and that the node does not have yet. Only for a node that joins.
    #[serde(default)]
    pub sandbox_image: Option<String>,
    /// Whether the kubelet's credential provider works; it does unless told otherwise. Only for a node that joins.
    #[serde(default)]
    pub credential_provider: Option<bool>,
    /// Whether the credential provider's configuration names the identity. Only for a node that joins.
    #[serde(default)]
    pub names_identity: Option<bool>,
    /// Whether the node trusts the authority of the registries' certificates; it does unless told otherwise.
    #[serde(default)]
    pub trusts_registries: Option<bool>,
    /// `hosts.toml` by registry; an entry without mirrors takes the file away.
    #[serde(default)]
    pub mirrors: IndexMap<String, Mirrors>,
    /// By how much the node's clock is wrong: `-3h`, `2d`, `0s`.
    #[serde(default)]
    pub clock: Option<Shift>,
    /// The room for images, as `40MiB`; `unlimited`.
    #[serde(default)]
    pub disk: Option<Room>,
    /// The proxy in the runtime's environment.
    #[serde(default)]
    pub proxy: Option<ProxySettings>,
}

/// `hosts.toml` of one registry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mirrors {
    /// The hosts that are asked first, in order, as `https://mirror.example`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Where the registry itself is, if not at its own name.
    #[serde(default)]
    pub server: Option<String>,
}

/// The proxy in a runtime's environment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProxySettings {
    /// `HTTPS_PROXY`, as `http://proxy.example:3128`; none takes it away.
    #[serde(default)]
    pub https: Option<String>,
    /// `NO_PROXY`.
    #[serde(default)]
    pub no_proxy: Vec<String>,
}

impl ProxySettings {
    /// `HOST:PORT` of the proxy.
    pub fn authority(&self) -> Option<&str> {
        let url = self.https.as_deref()?;
        Some(url.strip_prefix("http://").unwrap_or(url))
    }
}

/// By how much a clock is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift(pub jiff::SignedDuration);

impl<'de> Deserialize<'de> for Shift {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || {
            D::Error::custom(format!(
                "`{text}` is no shift of a clock of at most two years, such as `-3h`, `2h 5m` or `0s`"
            ))
        };
        let shift: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
        if shift.as_hours().unsigned_abs() > 24 * 365 * 2 {
            return Err(wrong());
        }
        Ok(Self(shift))
    }
}

/// The room for images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room(pub Option<u64>);

impl<'de> Deserialize<'de> for Room {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "unlimited" {
            return Ok(Self(None));
        }
        let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let size = units.iter().find_map(|(unit, factor)| {
            let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            number.checked_mul(*factor)
        });
        match size {
            Some(bytes) => Ok(Self(Some(bytes))),
            None => Err(D::Error::custom(format!(
                "`{text}` is neither a size such as `40MiB` nor `unlimited`"
            ))),
        }
    }
}
