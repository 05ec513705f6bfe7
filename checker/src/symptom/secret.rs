//! Pull secrets as the cluster holds them, never printed.
//!
//! The body keeps the raw bytes for the keyring, which parses them by the kubelet's rules. It has
//! no `Display` and no `Serialize`, and its `Debug` shows a length.

/// One entry of `imagePullSecrets` and what was found under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullSecret {
    /// The name in the pod.
    pub name: String,
    /// What the cluster answered.
    pub state: SecretState,
    /// Other namespaces that have a secret of this name, where one is missing and could be looked for.
    pub elsewhere: Vec<String>,
}

/// What the cluster answered when asked for a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It was not asked for.
    NotRead,
    /// There is no secret of that name in the pod's namespace.
    Missing,
    /// The caller may not read secrets.
    Forbidden,
    /// The question failed in some other way.
    Failed(String),
    /// It is there.
    Found {
        /// `type`, for example `kubernetes.io/dockerconfigjson`.
        kind: String,
        /// The keys of its data, in order.
        keys: Vec<String>,
        /// The part a kubelet would read, if there is one under the right key.
        body: Option<SecretBody>,
    },
}

/// The bytes of a pull secret. Nothing prints them.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBody(Vec<u8>);

impl SecretBody {
    /// The largest secret that Kubernetes stores is 1 MiB; more is cut off by the reader.
    pub const LIMIT: usize = 1024 * 1024;

    /// Wraps the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the keyring alone.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for SecretBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretBody({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_does_not_print_itself() {
        let body = SecretBody::new(b"{\"auths\":{}}".to_vec());
        assert_eq!(format!("{body:?}"), "SecretBody(12 bytes)");
    }
}
