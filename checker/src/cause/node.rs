//! Causes on the node: disk, the kubelet's own limits and policies, and pulls that do not look failed.

use super::entry::{Entry, remedy};
use crate::stage::Stage;

pub(super) static DISK_FULL: Entry = Entry {
    stage: Stage::Unpack,
    meaning: "The node's disk has no room for the image.",
    detail: "A layer is first stored compressed and then unpacked, so an image needs about twice its size or more while it is pulled.",
    evidence: "`no space left on device`, or free space on the image file system below what the layers need.",
    remedies: &[remedy(
        "Free space on the node, or give it a larger disk",
        &[
            "kubectl describe node <node>",
            "kubectl debug node/<node> -it --image=busybox -- chroot /host crictl rmi --prune",
        ],
        "The debug container itself needs an image that is on the node.",
    )],
};

pub(super) static PULL_PROGRESS_TIMEOUT: Entry = Entry {
    stage: Stage::Blob,
    meaning: "The runtime gave up a pull that made no progress.",
    detail: "containerd ends a pull when no data has come for image_pull_progress_timeout (five minutes by default). The event says only `context canceled`; the runtime's log says why.",
    evidence: "The runtime's log has `no progress`, or no byte came for that long before the cancel.",
    remedies: &[remedy(
        "Find out why the layer stalls",
        &[
            "kubectl debug node/<node> -it --image=busybox -- chroot /host journalctl -u containerd --since -1h --grep progress",
            "pullcheck image <image> --depth full",
        ],
        "On a slow link raise image_pull_progress_timeout in containerd's configuration.",
    )],
};

pub(super) static KUBELET_QPS: Entry = Entry {
    stage: Stage::Kubelet,
    meaning: "The kubelet's own limit on pulls stopped it; no registry was asked.",
    detail: "registryPullQPS (5 a second) with registryBurst (10) applies to each node. It is hit when many containers start on one node at once.",
    evidence: "The text is `pull QPS exceeded`, and the registry saw no request.",
    remedies: &[remedy(
        "Wait, or raise registryPullQPS and registryBurst in the kubelet's configuration",
        &["kubectl get --raw /api/v1/nodes/<node>/proxy/configz"],
        "It heals by itself. imagePullPolicy IfNotPresent avoids needless pulls.",
    )],
};

pub(super) static SERIALIZED_QUEUE: Entry = Entry {
    stage: Stage::Kubelet,
    meaning: "The pull waits its turn: this node pulls one image at a time, and another one is in the way.",
    detail: "With serializeImagePulls (the kubelet's default) a large or hanging pull holds up all others of the node. The pod shows ContainerCreating and `Pulling`, no failure.",
    evidence: "The Pulled event's `including waiting` is far longer than the pull itself, or another pod of the node has been pulling for long.",
    remedies: &[remedy(
        "Find the pull in front, then allow parallel pulls",
        &[
            "kubectl get events --all-namespaces --field-selector reason=Pulling --sort-by=.lastTimestamp",
        ],
        "In the kubelet's configuration: serializeImagePulls false, with maxParallelImagePulls as a cap.",
    )],
};

pub(super) static STALE_BACKOFF: Entry = Entry {
    stage: Stage::Kubelet,
    meaning: "The cause is gone; the pod only waits for its next attempt.",
    detail: "The kubelet waits 10 seconds after the first failure and doubles that up to five minutes. A fix is noticed at the next attempt only.",
    evidence: "The same pull succeeds now, and the time of the next attempt is still ahead.",
    remedies: &[remedy(
        "Wait, or start a fresh pod, which has no back-off",
        &["kubectl -n <namespace> delete pod <pod>"],
        "A pod without a controller does not come back by itself.",
    )],
};

pub(super) static NEVER_PULL_ABSENT: Entry = Entry {
    stage: Stage::Kubelet,
    meaning: "imagePullPolicy is Never, and the image is not on the node.",
    detail: "Nothing is pulled on purpose. Since Kubernetes 1.35 the same text also comes when the image is present but the pod may not use it.",
    evidence: "The policy is Never, and no request was made.",
    remedies: &[remedy(
        "Load the image onto the node, or allow pulling",
        &[
            "kubectl -n <namespace> patch <workload> --patch '{\"spec\": {\"template\": {\"spec\": {\"containers\": [{\"name\": \"<container>\", \"imagePullPolicy\": \"IfNotPresent\"}]}}}}'",
        ],
        "kind: `kind load docker-image`; minikube: `minikube image load`.",
    )],
};

pub(super) static CREDENTIAL_REVERIFY: Entry = Entry {
    stage: Stage::Kubelet,
    meaning: "The image is on the node, but this pod has not shown that it may use it, so the kubelet pulls again.",
    detail: "From Kubernetes 1.35 on, an image that was pulled with a secret is checked for each pod. A pod without that secret triggers a real pull, which fails like any other. The text does not say that the image is there.",
    evidence: "Another pod runs the same image on the same node with a secret that this pod does not have.",
    remedies: &[remedy(
        "Give this pod the credentials",
        &[
            "kubectl -n <namespace> patch serviceaccount default --patch '{\"imagePullSecrets\": [{\"name\": \"<secret>\"}]}'",
        ],
        "Then make the pod anew.",
    )],
};

pub(super) static SIGNATURE_REJECTED: Entry = Entry {
    stage: Stage::Policy,
    meaning: "A signature policy refuses the image.",
    detail: "The runtime or an admission controller wants a signature by a known key, and finds none, or one by somebody else. The registry and the layers are fine.",
    evidence: "The policy's own text, while manifest and layers can be read.",
    remedies: &[remedy(
        "Sign the image, or trust its key",
        &["cosign verify --key cosign.pub <image>"],
        "CRI-O and podman read /etc/containers/policy.json on the node.",
    )],
};

pub(super) static ADMISSION_BLOCKS_PROBE: Entry = Entry {
    stage: Stage::Policy,
    meaning: "An admission policy refuses the pod.",
    detail: "A webhook or policy allows only certain registries, fields or signatures. When it refuses a diagnosis pod, that says nothing about the image you wanted to test.",
    evidence: "The API server refuses to create the pod and names the webhook.",
    remedies: &[remedy(
        "See what the policy wants, or check without a pod",
        &[
            "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations",
            "pullcheck image <image>",
        ],
        "",
    )],
};

pub(super) static PULL_HANGING: Entry = Entry {
    stage: Stage::Blob,
    meaning: "The pull hangs: no data, no failure, no end.",
    detail: "A manifest request is never answered, or a layer stalls at its start. containerd 2.1's default path then waits without limit. With serialized pulls every later pod of the node waits too.",
    evidence: "The last event is `Pulling` and minutes old, the pod shows ContainerCreating, and a probe connects but gets no bytes.",
    remedies: &[remedy(
        "Mend the server or the path, then end the hanging connection",
        &[
            "kubectl debug node/<node> -it --image=busybox -- chroot /host systemctl restart containerd",
        ],
        "Deleting the pod does not end the pull. Restarting the runtime does; running containers go on.",
    )],
};

pub(super) static PLATFORM_MISMATCH_SINGLE: Entry = Entry {
    stage: Stage::Platform,
    meaning: "The image is for another architecture, and the pull does not notice.",
    detail: "A single image (no index) is not checked against the node. It is pulled, starts, and ends at once with `exec format error`, which only the container's log shows.",
    evidence: "The architecture in the image's configuration is not the node's.",
    remedies: &[remedy(
        "Build the image for the node's platform",
        &[
            "docker buildx build --platform linux/amd64,linux/arm64 --tag <registry>/<repository>:<tag> --push .",
        ],
        "",
    )],
};

pub(super) static ARTIFACT_NOT_IMAGE: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "What was pulled is not a container image, but another artifact such as a Helm chart.",
    detail: "Registries store many kinds of things. The pull succeeds, then the container cannot start because there is no file system in it.",
    evidence: "The configuration's media type is not that of an image.",
    remedies: &[remedy(
        "Use the image's reference instead of the artifact's",
        &["crane manifest <registry>/<repository>:<tag>"],
        "`config.mediaType` tells what it is.",
    )],
};
