//! Published limits of the registry tiers, and what a pull costs.
//!
//! Source: Microsoft's article "Azure Container Registry SKU features and limits" (2026-08):
//! best effort, token bucket, per minute. All anonymous clients share one identity, all nodes of a
//! cluster share the kubelet identity.

/// Requests a minute that a tier is published to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkuLimits {
    /// Data-plane reads (`GET`, `HEAD`) of one registry.
    pub reads_per_registry: u32,
    /// Data-plane reads of one identity at one registry.
    pub reads_per_identity: u32,
    /// Calls to the token endpoints of one registry.
    pub oauth_per_registry: u32,
}

/// The limits of a tier by its name in ARM; none for one without published figures.
pub fn sku_limits(name: &str) -> Option<SkuLimits> {
    match name.to_ascii_lowercase().as_str() {
        "basic" | "standard" => Some(SkuLimits {
            reads_per_registry: 10_000,
            reads_per_identity: 5_000,
            oauth_per_registry: 10_000,
        }),
        "premium" => Some(SkuLimits {
            reads_per_registry: 20_000,
            reads_per_identity: 10_000,
            oauth_per_registry: 20_000,
        }),
        _ => None,
    }
}

/// Reads of a pull besides its layers: `HEAD` of the tag, `GET` of the index, of the platform's
/// manifest, and of the configuration.
pub const READS_PER_PULL_EXTRA: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers() {
        let reads = |name| sku_limits(name).map(|limits| limits.reads_per_identity);
        assert_eq!(reads("Basic"), Some(5_000));
        assert_eq!(reads("PREMIUM"), Some(10_000));
        assert_eq!(reads("Classic"), None);
    }
}
