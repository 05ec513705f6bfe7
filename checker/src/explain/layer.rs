//! What a message is made of, as told to the outside: layers, attempts, the explanation.

use crate::cause::Cause;
use crate::clue::Clue;
use crate::stage::Stage;
use serde::Serialize;

/// Who worded a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Speaker {
    /// The kubelet.
    Kubelet,
    /// Another orchestrator's agent (ECS).
    Agent,
    /// The Kubernetes API server.
    ApiServer,
    /// gRPC, between kubelet and runtime.
    Grpc,
    /// containerd, with ctr, nerdctl and crictl on it.
    Containerd,
    /// CRI-O.
    CriO,
    /// The library that CRI-O, podman, buildah and skopeo share.
    ContainersImage,
    /// dockerd, cri-dockerd, the docker CLI.
    Docker,
    /// BuildKit.
    #[serde(rename = "buildkit")]
    BuildKit,
    /// podman or buildah.
    Podman,
    /// skopeo.
    Skopeo,
    /// go-containerregistry: crane and what is built on it.
    Crane,
    /// The HTTP client inside of the program.
    HttpClient,
    /// The name resolver.
    Resolver,
    /// TCP.
    Network,
    /// TLS.
    Tls,
    /// An HTTP proxy.
    Proxy,
    /// The registry.
    Registry,
    /// A mirror or pull-through cache.
    Mirror,
    /// The token service.
    TokenService,
    /// The storage behind the registry.
    Storage,
    /// Microsoft Entra, the metadata service, or the client library of both.
    AzureIdentity,
    /// A kubelet credential provider or docker credential helper.
    CredentialProvider,
    /// An admission webhook, a signature policy.
    Policy,
    /// Not said.
    Unknown,
}

impl Speaker {
    /// How a person would call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Agent => "agent",
            Self::ApiServer => "API server",
            Self::Grpc => "gRPC",
            Self::Containerd => "containerd",
            Self::CriO => "CRI-O",
            Self::ContainersImage => "containers/image",
            Self::Docker => "docker",
            Self::BuildKit => "BuildKit",
            Self::Podman => "podman",
            Self::Skopeo => "skopeo",
            Self::Crane => "go-containerregistry",
            Self::HttpClient => "HTTP client",
            Self::Resolver => "resolver",
            Self::Network => "network",
            Self::Tls => "TLS",
            Self::Proxy => "proxy",
            Self::Registry => "registry",
            Self::Mirror => "mirror",
            Self::TokenService => "token service",
            Self::Storage => "storage",
            Self::AzureIdentity => "Azure identity",
            Self::CredentialProvider => "credential provider",
            Self::Policy => "policy",
            Self::Unknown => "message",
        }
    }
}

/// Why a TLS connection was not made, as far as the words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TlsReason {
    /// Nobody whom the client trusts signed the chain.
    UnknownAuthority,
    /// The certificate is past its dates.
    Expired,
    /// The certificate is before its dates.
    NotYetValid,
    /// The certificate is for other names.
    NameMismatch,
    /// The handshake did not end in time.
    HandshakeTimeout,
    /// The server wants a certificate of the client.
    ClientCertificateRequired,
    /// The two sides share no version of the protocol.
    VersionRefused,
    /// The other side does not speak TLS.
    NotTls,
    /// The certificate cannot be read or is not acceptable in itself.
    BadCertificate,
    /// Any other end of the handshake.
    HandshakeFailed,
}

/// One wrap of the message: who says what. Texts are free of secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Layer {
    /// Who worded it.
    pub who: Speaker,
    /// The step of the pull that it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// Its words, at most 1 KiB.
    pub text: String,
    /// The image reference in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The HTTP method of the request that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The URL of that request; user info and query values are hidden.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The host that it names: of the URL, the lookup or the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The address that was dialled or spoken to, with its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The call of the operating system that failed: `connect`, `read`, `write`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscall: Option<String>,
    /// What the operating system said: `connection refused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<String>,
    /// Why TLS was not agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsReason>,
    /// The registry's error code (`MANIFEST_UNKNOWN`) or the gRPC code (`NotFound`), as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The registry's words behind its code, without secrets, at most 300 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The number of the attempt that it belongs to, from 0; absent outside of attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<usize>,
}

/// What an attempt stands for in a message that reports several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Role {
    /// One of the credentials that the kubelet tried in turn.
    Credential,
    /// The same without credentials, after they failed.
    Anonymous,
    /// A mirror, asked before the registry itself.
    Mirror,
    /// The registry itself, after its mirrors.
    Primary,
    /// One of several registries that were searched for a short name.
    Search,
    /// One of several ways to speak to the same registry (HTTPS and HTTP, v2 and v1).
    Protocol,
    /// One line of several that were pasted.
    Line,
}

/// One of several attempts that a message reports, and what it tells by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// What it stands for.
    pub role: Role,
    /// What it tells by itself.
    pub clue: Clue,
    /// True for the one that decides what the message tells.
    pub decides: bool,
    /// The host that it went to, where the text says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// What a message tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// What it honestly tells on its own.
    pub clue: Clue,
    /// Other clues that a careful reader could defend; at most three, the likeliest first.
    pub also: Vec<Clue>,
    /// True where the wording admits one reading.
    pub certain: bool,
    /// The step at which the pull failed.
    pub stage: Stage,
    /// The image reference that it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The host that failed or answered: not always the one in the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The HTTP status that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The wraps of the message, outermost first.
    pub layers: Vec<Layer>,
    /// The attempts that it reports, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The causes that fit, the likeliest first.
    pub causes: Vec<Cause>,
}
