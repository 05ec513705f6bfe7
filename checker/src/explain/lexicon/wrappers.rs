//! Wrappers: phrases that tell who speaks and at which step, and those that give a text its shape.

use super::{Phrase, part, says, word};
use crate::explain::layer::Speaker as W;
use crate::explain::signal::Signal as S;
use crate::stage::Stage;

pub(super) static PHRASES: &[Phrase] = &[
    // Kubelet.
    says("Failed to pull image", S::Nothing)
        .by(W::Kubelet)
        .at(Stage::Kubelet)
        .names(),
    says("Image pull failed", S::Nothing)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("Back-off pulling image", S::BackOff)
        .by(W::Kubelet)
        .at(Stage::Kubelet)
        .names(),
    says("ImagePullBackOff", S::BackOff)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("trying and failing to pull image", S::BackOff)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("image can't be pulled", S::Vague)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("ErrImagePull", S::Vague)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("ImagePullFailure", S::Vague),
    says("is not ready on the node", S::Vague),
    says("image pull failed for unknown error", S::Vague).by(W::Kubelet),
    says("CannotPullContainerError", S::Vague).by(W::Agent),
    says("CannotPullImageManifestError", S::Vague).by(W::Agent),
    says("has been retried", S::Nothing),
    says("Error syncing pod", S::Nothing).by(W::Kubelet),
    says("PullImage from image service failed", S::Nothing).by(W::Kubelet),
    says("RunPodSandbox from runtime service failed", S::Sandbox).by(W::Kubelet),
    says("Failed to create pod sandbox", S::Sandbox).by(W::Kubelet),
    says("Failed create pod sandbox", S::Sandbox).by(W::Kubelet),
    says("CreatePodSandbox for pod", S::Sandbox).by(W::Kubelet),
    says("Failed to inspect image", S::Inspect)
        .by(W::Kubelet)
        .at(Stage::Kubelet)
        .names(),
    says("ImageInspectError", S::Inspect)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("Failed to apply default image tag", S::InvalidReference)
        .by(W::Kubelet)
        .at(Stage::Reference)
        .names(),
    says("is waiting to start", S::Nothing).by(W::Kubelet),
    says("Error from server", S::Nothing).by(W::ApiServer),
    says("already present on machine", S::Success),
    says("Successfully pulled image", S::Success),
    says("Pulling image", S::Nothing).by(W::Kubelet).names(),
    // gRPC.
    says("rpc error: code = ", S::GrpcCode).by(W::Grpc).opens(),
    says("rpc error: code ", S::GrpcCode).by(W::Grpc).opens(),
    says("code = ", S::GrpcCode),
    // containerd and its clients.
    says("failed to pull and unpack image", S::Nothing)
        .by(W::Containerd)
        .opens()
        .names(),
    says("failed to resolve reference", S::Nothing)
        .by(W::Containerd)
        .at(Stage::Manifest)
        .opens()
        .names(),
    says("failed to resove reference", S::Nothing)
        .by(W::Containerd)
        .at(Stage::Manifest)
        .opens()
        .names(),
    says("failed to resolve image", S::Nothing)
        .by(W::Containerd)
        .at(Stage::Manifest)
        .opens()
        .names(),
    says("failed to resolve ref", S::Nothing)
        .by(W::Containerd)
        .at(Stage::Manifest)
        .names(),
    says("failed to do request", S::Nothing).by(W::Containerd),
    says("failed to copy", S::Nothing).by(W::Containerd),
    says("httpReadSeeker", S::Nothing).by(W::Containerd),
    says("httpReaderSeeker", S::Nothing).by(W::Containerd),
    says("failed to get sandbox image", S::Sandbox)
        .by(W::Containerd)
        .names(),
    says("failed to start sandbox", S::Sandbox).by(W::Containerd),
    says("failed to solve", S::Nothing).by(W::BuildKit),
    says("ctr: ", S::Nothing).by(W::Containerd),
    says("pulling from host", S::Nothing)
        .by(W::Containerd)
        .at(Stage::Manifest),
    says("get image config descriptor", S::Nothing)
        .by(W::Containerd)
        .opens(),
    // dockerd.
    says("Error response from daemon", S::Nothing)
        .by(W::Docker)
        .opens(),
    says("Error while pulling image", S::Nothing).by(W::Docker),
    says("Not continuing with pull after error", S::Nothing).by(W::Docker),
    says("Attempting next endpoint for pull after error", S::Nothing).by(W::Docker),
    says("error pulling image configuration", S::ConfigFetch)
        .by(W::Docker)
        .at(Stage::Blob)
        .opens(),
    says("Download failed, retrying", S::BlobFetch)
        .by(W::Docker)
        .at(Stage::Blob),
    says("download failed after attempts", S::BlobFetch)
        .by(W::Docker)
        .at(Stage::Blob),
    says("API error (", S::DaemonStatus).by(W::Docker),
    says("HTTP code ", S::DaemonStatus),
    says("Server Error for http+docker", S::DaemonStatus).by(W::Docker),
    says("error from registry", S::Nothing).by(W::Registry),
    says("Error getting v2 registry", S::Nothing)
        .by(W::Docker)
        .at(Stage::Ping),
    says("Error from V2 registry", S::Nothing).by(W::Docker),
    says("Handler for POST", S::Nothing).by(W::Docker),
    says("ping attempt failed with error", S::PingAttempt)
        .by(W::Docker)
        .at(Stage::Ping),
    says("v1 ping attempt failed with error", S::PingAttempt)
        .by(W::Docker)
        .at(Stage::Ping),
    says("v2 ping attempt failed with error", S::PingAttempt)
        .by(W::Docker)
        .at(Stage::Ping),
    says("HTTPS attempt:", S::PingAttempt)
        .by(W::Docker)
        .at(Stage::Ping),
    says("HTTP attempt:", S::PingAttempt)
        .by(W::Docker)
        .at(Stage::Ping),
    // CRI-O, podman, buildah, skopeo: the library they share.
    says("unable to pull image or OCI artifact", S::Nothing)
        .by(W::CriO)
        .opens(),
    says("pull image err", S::Nothing).by(W::CriO),
    says("; artifact err: ", S::ArtifactError).by(W::CriO),
    says("initializing source", S::Nothing)
        .by(W::ContainersImage)
        .opens(),
    says("Error initializing source", S::Nothing)
        .by(W::ContainersImage)
        .opens(),
    says("pinging container registry", S::Nothing)
        .by(W::ContainersImage)
        .at(Stage::Ping),
    says("error pinging docker registry", S::Nothing)
        .by(W::ContainersImage)
        .at(Stage::Ping),
    says("reading manifest", S::Nothing)
        .by(W::ContainersImage)
        .at(Stage::Manifest)
        .opens()
        .names(),
    says("Error reading manifest", S::Nothing)
        .by(W::ContainersImage)
        .at(Stage::Manifest)
        .opens()
        .names(),
    says("copying system image", S::Nothing).by(W::ContainersImage),
    says("unable to copy from source", S::Nothing).by(W::ContainersImage),
    says("choosing image instance", S::Nothing)
        .by(W::ContainersImage)
        .at(Stage::Platform),
    says("reading blob", S::BlobFetch)
        .by(W::ContainersImage)
        .at(Stage::Blob),
    says("writing blob", S::BlobFetch)
        .by(W::ContainersImage)
        .at(Stage::Blob),
    says("fetching blob", S::BlobFetch)
        .by(W::ContainersImage)
        .at(Stage::Blob),
    says("storing blob to file", S::BlobFetch)
        .by(W::ContainersImage)
        .at(Stage::Blob),
    says("parsing image configuration", S::ConfigFetch)
        .by(W::ContainersImage)
        .at(Stage::Blob),
    says("Requesting bearer token", S::Token)
        .by(W::ContainersImage)
        .at(Stage::Token),
    says("unable to retrieve auth token", S::Token)
        .by(W::ContainersImage)
        .at(Stage::Token),
    says("error getting username and password", S::CredentialProvider)
        .by(W::ContainersImage)
        .at(Stage::Auth),
    says("Error reading signatures", S::Signatures)
        .by(W::ContainersImage)
        .at(Stage::Policy),
    says("reading signatures", S::Signatures)
        .by(W::ContainersImage)
        .at(Stage::Policy),
    says("Error parsing image name", S::Nothing).by(W::Skopeo),
    says("Error determining manifest MIME type", S::Nothing).by(W::Skopeo),
    says("(Mirrors also failed: ", S::MirrorsFailed).by(W::ContainersImage),
    says("Trying to pull ", S::TryingToPull)
        .by(W::Podman)
        .names(),
    says("Attempting to pull ", S::TryingToPull).by(W::Podman),
    says("errors occurred", S::ErrorsOccurred).by(W::Podman),
    says("error occurred", S::ErrorsOccurred).by(W::Podman),
    says("unable to pull ", S::Nothing).by(W::Podman).names(),
    says("PullImage \"", S::Nothing).by(W::Kubelet),
    // go-containerregistry.
    says("unsupported status code", S::Nothing).by(W::Crane),
    says("initialize transport", S::Nothing)
        .by(W::Crane)
        .at(Stage::Ping),
    says("Error: fetching", S::Nothing).by(W::Crane),
    // Sign-in layers.
    says("failed to authorize", S::Authorize)
        .by(W::Containerd)
        .at(Stage::Token),
    says("authorization failed", S::Authorize).by(W::Containerd),
    says("failed to fetch anonymous token", S::TokenAnonymous)
        .by(W::Containerd)
        .at(Stage::Token),
    says("failed to fetch oauth token", S::TokenOauth)
        .by(W::Containerd)
        .at(Stage::Token),
    says("fetching oauth token", S::TokenOauth).at(Stage::Token),
    says("fetching anonymous token", S::TokenAnonymous).at(Stage::Token),
    says("Token exchange failed", S::Token)
        .by(W::Registry)
        .at(Stage::Token),
    // Network layers: what is in front of the reason.
    word("Get", S::Nothing).by(W::HttpClient),
    word("Head", S::Nothing).by(W::HttpClient),
    word("Post", S::Nothing).by(W::HttpClient),
    says("dial tcp", S::DialTcp).by(W::Network),
    says("dial unix", S::DialUnix).by(W::Network),
    // The peer of a gRPC call is the runtime on the node.
    says("error reading from server", S::DialUnix).by(W::Grpc),
    says("error reading server preface", S::DialUnix).by(W::Grpc),
    says("transport is closing", S::DialUnix).by(W::Grpc),
    part("containerd.sock", S::DialUnix),
    part("docker.sock", S::DialUnix),
    part("crio.sock", S::DialUnix),
    says("read tcp", S::OpenTcp).by(W::Network),
    says("write tcp", S::OpenTcp).by(W::Network),
    says("read udp", S::Udp).by(W::Network).at(Stage::Dns),
    says("dial udp", S::Udp).by(W::Network).at(Stage::Dns),
    says("connecting to ", S::ConnectingTo).by(W::Network),
    says("lookup ", S::Lookup).by(W::Resolver).at(Stage::Dns),
    says("resolving host ", S::Lookup)
        .by(W::Resolver)
        .at(Stage::Dns),
    says("getaddrinfo", S::Lookup)
        .by(W::Resolver)
        .at(Stage::Dns),
    // What names a reference.
    word("image", S::Nothing).names(),
    word("reference", S::Nothing).names(),
    part("docker://", S::Nothing).names(),
    says("manifest for ", S::ManifestFor).names(),
    says("pull access denied for ", S::AbsentOrDenied)
        .by(W::Docker)
        .at(Stage::Manifest)
        .names(),
    // Admission.
    says("admission webhook", S::Admission)
        .by(W::Policy)
        .at(Stage::Policy),
    says("denied the request", S::AdmissionDenied)
        .by(W::Policy)
        .at(Stage::Policy),
];
