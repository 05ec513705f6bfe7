//! The lines, each with what it is proved by.

use std::future::Future;
use std::pin::Pin;

use fake_registry::{AcrRegistry, ManagedCluster, Principal, Sku};

use super::World;
use super::common::tenant::LOGIN;

/// What a tenant is like before the line.
pub(super) struct Tale {
    pub(super) acr: AcrRegistry,
    pub(super) cluster: ManagedCluster,
    pub(super) role: Option<&'static str>,
    /// Whether the image that the lines speak of is in the registry already.
    pub(super) image: bool,
}

pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// How a line is seen to do what it is for.
pub(super) enum Proof {
    /// What it prints holds these.
    Shows(&'static [&'static str]),
    /// False before it, true after it. The text is what it printed.
    Changes(for<'a> fn(&'a World, &'a str) -> Answering<'a>),
}

pub(super) struct Witness {
    pub(super) line: &'static str,
    /// What stands for `…` in the line.
    pub(super) dots: &'static str,
    pub(super) tale: fn(Tale) -> Tale,
    /// Lines of az before it.
    pub(super) first: &'static [&'static str],
    pub(super) proof: Proof,
}

macro_rules! changes {
    ($world:ident, $text:ident => $body:expr) => {{
        fn probe<'a>($world: &'a World, $text: &'a str) -> Answering<'a> {
            let _ = $text;
            Box::pin(async move { $body })
        }
        Proof::Changes(probe)
    }};
}

fn witness(line: &'static str, proof: Proof) -> Witness {
    Witness {
        line,
        dots: "",
        tale: |tale| tale,
        first: &[],
        proof,
    }
}

impl Witness {
    fn tale(self, tale: fn(Tale) -> Tale) -> Self {
        Self { tale, ..self }
    }

    fn dots(self, dots: &'static str) -> Self {
        Self { dots, ..self }
    }
}

const ENDPOINT: &str = "az network private-endpoint create --resource-group <resource-group> --name acr-endpoint --vnet-name <vnet> --subnet … --private-connection-resource-id <registry-id> --group-id registry --connection-name acr-endpoint";

fn pulls() -> Proof {
    changes!(world, _text => world.pulls("10.0.0.4").await)
}

fn premium() -> Proof {
    changes!(world, _text => world.acr().await["sku"]["name"] == "Premium")
}

fn roles() -> Vec<Witness> {
    let no_role = |tale| Tale { role: None, ..tale };
    vec![
        witness(
            "az role assignment create --assignee-object-id <object-id> --assignee-principal-type ServicePrincipal --role AcrPull --scope <registry-id>",
            pulls(),
        )
        .tale(no_role),
        witness(
            r#"az role assignment create --assignee-object-id <object-id> --assignee-principal-type ServicePrincipal --role "Container Registry Repository Reader" --scope <registry-id>"#,
            pulls(),
        )
        .tale(|tale| Tale {
            acr: tale.acr.abac(true),
            ..tale
        }),
        witness(
            "az aks update --resource-group <resource-group> --name <cluster> --attach-acr <acr>",
            pulls(),
        )
        .tale(no_role),
        witness(
            r#"az role assignment list --assignee <object-id> --scope <registry-id> --include-inherited --query "[].{role:roleDefinitionName, created:createdOn}" --output table"#,
            Proof::Shows(&["AcrPull", "Reader"]),
        ),
        witness(
            "az role assignment list --assignee <object-id> --scope <registry-id> --include-inherited --output table",
            Proof::Shows(&["AcrPull", "Reader", "managementGroups/corp"]),
        ),
        witness(
            "az role assignment list --assignee {id} --all --output table",
            Proof::Shows(&["Reader"]),
        ),
        witness(
            "az account get-access-token --resource https://management.azure.com/ --query accessToken --output tsv > arm-token",
            changes!(world, _text => world.token_file_works().await),
        ),
    ]
}

fn clusters() -> Vec<Witness> {
    vec![
        witness(
            "az aks show --resource-group <resource-group> --name <cluster> --query identityProfile.kubeletidentity.objectId --output tsv",
            Proof::Shows(&["<object-id>"]),
        ),
        witness(
            "az aks show --resource-group <resource-group> --name <cluster> --query identityProfile.kubeletidentity",
            Proof::Shows(&["<object-id>", "aks1-agentpool", "clientId"]),
        ),
        witness(
            "az aks update --resource-group <resource-group> --name <cluster>",
            pulls(),
        )
        .tale(|tale| Tale {
            cluster: tale.cluster.identity_attached(false),
            ..tale
        }),
        witness(
            "az aks update --resource-group <resource-group> --name <cluster> --outbound-type managedNATGateway",
            changes!(world, _text => {
                let cluster = world.arm("<cluster-id>").await.json();
                cluster["properties"]["networkProfile"]["outboundType"] == "managedNATGateway"
            }),
        ),
        witness(
            r#"az vmss list --resource-group <node-resource-group> --query "[].{name:name, identities:identity.userAssignedIdentities}""#,
            Proof::Shows(&["userAssignedIdentities/aks1-agentpool", "<object-id>"]),
        ),
        witness(
            r#"az ad sp credential list --id {id} --query "[].endDateTime" --output tsv"#,
            Proof::Shows(&["2020-01-01"]),
        ),
        witness(
            r#"az aks list --query "[].{name:name, servicePrincipal:servicePrincipalProfile.clientId}" --output table"#,
            Proof::Shows(&["aks1", "{id}"]),
        )
        .tale(|tale| Tale {
            cluster: tale.cluster.service_principal("former"),
            ..tale
        }),
        witness(
            "az ad sp credential reset --id <client-id> --query password --output tsv",
            changes!(world, text => world.signs_in(text.trim()).await),
        ),
        witness(
            "az aks update-credentials --resource-group <resource-group> --name <cluster> --reset-service-principal --service-principal <client-id> --client-secret …",
            changes!(world, _text => {
                let pulling = world.object_id(&Principal::kubelet("aks1"));
                pulling == world.object_id(&Principal::service_principal("web"))
            }),
        )
        .dots("fresh")
        .tale(|tale| Tale {
            cluster: tale.cluster.service_principal("former"),
            ..tale
        }),
    ]
}

fn registries() -> Vec<Witness> {
    vec![
        witness(
            "az acr config authentication-as-arm update --registry <acr> --status enabled",
            changes!(world, _text => world.takes_arm_tokens().await),
        )
        .tale(|tale| Tale {
            acr: tale.acr.arm_audience(false),
            ..tale
        }),
        witness(
            "az acr network-rule add --name <acr> --ip-address <address>",
            pulls(),
        )
        .tale(|tale| Tale {
            acr: tale.acr.allow_only(&["20.1.2.3"]),
            ..tale
        }),
        witness(
            "az acr update --name <acr> --public-network-enabled true",
            pulls(),
        )
        .tale(|tale| Tale {
            acr: tale.acr.public_network(false),
            ..tale
        }),
        witness(
            "az acr update --name <acr> --data-endpoint-enabled",
            changes!(world, _text => world.blobs_are_elsewhere().await),
        ),
        witness("az acr update --name <acr> --sku Premium", premium()).tale(standard),
        witness(
            "az acr update --name {} --resource-group {} --sku Premium",
            premium(),
        )
        .tale(standard),
        witness(
            "az acr import --name <acr> --source docker.io/<repository>:<tag>",
            changes!(world, _text => world.gets("library/busybox", "1.36", "10.0.0.4").await),
        )
        .tale(|tale| Tale {
            image: false,
            ..tale
        }),
        witness(
            "az acr repository update --name <acr> --image <repository>:<tag> --read-enabled true",
            changes!(world, _text => world.gets("library/busybox", "1.36", "10.0.0.4").await),
        )
        .tale(|tale| Tale {
            acr: tale.acr.unreadable("library/busybox:1.36"),
            ..tale
        }),
        witness(
            "az acr repository list --name <acr> --output table",
            Proof::Shows(&["team/web"]),
        ),
        witness(
            "az acr repository show-tags --name <acr> --repository <repository> --orderby time_desc --top 10",
            Proof::Shows(&["1.36"]),
        ),
        witness(
            "az acr replication list --registry <acr> --output table",
            Proof::Shows(&["eastus", "Ready"]),
        ),
        witness("az acr cache list --registry <acr>", Proof::Shows(&["[]"])),
        witness(
            "az acr credential-set list --registry <acr>",
            Proof::Shows(&["[]"]),
        ),
        witness(
            "az acr encryption show --name <acr>",
            Proof::Shows(&["disabled"]),
        ),
        witness(
            r#"az acr list --query "[].loginServer" --output table"#,
            Proof::Shows(&[LOGIN, "contoso2.azurecr.io"]),
        ),
        witness(
            r#"az acr list --query "[?loginServer=='{login}'].id" --output tsv"#,
            Proof::Shows(&["<registry-id>"]),
        ),
        witness(
            "az acr show --name <acr> --query loginServer --output tsv",
            Proof::Shows(&[LOGIN]),
        ),
        witness(
            r#"az acr show --name <acr> --query "{public:publicNetworkAccess, rules:networkRuleSet}""#,
            Proof::Shows(&["\"public\": \"Enabled\"", "\"defaultAction\": \"Allow\""]),
        ),
        witness(
            "az acr show-endpoints --name <acr>",
            Proof::Shows(&[LOGIN, "*.blob.core.windows.net"]),
        ),
    ]
}

fn standard(tale: Tale) -> Tale {
    Tale {
        acr: tale.acr.sku(Sku::Standard),
        ..tale
    }
}

fn networks() -> Vec<Witness> {
    vec![
        witness(
            ENDPOINT,
            changes!(world, _text => world.pulls("10.1.0.9").await),
        )
        .dots("nodes")
        .tale(|tale| Tale {
            acr: tale.acr.public_network(false),
            ..tale
        }),
        witness(
            "az network private-dns link vnet create --resource-group <resource-group> --zone-name privatelink.azurecr.io --name acr-link --virtual-network <vnet-id> --registration-enabled false",
            changes!(world, _text => {
                let links = world.arm("<zone-id>/virtualNetworkLinks").await.text();
                links.contains("acr-link") && links.contains("virtualNetworks/net")
            }),
        ),
        witness(
            "az network private-dns record-set a list --resource-group <resource-group> --zone-name privatelink.azurecr.io --output table",
            Proof::Shows(&["contoso1"]),
        ),
        Witness {
            first: &[ENDPOINT],
            ..witness(
                r#"az network private-endpoint list --query "[].{name:name, addresses:customDnsConfigs[].ipAddresses}""#,
                Proof::Shows(&["acr-endpoint", "10.1.0.4"]),
            )
            .dots("nodes")
        },
        witness(
            r#"az network vnet peering list --resource-group <resource-group> --vnet-name <vnet> --query "[].{name:name, state:peeringState}" --output table"#,
            Proof::Shows(&["hub", "Disconnected"]),
        ),
    ]
}

pub(super) fn all() -> Vec<Witness> {
    let mut all = roles();
    all.extend(clusters());
    all.extend(registries());
    all.extend(networks());
    all
}
