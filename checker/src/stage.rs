//! The steps of a pull, in the order in which a pull takes them.

/// Where on the way from a reference to bytes on a node something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The text of the image name.
    Reference,
    /// What the kubelet does before and around the runtime (policy, queue, back-off, limits).
    Kubelet,
    /// Admission or signature policy.
    Policy,
    /// Name resolution.
    Dns,
    /// The TCP connection.
    Tcp,
    /// An HTTP proxy in between.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// `GET /v2/`.
    Ping,
    /// The challenge and the choice of a credential.
    Auth,
    /// The token service (for Azure: the exchange as well).
    Token,
    /// The manifest or index.
    Manifest,
    /// The choice of a platform in an index.
    Platform,
    /// Configuration and layers.
    Blob,
    /// Writing the layers to the node's file system.
    Unpack,
}

impl Stage {
    /// Every stage, in the order of a pull.
    pub const ALL: &'static [Self] = &[
        Self::Reference,
        Self::Kubelet,
        Self::Policy,
        Self::Dns,
        Self::Tcp,
        Self::Proxy,
        Self::Tls,
        Self::Ping,
        Self::Auth,
        Self::Token,
        Self::Manifest,
        Self::Platform,
        Self::Blob,
        Self::Unpack,
    ];

    /// The stable identifier, as in JSON and in the corpus.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Kubelet => "kubelet",
            Self::Policy => "policy",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Ping => "ping",
            Self::Auth => "auth",
            Self::Token => "token",
            Self::Manifest => "manifest",
            Self::Platform => "platform",
            Self::Blob => "blob",
            Self::Unpack => "unpack",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

impl serde::Serialize for Stage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> serde::Deserialize<'de> for Stage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        let found = Self::ALL.iter().copied().find(|stage| stage.id() == id);
        found.ok_or_else(|| serde::de::Error::custom("not a stage"))
    }
}
