//! Causes in Azure: the kubelet's identity, its roles, the registry's settings.

use super::entry::{Entry, remedy};
use crate::stage::Stage;

pub(super) static ACR_ROLE_MISSING: Entry = Entry {
    stage: Stage::Token,
    meaning: "The cluster's kubelet identity has no role that lets it pull from this registry.",
    detail: "The node signs in to the registry as the kubelet identity and is refused, so the pull goes on anonymously: the event then speaks of an anonymous token. \
             Nodes that signed in within the last hour still work.",
    evidence: "The exchange is refused for the kubelet identity, and no assignment at the registry or above it grants pulling to that identity.",
    remedies: &[
        remedy(
            "Assign AcrPull to the kubelet identity",
            &[
                "az role assignment create --assignee-object-id <object-id> --assignee-principal-type ServicePrincipal --role AcrPull --scope <registry-id>",
            ],
            "It takes effect within minutes. The object id is `identityProfile.kubeletidentity.objectId` of the cluster.",
        ),
        remedy(
            "Or attach the registry, which does the same",
            &[
                "az aks update --resource-group <resource-group> --name <cluster> --attach-acr <acr>",
            ],
            "",
        ),
    ],
};

pub(super) static ACR_ROLE_PROPAGATING: Entry = Entry {
    stage: Stage::Token,
    meaning: "The role was assigned a short while ago and does not work yet.",
    detail: "Microsoft documents up to 10 minutes; users have seen longer. The next attempts heal by themselves.",
    evidence: "The right assignment exists and is only minutes old; a later attempt succeeds.",
    remedies: &[remedy(
        "Wait, and do not delete and create it again",
        &[
            "az role assignment list --assignee <object-id> --scope <registry-id> --include-inherited --query \"[].{role:roleDefinitionName, created:createdOn}\" --output table",
        ],
        "Creating it again starts the wait anew.",
    )],
};

pub(super) static ACR_ROLE_WRONG_IDENTITY: Entry = Entry {
    stage: Stage::Token,
    meaning: "A role to pull is assigned, but to another identity than the kubelet's.",
    detail: "A cluster has two identities. The control plane's manages Azure resources; the kubelet's pulls images. \
             A role on the first, or on a service principal of old, does nothing for pulls.",
    evidence: "The object id in the assignment is not the kubelet identity's.",
    remedies: &[remedy(
        "Assign AcrPull to the kubelet identity",
        &[
            "az aks show --resource-group <resource-group> --name <cluster> --query identityProfile.kubeletidentity.objectId --output tsv",
            "az role assignment create --assignee-object-id <object-id> --assignee-principal-type ServicePrincipal --role AcrPull --scope <registry-id>",
        ],
        "",
    )],
};

pub(super) static ACR_ABAC_ROLE_MISSING: Entry = Entry {
    stage: Stage::Token,
    meaning: "The registry uses repository permissions (ABAC), where AcrPull does not count.",
    detail: "In this mode AcrPull, AcrPush, Owner, Contributor and Reader give no access to images. `az aks update --attach-acr` assigns AcrPull, which does not help here.",
    evidence: "The registry's roleAssignmentMode is AbacRepositoryPermissions, and the identity has no Container Registry Repository role whose condition covers the repository.",
    remedies: &[remedy(
        "Assign Container Registry Repository Reader",
        &[
            "az role assignment create --assignee-object-id <object-id> --assignee-principal-type ServicePrincipal --role \"Container Registry Repository Reader\" --scope <registry-id>",
        ],
        "An existing assignment may carry a condition that leaves this repository out.",
    )],
};

pub(super) static KUBELET_IDENTITY_DETACHED: Entry = Entry {
    stage: Stage::Auth,
    meaning: "The kubelet identity is not attached to the node's virtual machine.",
    detail: "The node asks the metadata service for a token and is told that the identity is not found. Every node of the pool is affected.",
    evidence: "The metadata service answers 400 `Identity not found`; other pools work.",
    remedies: &[remedy(
        "Let AKS put it back",
        &["az aks update --resource-group <resource-group> --name <cluster>"],
        "An update without options reconciles the identities of the scale sets; az asks whether that is meant.",
    )],
};

pub(super) static KUBELET_IDENTITY_AMBIGUOUS: Entry = Entry {
    stage: Stage::Auth,
    meaning: "The node has several identities, and its configuration does not say which one to use.",
    detail: "Someone attached a second user-assigned identity to the scale set. A request without a client id is then refused by the metadata service.",
    evidence: "More than one identity is attached, and the metadata service refuses a request without a client id.",
    remedies: &[remedy(
        "See which identities the scale sets have",
        &[
            "az vmss list --resource-group <node-resource-group> --query \"[].{name:name, identities:identity.userAssignedIdentities}\"",
        ],
        "Detach the one that does not belong there.",
    )],
};

pub(super) static IMDS_BLOCKED: Entry = Entry {
    stage: Stage::Auth,
    meaning: "The node cannot reach the metadata service that gives out its identity's tokens.",
    detail: "Requests to 169.254.169.254 time out or are taken by something else on the node, so no credential exists and the pull is anonymous.",
    evidence: "The metadata service does not answer from the node, while the registry does.",
    remedies: &[remedy(
        "Test the metadata service from the node",
        &[
            "kubectl debug node/<node> -it --image=curlimages/curl -- curl -s -m 5 -H Metadata:true \"http://169.254.169.254/metadata/instance?api-version=2021-02-01\"",
        ],
        "Look for network policies, iptables rules and old pod-identity agents that take over this address.",
    )],
};

pub(super) static SP_SECRET_EXPIRED: Entry = Entry {
    stage: Stage::Token,
    meaning: "The cluster signs in with a service principal whose secret has expired.",
    detail: "Every pool is affected. The sign-in service refuses the secret before the registry is asked.",
    evidence: "The sign-in service answers with an expired-secret error for the cluster's service principal.",
    remedies: &[remedy(
        "Reset the service principal's secret",
        &[
            "az ad sp credential reset --id <client-id> --query password --output tsv",
            "az aks update-credentials --resource-group <resource-group> --name <cluster> --reset-service-principal --service-principal <client-id> --client-secret …",
        ],
        "Or move the cluster to a managed identity: `az aks update --enable-managed-identity`.",
    )],
};

pub(super) static ACR_ARM_TOKEN_DISABLED: Entry = Entry {
    stage: Stage::Token,
    meaning: "The registry refuses tokens that were made for Azure Resource Manager.",
    detail: "The policy azureADAuthenticationAsArmPolicy is disabled. Tools that use an ARM token fail (`az aks check-acr` too), while a kubelet that asks for a registry token works.",
    evidence: "The same identity is refused with an ARM-audience token and accepted with a registry-audience token.",
    remedies: &[remedy(
        "Allow ARM tokens again, or use a client that asks for a registry token",
        &["az acr config authentication-as-arm update --registry <acr> --status enabled"],
        "",
    )],
};

pub(super) static ACR_TENANT_MISMATCH: Entry = Entry {
    stage: Stage::Token,
    meaning: "Cluster and registry belong to different Entra tenants.",
    detail: "A managed identity lives in one tenant and cannot be given a role in another one's registry.",
    evidence: "The token's tenant is not the registry's.",
    remedies: &[remedy(
        "Use a credential of the registry's tenant",
        &[
            "kubectl -n <namespace> create secret docker-registry <secret> --docker-server=<registry> --docker-username=… --docker-password=…",
        ],
        "A repository-scoped token or a multi-tenant service principal works across tenants; a managed identity does not.",
    )],
};

pub(super) static ACR_FIREWALL_IP: Entry = Entry {
    stage: Stage::Ping,
    meaning: "The registry's network rules do not allow the address that the node comes from.",
    detail: "Every request is answered 403, sign-in included. The address in the answer is the one that the cluster goes out with.",
    evidence: "The answer names the client's address, and the registry's rules deny by default without listing it.",
    remedies: &[remedy(
        "Allow the cluster's outbound address",
        &["az acr network-rule add --name <acr> --ip-address <address>"],
        "If public access is disabled altogether this has no effect: see acr-private-only, whose message is the same.",
    )],
};

pub(super) static ACR_PRIVATE_ONLY: Entry = Entry {
    stage: Stage::Ping,
    meaning: "The registry allows no public access at all, and the node comes from the public side.",
    detail: "Only private endpoints are let in. The message is the same sentence as for a missing address rule; adding addresses does nothing.",
    evidence: "The registry's publicNetworkAccess is Disabled.",
    remedies: &[
        remedy(
            "Reach the registry by a private endpoint from the nodes' network",
            &[
                "az network private-endpoint create --resource-group <resource-group> --name acr-endpoint --vnet-name <vnet> --subnet … --private-connection-resource-id <registry-id> --group-id registry --connection-name acr-endpoint",
                "az network private-dns link vnet create --resource-group <resource-group> --zone-name privatelink.azurecr.io --name acr-link --virtual-network <vnet-id> --registration-enabled false",
            ],
            "",
        ),
        remedy(
            "Or open public access again",
            &["az acr update --name <acr> --public-network-enabled true"],
            "",
        ),
    ],
};

pub(super) static ACR_REPLICA_LAG: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The image was pushed in one region and has not reached the replica that this node asks.",
    detail: "Geo-replication takes time. Until then the nearer replica says that the manifest is unknown.",
    evidence: "The endpoint of the region of the push has the manifest, the one that the node resolves to has not; later it has.",
    remedies: &[remedy(
        "Wait for the replica, then deploy",
        &["az acr replication list --registry <acr> --output table"],
        "A webhook on the replica tells when the push has arrived.",
    )],
};

pub(super) static ACR_CACHE_CREDENTIALS: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "A cached repository cannot be refreshed: the registry's credentials for the upstream fail.",
    detail: "Artifact cache pulls from the upstream with a user and password out of a Key Vault. Own repositories are not affected.",
    evidence: "The repository falls under a cache rule, and repositories outside of it can be pulled.",
    remedies: &[remedy(
        "Check the cache rule and its credential set",
        &[
            "az acr cache list --registry <acr>",
            "az acr credential-set list --registry <acr>",
        ],
        "The credential set's identity needs the right to read secrets of the Key Vault.",
    )],
};

pub(super) static ACR_STREAMING_PROXY: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The artifact-streaming agent on the node fails, not the registry.",
    detail: "With artifact streaming the runtime asks a small proxy on the node itself, which answers with an error or does not run.",
    evidence: "The failing host is the node's own localhost mirror; the registry itself answers.",
    remedies: &[remedy(
        "Mend or replace the node",
        &["kubectl drain <node> --ignore-daemonsets --delete-emptydir-data"],
        "Then restart or reimage it. The pull falls back to the registry where the mirror is set up to allow it.",
    )],
};

pub(super) static ACR_CMK_UNAVAILABLE: Entry = Entry {
    stage: Stage::Manifest,
    meaning: "The registry is encrypted with your own key and cannot reach it.",
    detail: "The key in the Key Vault is disabled, expired or out of reach for the registry's identity. Nothing can be read then.",
    evidence: "The body of a GET names the key vault; a HEAD shows only 403.",
    remedies: &[remedy(
        "Give the registry's identity access to its key again",
        &["az acr encryption show --name <acr>"],
        "",
    )],
};
