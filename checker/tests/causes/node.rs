//! What only the node shows: its disk, its kubelet, its policies. A probe cannot see these, and a
//! probe that passes does not speak against them.

use pullcheck::report::Report;

use crate::Expect::{Blocked, Open};
use crate::api::Pod;
use crate::lab::{Lab, NODE, open};
use crate::names::{IMAGE, resolved};
use crate::{Row, row};

pub(crate) fn rows() -> Vec<Row> {
    use pullcheck::cause::Cause as C;
    vec![
        row!(DiskFull, Blocked, disk_full),
        row!(
            PullProgressTimeout,
            Open(&[C::PullHanging, C::RegistrySlow]),
            pull_progress_timeout
        ),
        row!(KubeletQps, Blocked, kubelet_qps),
        row!(StaleBackoff, Blocked, stale_backoff),
        row!(NeverPullAbsent, Blocked, never_pull_absent),
        row!(SignatureRejected, Blocked, signature_rejected),
        row!(AdmissionBlocksProbe, Blocked, admission_blocks_probe),
    ]
}

async fn told(broken: bool, reason: &'static str, text: &str) -> Report {
    let pod = if broken {
        Pod::waits(NODE, IMAGE, reason, text)
    } else {
        Pod::runs(NODE, IMAGE)
    };
    Lab::new(open()).pod(pod).check().await
}

async fn disk_full(broken: bool) -> Report {
    let text = "failed to pull and unpack image \"registry.example/shop/api:1.9\": failed to extract layer sha256:00: \
                write /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/7/fs/app: no space left on device";
    told(broken, "ImagePullBackOff", text).await
}

/// The runtime gave up because no bytes came; whose fault that was it does not say.
async fn pull_progress_timeout(broken: bool) -> Report {
    let text = "failed to pull and unpack image \"registry.example/shop/api:1.9\": failed to copy: httpReadSeeker: \
                failed open: failed to do request: context canceled";
    told(broken, "ImagePullBackOff", text).await
}

async fn kubelet_qps(broken: bool) -> Report {
    told(broken, "ImagePullBackOff", "pull QPS exceeded").await
}

/// The registry has the tag now; the pod waits for the end of its back-off.
async fn stale_backoff(broken: bool) -> Report {
    let text = resolved(IMAGE, "registry.example/shop/api:1.9: not found");
    told(broken, "ImagePullBackOff", &text).await
}

async fn never_pull_absent(broken: bool) -> Report {
    let text = "Container image \"registry.example/shop/api:1.9\" is not present with pull policy of Never";
    told(broken, "ErrImageNeverPull", text).await
}

async fn signature_rejected(broken: bool) -> Report {
    let text = "image pull failed for registry.example/shop/api:1.9 because the signature validation failed: \
                Source image rejected: A signature was required, but no signature exists";
    told(broken, "SignatureValidationFailed", text).await
}

/// No pod comes to be, so nothing can be pulled or looked at.
async fn admission_blocks_probe(broken: bool) -> Report {
    let mut lab = Lab::new(open());
    if broken {
        lab.cluster.refusal = Some(
            "Error creating: admission webhook \"registries.policy.example\" denied the request: images from registry.example are not allowed",
        );
    } else {
        lab = lab.pod(Pod::runs(NODE, IMAGE));
    }
    lab.check().await
}
