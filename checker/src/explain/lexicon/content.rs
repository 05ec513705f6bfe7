//! What the registry holds, what arrived, and the node that takes it: manifests, platforms, blobs,
//! storage, mirrors, disk and the runtime's own store; references and the kubelet's limits as well.

use super::{Phrase, part, says, word};
use crate::explain::layer::Speaker as W;
use crate::explain::signal::Signal as S;
use crate::stage::Stage;

pub(super) static PHRASES: &[Phrase] = &[
    // The reference.
    says("InvalidImageName", S::InvalidReference)
        .by(W::Kubelet)
        .at(Stage::Reference),
    says("couldn't parse image reference", S::InvalidReference)
        .by(W::Kubelet)
        .at(Stage::Reference),
    says("couldn't parse image name", S::InvalidReference)
        .by(W::Kubelet)
        .at(Stage::Reference),
    says("could not parse reference", S::InvalidReference).at(Stage::Reference),
    says("failed to parse image reference", S::InvalidReference).at(Stage::Reference),
    says("failed to parse reference", S::InvalidReference).at(Stage::Reference),
    says("invalid reference format", S::InvalidReference).at(Stage::Reference),
    says("repository name must be", S::InvalidReference).at(Stage::Reference),
    says("must be lowercase", S::InvalidReference).at(Stage::Reference),
    says(
        "must be valid RFC 3986 URI authorities",
        S::InvalidReference,
    )
    .at(Stage::Reference),
    says(
        "short-name resolution enforced but cannot prompt",
        S::InvalidReference,
    )
    .at(Stage::Reference),
    says(
        "did not resolve to an alias and no unqualified-search",
        S::InvalidReference,
    )
    .at(Stage::Reference),
    says("no unqualified-search registries", S::InvalidReference).at(Stage::Reference),
    says("invalid checksum digest length", S::InvalidReference).at(Stage::Reference),
    says("invalid tag format", S::InvalidReference).at(Stage::Reference),
    says("invalid repository name", S::InvalidReference).at(Stage::Reference),
    says("invalid image name", S::InvalidReference).at(Stage::Reference),
    says("Invalid namespace name", S::InvalidReference).at(Stage::Reference),
    // The kubelet.
    says("is not present with pull policy of Never", S::NeverPull)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("ErrImageNeverPull", S::NeverPull)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    says("No such image", S::NeverPull)
        .by(W::Docker)
        .at(Stage::Kubelet),
    says("pull QPS exceeded", S::PullQps)
        .by(W::Kubelet)
        .at(Stage::Kubelet),
    // Manifests.
    says("manifest unknown", S::ManifestUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("MANIFEST_UNKNOWN", S::ManifestUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("manifest is unknown", S::ManifestUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("manifest is not known to the registry", S::ManifestUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("Requested image not found", S::ManifestUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("tag does not exist", S::ManifestUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("no such manifest", S::ManifestUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("not found: artifact", S::ManifestUnknown)
        .by(W::Registry)
        .at(Stage::Manifest)
        .names(),
    word("artifact", S::ManifestFor).names(),
    says("name unknown", S::NameUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("NAME_UNKNOWN", S::NameUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("repository name not known to registry", S::NameUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("The repository with name", S::NameUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("Repo not found", S::NameUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("RepositoryNotFoundException", S::NameUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("repository not found", S::NameUnknown)
        .by(W::Registry)
        .at(Stage::Manifest),
    says("404 page not found", S::Page404).at(Stage::Manifest),
    says("Error 404 (Not Found)", S::Page404).at(Stage::Manifest),
    word("not found", S::NotFound),
    says("content at ", S::ContentAt).by(W::Containerd),
    says("could not fetch content descriptor", S::DescriptorFetch)
        .by(W::Containerd)
        .at(Stage::Blob),
    part(
        "(application/vnd.docker.distribution.manifest.",
        S::ManifestDescriptor,
    )
    .at(Stage::Manifest),
    part(
        "(application/vnd.oci.image.manifest.",
        S::ManifestDescriptor,
    )
    .at(Stage::Manifest),
    part("(application/vnd.oci.image.index.", S::ManifestDescriptor).at(Stage::Manifest),
    // Platform.
    says("no match for platform", S::Platform)
        .at(Stage::Platform)
        .opens(),
    says("no matching manifest for", S::Platform)
        .at(Stage::Platform)
        .opens(),
    says("no image found in", S::Platform).at(Stage::Platform),
    says("Image architecture mismatch", S::Platform).at(Stage::Platform),
    says("does not match the specified platform", S::Platform).at(Stage::Platform),
    says("does not match the detected host platform", S::Platform).at(Stage::Platform),
    says("no child with platform", S::Platform).at(Stage::Platform),
    says("no child with matching platform", S::Platform).at(Stage::Platform),
    says("cannot be used on this platform", S::Platform).at(Stage::Platform),
    says("exec format error", S::Platform).at(Stage::Platform),
    says("does not provide any platform", S::Platform).at(Stage::Platform),
    says("descriptor matching platform", S::Platform).at(Stage::Platform),
    // Manifests that cannot be used.
    part("manifest.v1+prettyjws", S::Unsupported).at(Stage::Manifest),
    part("manifest.v1+json", S::Unsupported).at(Stage::Manifest),
    says("unsupported MediaType", S::Unsupported).at(Stage::Manifest),
    says("unsupported media type", S::Unsupported).at(Stage::Manifest),
    says("unknown media type", S::Unsupported).at(Stage::Manifest),
    says("unexpected media type", S::Unsupported).at(Stage::Manifest),
    says("unsupported manifest", S::Unsupported).at(Stage::Manifest),
    says("unsupported schema version", S::Unsupported).at(Stage::Manifest),
    says(
        "schema 1 image manifests are no longer supported",
        S::Unsupported,
    )
    .at(Stage::Manifest),
    says("schema version 1", S::Unsupported).at(Stage::Manifest),
    says("is no longer supported since", S::Unsupported).at(Stage::Manifest),
    says("manifest invalid", S::Unsupported).at(Stage::Manifest),
    says("invalid manifest", S::Unsupported).at(Stage::Manifest),
    says("MANIFEST_INVALID", S::Unsupported).at(Stage::Manifest),
    says(
        "mismatched image rootfs and manifest layers",
        S::Unsupported,
    )
    .at(Stage::Manifest),
    says("children: invalid desc", S::Unsupported).at(Stage::Manifest),
    says("encountered unknown type", S::Unsupported).at(Stage::Manifest),
    says("in header not a valid digest", S::Unsupported).at(Stage::Manifest),
    says("reports content size of zero", S::Unsupported).at(Stage::Manifest),
    says("byte manifest for", S::Unsupported).at(Stage::Manifest),
    says("unmarshaling manifest", S::Unsupported).at(Stage::Manifest),
    says("Error parsing manifest", S::Unsupported).at(Stage::Manifest),
    says(
        "unsupported image-specific operation on artifact",
        S::Unsupported,
    )
    .at(Stage::Manifest),
    says("Unknown config media type", S::Unsupported).at(Stage::Manifest),
    says("invalid mixed OCI image", S::Unsupported).at(Stage::Manifest),
    part("text/html", S::HtmlType),
    // Blobs.
    says("unknown blob", S::BlobUnknown)
        .by(W::Registry)
        .at(Stage::Blob),
    says("blob unknown", S::BlobUnknown)
        .by(W::Registry)
        .at(Stage::Blob),
    says("BLOB_UNKNOWN", S::BlobUnknown)
        .by(W::Registry)
        .at(Stage::Blob),
    // Storage and redirects.
    part("<?xml", S::Xml).by(W::Storage).at(Stage::Blob),
    part("<Error><Code>", S::Xml).by(W::Storage).at(Stage::Blob),
    says("SignatureDoesNotMatch", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    says("Request has expired", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    says("AuthorizationFailure", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    part("<Code>AccessDenied", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    part("<Code>NoSuchKey", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    says("RequestTimeTooSkewed", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    says("InvalidAccessKeyId", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    says("ExpiredToken", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    says(
        "This request is not authorized to perform this operation",
        S::StorageRefused,
    )
    .by(W::Storage)
    .at(Stage::Blob),
    says(
        "Server failed to authenticate the request",
        S::StorageRefused,
    )
    .by(W::Storage)
    .at(Stage::Blob),
    says("PublicAccessNotPermitted", S::StorageRefused)
        .by(W::Storage)
        .at(Stage::Blob),
    says("stopped after 10 redirects", S::Redirects),
    says("too many redirects", S::Redirects),
    part("<html", S::Html),
    part("<!DOCTYPE", S::Html),
    says("invalid character '<'", S::Html),
    // Mirrors and their configuration.
    part("hosts.toml", S::Mirror),
    says("cannot load TOML", S::Mirror),
    says("toml: ", S::Mirror),
    says("loading registries configuration", S::Mirror),
    part("registries.conf", S::Mirror),
    says("no resolve hosts", S::Mirror),
    says("failed to load hosts", S::Mirror),
    says("invalid host for mirror", S::Mirror),
    says("mirror resolve", S::Mirror).by(W::Mirror),
    says("invalid mirror", S::Mirror),
    says("invalid registry mirror", S::Mirror),
    says("registry mirror", S::MirrorParameter),
    says("upstream is not configured", S::Mirror).by(W::Mirror),
    says("not configured as an upstream", S::Mirror).by(W::Mirror),
    // Bytes.
    says("unexpected commit digest", S::Corrupt).at(Stage::Blob),
    says("failed size validation", S::Corrupt).at(Stage::Blob),
    says("unexpected commit size", S::Corrupt).at(Stage::Blob),
    says("layer verification failed", S::Corrupt).at(Stage::Blob),
    says("Digest did not match", S::Corrupt).at(Stage::Blob),
    says("does not match digest", S::Corrupt).at(Stage::Blob),
    says("digest mismatch", S::Corrupt).at(Stage::Blob),
    says("does not match the digest", S::Corrupt).at(Stage::Blob),
    says("error verifying sha256 checksum", S::Corrupt).at(Stage::Blob),
    says("error verifying size", S::Corrupt).at(Stage::Blob),
    says("DIGEST_INVALID", S::Corrupt).at(Stage::Blob),
    says("failed to read expected number of bytes", S::Truncated).at(Stage::Blob),
    says("short read", S::Truncated).at(Stage::Blob),
    says("happened during read", S::Truncated).at(Stage::Blob),
    says("outstanding read data remaining", S::Truncated).at(Stage::Blob),
    says("unexpected end of file", S::Truncated).at(Stage::Blob),
    // Unpacking.
    says("failed to extract layer", S::Unpack)
        .by(W::Containerd)
        .at(Stage::Unpack),
    says("failed to register layer", S::Unpack)
        .by(W::Docker)
        .at(Stage::Unpack),
    says("apply layer error", S::Unpack)
        .by(W::Containerd)
        .at(Stage::Unpack),
    word("ApplyLayer", S::Unpack)
        .by(W::Docker)
        .at(Stage::Unpack),
    says("Untar", S::Unpack).at(Stage::Unpack),
    says("Error processing tar file", S::Unpack).at(Stage::Unpack),
    says("processing tar file", S::Unpack).at(Stage::Unpack),
    part("archive/tar", S::Unpack).at(Stage::Unpack),
    says("failed to Lchown", S::Unpack).at(Stage::Unpack),
    says("error creating layer", S::Unpack).at(Stage::Unpack),
    says("committing the finished image", S::Unpack).at(Stage::Unpack),
    says("writing layer", S::Unpack).at(Stage::Unpack),
    says("mount callback failed", S::Unpack).at(Stage::Unpack),
    says("wrong diff id", S::Unpack).at(Stage::Unpack),
    says("layers and diffIDs don't match", S::Unpack).at(Stage::Unpack),
    says("insufficient UIDs or GIDs", S::Unpack).at(Stage::Unpack),
    says("gzip: invalid header", S::Unpack).at(Stage::Unpack),
    says("flate: corrupt input", S::Unpack).at(Stage::Unpack),
    part("hcsshim::ImportLayer", S::Unpack).at(Stage::Unpack),
    says("operation not permitted", S::SystemReason),
    says("invalid argument", S::SystemReason),
    says("no such file or directory", S::SystemReason),
    says("file exists", S::SystemReason),
    says("not a directory", S::SystemReason),
    says("is a directory", S::SystemReason),
    says("invalid tar header", S::SystemReason),
    says("too many levels of symbolic links", S::SystemReason),
    says("file name too long", S::SystemReason),
    says("operation not supported", S::SystemReason),
    says("value too large for defined data type", S::SystemReason),
    // Disk.
    says("no space left on device", S::DiskFull),
    says("low on resource: ephemeral-storage", S::DiskFull),
    says("disk quota exceeded", S::DiskFull),
    says("not enough space on the disk", S::DiskFull),
    says("insufficient disk space", S::DiskFull),
    says("insufficient space", S::DiskFull),
    says("not enough free space", S::DiskFull),
    word("ENOSPC", S::DiskFull),
    // The runtime's own store.
    says("failed to prepare extraction snapshot", S::Runtime)
        .by(W::Containerd)
        .at(Stage::Unpack),
    says("failed to get reader from content store", S::Runtime)
        .by(W::Containerd)
        .at(Stage::Unpack),
    says("failed to unpack image on snapshotter", S::RuntimeWeak)
        .by(W::Containerd)
        .at(Stage::Unpack),
    says("content digest sha256:", S::RuntimeWeak).by(W::Containerd),
    says("parent snapshot", S::Runtime).at(Stage::Unpack),
    says("failed to create snapshot", S::Runtime).at(Stage::Unpack),
    says("snapshotter not loaded", S::Runtime).at(Stage::Unpack),
    says("missing content", S::Runtime).at(Stage::Unpack),
    says("failed to open writer", S::Runtime),
    says("failed to create lease", S::Runtime),
    says("lease does not exist", S::Runtime),
    says("layer not known", S::Runtime).at(Stage::Unpack),
    says("image not known", S::Runtime),
    says("layer does not exist", S::Runtime).at(Stage::Unpack),
    says("input/output error", S::Runtime).at(Stage::Unpack),
    says("read-only file system", S::Runtime).at(Stage::Unpack),
    says("structure needs cleaning", S::Runtime).at(Stage::Unpack),
    says("Bad response from Docker engine", S::Runtime).by(W::Docker),
    says("Cannot connect to the Docker daemon", S::Runtime).by(W::Docker),
    says("container runtime is down", S::Runtime).by(W::Kubelet),
    says("received message larger than max", S::Runtime),
    says("while trying to connect to the Docker daemon", S::Runtime).by(W::Docker),
    says("error creating overlay mount", S::Runtime).at(Stage::Unpack),
    says("nil pointer", S::Runtime),
    says("unknown service runtime", S::Runtime).by(W::Containerd),
    says("layers from manifest don't match", S::Unsupported).at(Stage::Manifest),
];
