//! What is rolled out to whom, from where: the question that a storm answers.

use std::time::Duration;

use serde::Serialize;

/// Nodes and images together; beyond this the answer is wanted from arithmetic, not from a simulation.
const MOST_PULLS: u64 = 4_000_000;
/// Layers of one image; registries and runtimes refuse far fewer.
const MOST_LAYERS: u32 = 1_000;
const MOST_MIRRORS: u32 = 64;
/// What one second of the record costs, times this, stays small.
const LONGEST: Duration = Duration::from_hours(7 * 24);

pub use fake_registry::Sku;

/// The tiers of a registry of Azure, smallest first.
pub const SKUS: [(&str, Sku); 3] = [
    ("basic", Sku::Basic),
    ("standard", Sku::Standard),
    ("premium", Sku::Premium),
];

/// A rollout. Times are virtual.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Nodes, each of which needs all images.
    pub nodes: u32,
    /// Images of each node, one pod each.
    pub images: u32,
    /// Layers of each image.
    pub layers: u32,
    /// Compressed bytes of each layer.
    pub layer_bytes: u64,
    /// Whether the tag is an index of several platforms: one more manifest.
    pub index: bool,
    /// The registry.
    pub registry: Registry,
    /// How the nodes sign in.
    pub auth: Auth,
    /// Bytes a second that one node can take in; none is as fast as it gets.
    pub node_bandwidth: Option<u64>,
    /// One way between a node and the registry.
    pub latency: Duration,
    /// One pull at a time on each node (`serializeImagePulls`, the kubelet's default).
    pub serial: bool,
    /// `registryPullQPS`; zero is no limit.
    pub qps: f64,
    /// `registryBurst`.
    pub burst: u32,
    /// The pods start spread evenly by chance over this time.
    pub spread: Duration,
    /// Pull-through mirrors in front of the registry, the nodes spread over them.
    pub mirrors: u32,
    /// Bytes a second of each mirror.
    pub mirror_bandwidth: Option<u64>,
    /// When to stop looking.
    pub horizon: Duration,
    /// What chance there is comes from here.
    pub seed: u64,
}

/// The registry as its clients feel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Registry {
    /// Reads that it answers in a minute; 429 beyond.
    pub reads_a_minute: Option<u64>,
    /// Token requests that it answers in a minute.
    pub tokens_a_minute: Option<u64>,
    /// Reads a minute that others take first.
    pub others: u64,
    /// Bytes a second, shared fairly by all transfers.
    pub bandwidth: Option<u64>,
}

/// How the nodes sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Not at all.
    Open,
    /// A token of the registry's token service, for resolving and again for fetching.
    Token,
    /// The same, and first the exchange of a credential provider, whose answer a node keeps.
    Acr,
}

/// A plan that cannot be played.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A number outside of what makes sense.
    #[error("{what} is {is}; it has to be from {from} to {to}")]
    Range {
        /// Which number.
        what: &'static str,
        /// What it is.
        is: u64,
        /// The least.
        from: u64,
        /// The most.
        to: u64,
    },
    /// `registryPullQPS` is no rate.
    #[error("{0} is no rate of pulls a second")]
    Rate(f64),
}

impl Plan {
    /// A rollout of one image of ten layers of 10 MiB to so many nodes, all at once, with the settings that
    /// the kubelet comes with, from a registry without limits.
    pub fn new(nodes: u32) -> Self {
        Self {
            nodes,
            images: 1,
            layers: 10,
            layer_bytes: 10 << 20,
            index: true,
            registry: Registry {
                reads_a_minute: None,
                tokens_a_minute: None,
                others: 0,
                bandwidth: None,
            },
            auth: Auth::Token,
            node_bandwidth: None,
            latency: Duration::from_millis(1),
            serial: true,
            qps: 5.0,
            burst: 10,
            spread: Duration::ZERO,
            mirrors: 0,
            mirror_bandwidth: None,
            horizon: Duration::from_hours(24),
            seed: 1,
        }
    }

    /// The same with the published limits of a registry of Azure of this tier, as one identity meets them:
    /// all kubelets of a cluster are one.
    #[must_use]
    pub fn sku(mut self, sku: Sku) -> Self {
        let (registry, identity) = sku.reads_a_minute();
        self.registry.reads_a_minute = Some(registry.min(identity));
        self.registry.tokens_a_minute = Some(sku.tokens_a_minute());
        self.auth = Auth::Acr;
        self
    }

    /// Whether it can be played.
    pub fn check(&self) -> Result<(), PlanError> {
        let range = |what, is: u64, from: u64, to: u64| {
            if (from..=to).contains(&is) {
                Ok(())
            } else {
                Err(PlanError::Range { what, is, from, to })
            }
        };
        range("the number of nodes", self.nodes.into(), 1, MOST_PULLS)?;
        range("the number of images", self.images.into(), 1, 1_000)?;
        let pulls = u64::from(self.nodes) * u64::from(self.images);
        range("nodes times images", pulls, 1, MOST_PULLS)?;
        range(
            "the number of layers",
            self.layers.into(),
            1,
            MOST_LAYERS.into(),
        )?;
        range("the size of a layer", self.layer_bytes, 1, 1 << 40)?;
        range(
            "the number of mirrors",
            self.mirrors.into(),
            0,
            MOST_MIRRORS.into(),
        )?;
        for (what, bandwidth) in [
            ("the registry's bandwidth", self.registry.bandwidth),
            ("a node's bandwidth", self.node_bandwidth),
            ("a mirror's bandwidth", self.mirror_bandwidth),
        ] {
            range(what, bandwidth.unwrap_or(1), 1, 1 << 50)?;
        }
        let seconds = |time: Duration| time.as_secs();
        range(
            "the horizon in seconds",
            seconds(self.horizon),
            1,
            seconds(LONGEST),
        )?;
        range(
            "the spread in seconds",
            seconds(self.spread),
            0,
            seconds(self.horizon),
        )?;
        let latency = u64::try_from(self.latency.as_millis()).unwrap_or(u64::MAX);
        range("the latency in milliseconds", latency, 0, 60_000)?;
        if self.qps.is_finite() && self.qps >= 0.0 {
            Ok(())
        } else {
            Err(PlanError::Rate(self.qps))
        }
    }
}
