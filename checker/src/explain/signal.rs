//! What a phrase signals, and a set of signals.
//!
//! A signal is one fact of wording ("the resolver said no such host"), not yet a judgement: what it
//! means depends on the layer in which it stands and on the other signals of the same attempt.

/// A fact of wording. The families follow the files of the lexicon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Signal {
    /// A wrapper that only tells who speaks; carries no fact.
    Nothing,
    // Structure.
    /// `rpc error: code = `; the code's word follows.
    GrpcCode,
    /// `(Mirrors also failed: `.
    MirrorsFailed,
    /// `N errors occurred:`.
    ErrorsOccurred,
    /// `Trying to pull `, `Attempting to pull `.
    TryingToPull,
    /// `HTTPS attempt:`, `v1 ping attempt failed with error:`.
    PingAttempt,
    /// `; artifact err: `.
    ArtifactError,
    /// Sandbox image wrappers.
    Sandbox,
    /// A daemon's own API status (`API error (500)`), not a registry's.
    DaemonStatus,
    /// The image is present or was pulled: nothing failed.
    Success,
    /// The word `lookup`, in front of a host name.
    Lookup,
    /// `dial tcp`.
    DialTcp,
    /// `dial unix`, or the path of a local daemon's socket.
    DialUnix,
    /// `read tcp`, `write tcp`.
    OpenTcp,
    /// `read udp`, `dial udp`.
    Udp,
    /// `connecting to ADDRESS`: an intermediary's dial.
    ConnectingTo,
    /// The layer speaks of a blob's download.
    BlobFetch,
    /// The layer speaks of the configuration's download.
    ConfigFetch,
    /// The layer unpacks: `failed to extract layer`, `failed to register layer`.
    Unpack,
    /// The layer reads signatures.
    Signatures,
    /// The layer asks for a token without credentials.
    TokenAnonymous,
    /// The layer asks for a token with credentials.
    TokenOauth,
    /// The layer asks for a token; with or without credentials is not said.
    Token,
    /// `authorization failed`, `failed to authorize`.
    Authorize,
    /// An admission webhook speaks.
    Admission,
    /// It refused.
    AdmissionDenied,
    // Kubelet and reference.
    InvalidReference,
    NeverPull,
    /// `secret "`: a secret's quoted name follows.
    SecretNamed,
    SecretMissing,
    SecretMalformed,
    PullQps,
    BackOff,
    Canceled,
    RequestCanceled,
    NoProgress,
    /// Words that promise a cause and give none.
    Vague,
    // Network.
    NoSuchHost,
    ServerMisbehaving,
    TryAgain,
    IoTimeout,
    TimedOut,
    Refused,
    Unreachable,
    Reset,
    Eof,
    UnexpectedEof,
    ClientTimeout,
    DeadlineExceeded,
    ProxyConnect,
    ProxyRefused,
    Unavailable,
    // TLS and scheme.
    UnknownAuthority,
    CertExpired,
    CertName,
    Handshake,
    HttpToHttps,
    HttpsToHttp,
    // Who you are.
    NoCredentials,
    Unauthenticated,
    BadCredentials,
    NotAuthorized,
    Denied,
    ResourceDenied,
    AbsentOrDenied,
    Unauthorized,
    EcrExpired,
    TokenBad,
    NoRealm,
    AzureIdentity,
    CredentialProvider,
    AddressDenied,
    Billing,
    PolicyDenied,
    RegistryBlocked,
    RateLimit,
    // What is there.
    ManifestUnknown,
    NameUnknown,
    /// `manifest for `: a reference and `not found` follow.
    ManifestFor,
    NotFound,
    ContentAt,
    DescriptorFetch,
    ManifestDescriptor,
    HtmlType,
    BlobUnknown,
    Platform,
    Unsupported,
    Page404,
    // The registry's side.
    Html,
    Xml,
    StorageRefused,
    Redirects,
    Mirror,
    MirrorParameter,
    // Bytes and disk.
    Corrupt,
    Truncated,
    DiskFull,
    /// An operating system's reason: `operation not permitted`.
    SystemReason,
    Runtime,
    RuntimeWeak,
    Inspect,
}

/// A set of signals.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Signals(u128);

impl Signals {
    pub(super) fn insert(&mut self, signal: Signal) {
        self.0 |= 1 << (signal as u8);
    }

    pub(super) fn has(self, signal: Signal) -> bool {
        self.0 & (1 << (signal as u8)) != 0
    }

    pub(super) fn any(self, signals: &[Signal]) -> bool {
        signals.iter().any(|signal| self.has(*signal))
    }
}

const _: () = assert!((Signal::Inspect as u8) < 128, "the set holds 128 signals");
