//! Causes in the name: the reference, and the object that it asks for.

use super::entry::{Entry, remedy};
use crate::stage::Stage;

pub(super) static IMAGE_NAME_INVALID: Entry = Entry {
    stage: Stage::Reference,
    meaning: "The image name breaks the rules for names, so nothing was asked of any registry.",
    detail: "Names of repositories are lower case. A tag has at most 128 characters out of letters, digits, `_`, `.` and `-`. \
             A digest is `sha256:` and 64 hex digits. A scheme such as `https://` and blanks are not allowed.",
    evidence: "The name fails the grammar; the pod waits with InvalidImageName and has no Pulling event.",
    remedies: &[remedy(
        "Correct the image name",
        &["kubectl -n <namespace> set image <workload> <container>=<image>"],
        "A pod on its own is mended with `kubectl set image pod/…`; there is no back-off to wait for.",
    )],
};

pub(super) static REGISTRY_HOST_TYPO: Entry = Entry {
    stage: Stage::Reference,
    meaning: "The registry's host name is misspelt.",
    detail: "The name is very close to a well-known registry, for example `azureacr.io` for `azurecr.io`. \
             Such a name does not resolve, or belongs to a stranger who answers 401.",
    evidence: "The host is one or two letters away from a known registry, and the corrected name resolves.",
    remedies: &[remedy(
        "Correct the host in the image name",
        &["kubectl -n <namespace> set image <workload> <container>=<registry>/<repository>:<tag>"],
        "Do not send credentials to the misspelt host.",
    )],
};

pub(super) static REGISTRY_NAME_UNKNOWN: Entry = Entry {
    stage: Stage::Dns,
    meaning: "No registry of this name exists.",
    detail: "The host name is well formed and its parent domain works, but this one name does not exist anywhere. \
             The registry was deleted, renamed, or never made.",
    evidence: "The name does not resolve from any vantage point, while other names under the same suffix do.",
    remedies: &[remedy(
        "Look up the registry's real name",
        &["az acr list --query \"[].loginServer\" --output table"],
        "For another provider, look in its console.",
    )],
};

pub(super) static CLOUD_SUFFIX_WRONG: Entry = Entry {
    stage: Stage::Dns,
    meaning: "The registry's suffix belongs to another cloud than the cluster's.",
    detail: "Azure's public cloud uses `.azurecr.io`, Azure US Government `.azurecr.us`, Azure in China `.azurecr.cn`.",
    evidence: "The cluster runs in one cloud, the name carries the suffix of another and does not resolve; with the right suffix it does.",
    remedies: &[remedy(
        "Use the suffix of the cluster's cloud",
        &["az acr show --name <acr> --query loginServer --output tsv"],
        "Run `az cloud show --query name` first: az itself must be set to that cloud.",
    )],
};

pub(super) static DEFAULT_REGISTRY_ASSUMED: Entry = Entry {
    stage: Stage::Reference,
    meaning: "The image name has no registry in it, so Docker Hub was asked.",
    detail: "`team/web:1` means `docker.io/team/web:1`, and `web:1` means `docker.io/library/web:1`. \
             Docker Hub then answers that the repository is not there, or that access is denied.",
    evidence: "The pod's image has no host; the request went to docker.io, which does not hold the image.",
    remedies: &[remedy(
        "Write the full name",
        &["kubectl -n <namespace> set image <workload> <container>=<registry>/<repository>:<tag>"],
        "",
    )],
};

pub(super) static REPOSITORY_NOT_FOUND: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The registry answers, but has no repository of this name.",
    detail: "Network and sign-in are fine. The repository was never pushed, was deleted, or is spelt differently. \
             Many registries hide what you may not see, so a missing right can look the same.",
    evidence: "The registry says NAME_UNKNOWN, or the tag list is 404, to a token whose granted scope covers the repository.",
    remedies: &[
        remedy(
            "Find the right repository",
            &["az acr repository list --name <acr> --output table"],
            "Another registry: look in its web page; not every registry can list repositories.",
        ),
        remedy(
            "Use the right name",
            &[
                "kubectl -n <namespace> set image <workload> <container>=<registry>/<repository>:<tag>",
            ],
            "",
        ),
    ],
};

pub(super) static TAG_NOT_FOUND: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The repository exists, but not with this tag.",
    detail: "Name resolution, network, TLS and sign-in all worked. The tag is misspelt, was not pushed yet, or was removed. \
             An image name without a tag means `:latest`.",
    evidence: "The repository lists its tags, and this one is not among them; the manifest request is answered 404.",
    remedies: &[
        remedy(
            "Use a tag that exists",
            &[
                "kubectl -n <namespace> set image <workload> <container>=<registry>/<repository>:<tag>",
            ],
            "A changed image name starts a new pod with a fresh back-off.",
        ),
        remedy(
            "Or push the tag",
            &["docker push <registry>/<repository>:<tag>"],
            "A waiting pod notices it at the next attempt of its back-off, at most five minutes and one sync later.",
        ),
    ],
};

pub(super) static DIGEST_NOT_FOUND: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The repository exists, but holds no manifest with this digest.",
    detail: "The pinned digest was never pushed here, or a clean-up removed it. Copying an image between registries \
             with a tool that rewrites manifests changes its digest as well.",
    evidence: "The manifest request by digest is 404, while a tag of the same repository is answered.",
    remedies: &[remedy(
        "Pin a digest that exists",
        &[
            "crane digest <registry>/<repository>:<tag>",
            "kubectl -n <namespace> set image <workload> <container>=<registry>/<repository>@<digest>",
        ],
        "",
    )],
};

pub(super) static TAG_DIGEST_GONE: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The tag is there, but what it points to is gone.",
    detail: "The registry (or a cache in front of it) answers the tag with a digest, then says 404 to that digest. \
             Usually a stale cache or a clean-up that removed manifests but not tags.",
    evidence: "HEAD by tag is 200 with a digest; GET of that digest, from the same host, is 404.",
    remedies: &[remedy(
        "Push the tag again, and purge the cache if there is one",
        &["docker push <registry>/<repository>:<tag>"],
        "",
    )],
};

pub(super) static ACR_IMAGE_LOCKED: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The image is locked against reading in Azure Container Registry.",
    detail: "An attribute of the tag, the manifest or the repository (`readEnabled: false`) forbids pulls, whatever the role.",
    evidence: "The attribute says `readEnabled: false`, and other tags of the registry can be pulled with the same identity.",
    remedies: &[remedy(
        "Allow reading again",
        &["az acr repository update --name <acr> --image <repository>:<tag> --read-enabled true"],
        "The lock can also sit on the whole repository: use `--repository <repository>` then.",
    )],
};
