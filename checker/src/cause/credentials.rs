//! Causes in sign-in: pull secrets, tokens, credential providers.

use super::entry::{Entry, remedy};
use crate::stage::Stage;

pub(super) static CREDENTIALS_MISSING: Entry = Entry {
    stage: Stage::Auth,
    meaning: "The image is private, and the pull was made without credentials.",
    detail: "No pull secret of the pod matches this registry, and the node has no credential of its own for it. The pull went on anonymously and was refused.",
    evidence: "The registry asks for a token, an anonymous token is refused, and no credential that the kubelet knows matches the image.",
    remedies: &[
        remedy(
            "Create a pull secret and give it to the pod's service account",
            &[
                "kubectl -n <namespace> create secret docker-registry <secret> --docker-server=<registry> --docker-username=… --docker-password=…",
                "kubectl -n <namespace> patch serviceaccount default --patch '{\"imagePullSecrets\": [{\"name\": \"<secret>\"}]}'",
                "kubectl -n <namespace> rollout restart <workload>",
            ],
            "Pods copy the secrets of their service account when they are made: existing pods do not see the change.",
        ),
        remedy(
            "On AKS with Azure Container Registry: attach the registry",
            &[
                "az aks update --resource-group <resource-group> --name <cluster> --attach-acr <acr>",
            ],
            "",
        ),
    ],
};

pub(super) static CREDENTIALS_WRONG: Entry = Entry {
    stage: Stage::Token,
    meaning: "Credentials were sent, and the registry refused them.",
    detail: "The user or the password is wrong, was changed, or belongs to another registry. A line break at the end of the password counts as part of it.",
    evidence: "The token request carried credentials and was answered 401, while the same account works with the right password.",
    remedies: &[remedy(
        "Replace the pull secret",
        &[
            "kubectl -n <namespace> delete secret <secret>",
            "kubectl -n <namespace> create secret docker-registry <secret> --docker-server=<registry> --docker-username=… --docker-password=…",
        ],
        "Waiting pods take it at their next attempt.",
    )],
};

pub(super) static CREDENTIALS_EXPIRED: Entry = Entry {
    stage: Stage::Token,
    meaning: "The credentials were right once and have expired.",
    detail: "A token in a pull secret lives for hours: ECR's for 12 hours, an ACR refresh token for 3. A service principal's secret ends on a date.",
    evidence: "The credential carries an end date in the past, or the registry's answer says that it has expired.",
    remedies: &[remedy(
        "Renew the credential, and use one that renews itself",
        &[
            "kubectl -n <namespace> get secret <secret> --output jsonpath='{.metadata.creationTimestamp}'",
        ],
        "A kubelet credential provider, or a job that refreshes the secret, keeps it from happening again.",
    )],
};

pub(super) static PULL_SECRET_MISSING: Entry = Entry {
    stage: Stage::Auth,
    meaning: "The pod names a pull secret that does not exist.",
    detail: "The kubelet warns and goes on without it, so the pull is anonymous and a private image is refused. \
             If the image is public, or another secret fits, the warning does no harm.",
    evidence: "The event FailedToRetrieveImagePullSecret names it, and the secret is not in the pod's namespace nor in any other.",
    remedies: &[remedy(
        "Create the secret",
        &[
            "kubectl -n <namespace> create secret docker-registry <secret> --docker-server=<registry> --docker-username=… --docker-password=…",
        ],
        "No restart is needed: the next attempt finds it.",
    )],
};

pub(super) static PULL_SECRET_WRONG_NAMESPACE: Entry = Entry {
    stage: Stage::Auth,
    meaning: "The pull secret exists, but in another namespace than the pod.",
    detail: "A pod can use secrets of its own namespace only. The event does not say where it looked.",
    evidence: "The named secret is missing in the pod's namespace, and one of the same name exists elsewhere.",
    remedies: &[remedy(
        "Create the same secret in the pod's namespace",
        &[
            "kubectl -n <other-namespace> get secret <secret> --output json | jq 'del(.metadata.namespace,.metadata.uid,.metadata.resourceVersion,.metadata.creationTimestamp,.metadata.ownerReferences)' | kubectl -n <namespace> apply -f -",
        ],
        "",
    )],
};

pub(super) static PULL_SECRET_MALFORMED: Entry = Entry {
    stage: Stage::Auth,
    meaning: "The pull secret exists, but cannot be read.",
    detail: "Its content is not valid base64 or JSON, an `auth` field has no colon, or the secret has the wrong type or key. \
             New kubelets show the raw reading error as the waiting reason and pull nothing; a secret of the wrong type is passed over in silence.",
    evidence: "The secret's type, key or content fails to parse as a docker configuration.",
    remedies: &[remedy(
        "Make it again with kubectl, which writes the right form",
        &[
            "kubectl -n <namespace> delete secret <secret>",
            "kubectl -n <namespace> create secret docker-registry <secret> --docker-server=<registry> --docker-username=… --docker-password=…",
        ],
        "A ~/.docker/config.json with `credsStore` holds no password and is useless as a secret.",
    )],
};

pub(super) static PULL_SECRET_WRONG_HOST: Entry = Entry {
    stage: Stage::Auth,
    meaning: "A pull secret is attached, but it is for another registry.",
    detail: "The kubelet compares the key in the secret with the image's host, port and path. Another host, a port too many, \
             or a path that is not a prefix: it is passed over in silence.",
    evidence: "The secret can be read, and none of its keys matches the image.",
    remedies: &[remedy(
        "Make a secret whose server is the image's registry",
        &[
            "kubectl -n <namespace> create secret docker-registry <secret> --docker-server=<registry> --docker-username=… --docker-password=…",
        ],
        "For Docker Hub the server is https://index.docker.io/v1/.",
    )],
};

pub(super) static SCOPE_INSUFFICIENT: Entry = Entry {
    stage: Stage::Token,
    meaning: "The account is known, but may not pull from this repository.",
    detail: "The token service gives a token for less than was asked, and the registry then refuses it. \
             Registries that hide repositories say the same when the repository does not exist.",
    evidence: "The token's granted access lacks `pull` on the repository, while the same account gets it elsewhere.",
    remedies: &[remedy(
        "Give the account the right to pull from this repository",
        &[
            "docker logout <registry>",
            "docker login <registry>",
            "docker pull <image>",
        ],
        "Sign in with the account of the pull secret to see what it may do.",
    )],
};

pub(super) static BAD_CREDENTIAL_BLOCKS_PUBLIC: Entry = Entry {
    stage: Stage::Token,
    meaning: "The image is public, but stale credentials are sent for it and refused.",
    detail: "A bad credential is worse than none: the registry refuses it instead of treating the request as anonymous.",
    evidence: "With the credential the request is refused, without any it succeeds.",
    remedies: &[remedy(
        "Remove or renew the credential for this registry",
        &["kubectl -n <namespace> delete secret <secret>"],
        "Remove its name from imagePullSecrets of the pod and the service account as well, else every pod warns about it.",
    )],
};

pub(super) static TOKEN_ENDPOINT_UNREACHABLE: Entry = Entry {
    stage: Stage::Token,
    meaning: "The registry answers, but the token service that it names cannot be reached.",
    detail: "Many registries have their token service on another host. The firewall or the resolver knows the registry only.",
    evidence: "The registry's challenge is read; the host of its realm does not resolve, connect or answer.",
    remedies: &[remedy(
        "Allow the token service's host as well",
        &["curl -sI https://<registry>/v2/ | grep -i www-authenticate"],
        "The host in `realm` is the one to allow.",
    )],
};

pub(super) static CREDENTIAL_PROVIDER_BROKEN: Entry = Entry {
    stage: Stage::Auth,
    meaning: "The kubelet's credential provider on this node fails, so the pull goes on anonymously.",
    detail: "The plug-in is missing, exits with an error or times out. Events and status show nothing of it: only the kubelet's log does.",
    evidence: "A provider is set up for this image, and the kubelet had no credential; other nodes do.",
    remedies: &[remedy(
        "Read the kubelet's log on the node",
        &[
            "kubectl debug node/<node> -it --image=busybox -- chroot /host journalctl -u kubelet --since -1h --grep 'credential provider'",
        ],
        "Then compare the plug-in's binary and configuration with a node that works.",
    )],
};

pub(super) static MIRROR_CREDENTIAL_MISROUTED: Entry = Entry {
    stage: Stage::Auth,
    meaning: "A mirror was asked with the credentials of the registry that it stands for.",
    detail: "The kubelet picks credentials by the host in the image name. A mirror with accounts of its own refuses them.",
    evidence: "The host that answered 401 is not the host in the image name.",
    remedies: &[remedy(
        "Give the mirror its own credentials in the runtime's configuration",
        &[
            "kubectl debug node/<node> -it --image=busybox -- cat /host/etc/containerd/certs.d/<host>/hosts.toml",
        ],
        "Or name the mirror in the image, with a pull secret for it.",
    )],
};
