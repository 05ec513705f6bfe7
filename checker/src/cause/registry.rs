//! Causes at the registry: throttling, errors, and what it holds.

use super::entry::{Entry, remedy};
use crate::stage::Stage;

pub(super) static REGISTRY_429: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The registry answers 429: too many requests.",
    detail: "A limit per registry or per identity is used up, often by many nodes that start at once with the same identity. \
             containerd repeats at once and ignores Retry-After, which does not help.",
    evidence: "The registry's host answers 429, with a Retry-After that counts down.",
    remedies: &[
        remedy(
            "Spread the pulls, or put a cache between",
            &["kubectl -n <namespace> rollout status <workload>"],
            "It heals by itself as the limit refills. Pull less often (IfNotPresent), roll out in smaller steps, or use a mirror in the cluster.",
        ),
        remedy(
            "Azure: raise the tier, which doubles the read limits",
            &["az acr update --name <acr> --sku Premium"],
            "",
        ),
    ],
};

pub(super) static HUB_RATE_LIMIT: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "Docker Hub's pull limit is used up.",
    detail: "Without an account the limit counts for the source address, which all nodes behind one gateway share.",
    evidence: "Docker Hub answers 429 and its ratelimit headers say that nothing remains.",
    remedies: &[
        remedy(
            "Sign in to Docker Hub",
            &[
                "kubectl -n <namespace> create secret docker-registry <secret> --docker-server=https://index.docker.io/v1/ --docker-username=… --docker-password=…",
            ],
            "Then name it in imagePullSecrets of the pod or its service account.",
        ),
        remedy(
            "Or pull from a registry of your own",
            &["az acr import --name <acr> --source docker.io/<repository>:<tag>"],
            "",
        ),
    ],
};

pub(super) static REGISTRY_5XX: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The registry fails by itself: it answers with a 5xx status.",
    detail: "The request arrived and was understood. Retrying is right; the kubelet does it.",
    evidence: "The status is 500 to 504, the same from every vantage point.",
    remedies: &[remedy(
        "Wait, and look at the registry's status page or logs",
        &["curl -sS -o /dev/null -w '%{http_code}\\n' https://<registry>/v2/"],
        "401 on this address is healthy: it means that the registry asks for a sign-in.",
    )],
};

pub(super) static REGISTRY_HTML: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "A web page came where a manifest or token should be.",
    detail: "A login portal, a proxy's block page or the wrong host or path answers, with status 200.",
    evidence: "The answer's content type is HTML, or its first byte is `<`.",
    remedies: &[remedy(
        "See what answers at this address",
        &["curl -sSi https://<registry>/v2/ | head -20"],
        "Correct the host or path; at a portal or block page, let the nodes pass.",
    )],
};

pub(super) static REGISTRY_SLOW: Entry = Entry {
    stage: Stage::Blob,
    meaning: "The pull works but is slow.",
    detail: "The first byte comes fast, the transfer takes minutes. The registry limits each connection, or the link is full.",
    evidence: "Throughput measured on a layer; parallel streams scale (a limit per connection) or do not (a limit of the link).",
    remedies: &[remedy(
        "Measure it, then move the image nearer or make it smaller",
        &["pullcheck image <image> --depth full"],
        "A replica in the cluster's region, a higher tier or a smaller image help.",
    )],
};

pub(super) static PLATFORM_MISMATCH: Entry = Entry {
    stage: Stage::Platform,
    meaning: "The image exists, but not for this node's operating system and architecture.",
    detail: "The tag is an index of several images, and none is for this platform: for example an arm64 node and an amd64-only image.",
    evidence: "The index is read, and the node's platform is not in it.",
    remedies: &[
        remedy(
            "Build the image for the node's platform as well",
            &[
                "docker buildx build --platform linux/amd64,linux/arm64 --tag <registry>/<repository>:<tag> --push .",
            ],
            "",
        ),
        remedy(
            "Or keep the pod on nodes that fit",
            &[
                "kubectl -n <namespace> patch <workload> --patch '{\"spec\": {\"template\": {\"spec\": {\"nodeSelector\": {\"kubernetes.io/arch\": \"amd64\"}}}}}'",
            ],
            "",
        ),
    ],
};

pub(super) static PLATFORM_MISMATCH_AS_401: Entry = Entry {
    stage: Stage::Platform,
    meaning: "The image lacks the node's platform; the 401 that you see is the echo of a second, anonymous attempt.",
    detail: "The first attempt, with credentials, got as far as the index and found no match. The kubelet then tried without credentials and was refused.",
    evidence: "The first attempt passed authorization, and the index lacks the node's platform.",
    remedies: &[remedy(
        "Build the image for the node's platform as well",
        &[
            "docker buildx build --platform linux/amd64,linux/arm64 --tag <registry>/<repository>:<tag> --push .",
        ],
        "Credentials are fine; do not change them.",
    )],
};

pub(super) static MANIFEST_UNSUPPORTED: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The registry has something under this name that this runtime cannot use as an image.",
    detail: "An old schema 1 manifest, an artifact that is not an image, a damaged manifest, or a media type that the runtime does not know.",
    evidence: "The manifest's media type or content, as served.",
    remedies: &[remedy(
        "Build or convert the image anew",
        &[
            "skopeo copy --format oci docker://<registry>/<repository>:<tag> docker://<registry>/<repository>:<tag>",
        ],
        "containerd 2.1 and later no longer read schema 1.",
    )],
};

pub(super) static LAYER_MISSING: Entry = Entry {
    stage: Stage::Blob,
    meaning: "The manifest is there, but the registry lost a layer or the configuration that it names.",
    detail: "An interrupted push, a clean-up, or a cache that has the manifest only.",
    evidence: "The manifest is 200, one blob of it is 404.",
    remedies: &[remedy(
        "Push the image again",
        &["docker push <registry>/<repository>:<tag>"],
        "If the push says that the layer already exists, delete the tag first or push to a new name.",
    )],
};

pub(super) static LAYER_CORRUPT: Entry = Entry {
    stage: Stage::Blob,
    meaning: "A layer arrives with other content than its digest says.",
    detail: "The registry's storage, a cache or a device in between changed the bytes.",
    evidence: "The length is right and the digest is not: from everywhere (the registry) or from one place (a cache there).",
    remedies: &[remedy(
        "Purge the cache, or push the image again",
        &["docker push <registry>/<repository>:<tag>"],
        "",
    )],
};

pub(super) static LAYER_TRUNCATED: Entry = Entry {
    stage: Stage::Blob,
    meaning: "A layer ends before all of it has come.",
    detail: "The connection is closed early, by the registry or by a proxy with a size or time limit.",
    evidence: "Fewer bytes than announced; a cut at the same place each time points to a limit in between.",
    remedies: &[remedy(
        "Lift the body size or time limit of the proxy in between",
        &["pullcheck image <image> --depth full"],
        "If the manifest itself names a wrong size, push the image again.",
    )],
};

pub(super) static MIRROR_BROKEN: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The mirror that the runtime asks first is broken; the registry itself is fine.",
    detail: "The message names the image's registry, the failing host is the mirror. A missing image on a mirror can also hide an upstream that cannot be reached.",
    evidence: "The mirror fails, the registry itself answers from the same place.",
    remedies: &[remedy(
        "Correct or remove the mirror in the runtime's configuration",
        &[
            "kubectl debug node/<node> -it --image=busybox -- cat /host/etc/containerd/certs.d/<host>/hosts.toml",
        ],
        "containerd reads hosts.toml at each pull; CRI-O needs a reload after a change of registries.conf.",
    )],
};
