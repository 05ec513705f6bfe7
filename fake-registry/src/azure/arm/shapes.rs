//! Resources as Resource Manager shows them.

use serde_json::{Map, Value, json};

use super::resources::{IDENTITIES, REGISTRIES, SCALE_SETS};
use crate::azure::state::{Acr, Cluster, State, Who};

pub(super) fn subscription_json(state: &State, id: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{id}"), "subscriptionId": id, "tenantId": state.tenant_of(id),
        "displayName": state.name, "state": "Enabled", "authorizationSource": "RoleBased",
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off"},
    })
}

pub(super) fn group_json(subscription: &str, name: &str, location: &str) -> Value {
    json!({
        "id": State::group_id(subscription, name), "name": name, "type": "Microsoft.Resources/resourceGroups",
        "location": location, "properties": {"provisioningState": "Succeeded"},
    })
}

pub(super) fn registry_json(state: &State, acr: &Acr) -> Value {
    let spec = &acr.spec;
    let enabled = |on: bool| if on { "enabled" } else { "disabled" };
    let rules: Vec<Value> = acr
        .allowed
        .as_ref()
        .unwrap_or(&acr.idle)
        .iter()
        .map(|(text, _)| json!({"action": "Allow", "value": text}))
        .collect();
    let endpoints: Vec<Value> = acr.private.iter().map(|(endpoint, _)| {
        let id = format!("{}/privateEndpointConnections/{}", acr.id, endpoint.name);
        let group = State::group_id(&acr.subscription, &spec.group);
        json!({
            "id": id, "name": endpoint.name, "type": "Microsoft.ContainerRegistry/registries/privateEndpointConnections",
            "properties": {
                "privateEndpoint": {"id": format!("{group}/providers/Microsoft.Network/privateEndpoints/{}", endpoint.name)},
                "privateLinkServiceConnectionState": {"status": endpoint.status, "description": "", "actionsRequired": "None"},
                "provisioningState": "Succeeded",
            },
        })
    }).collect();
    let hosts = if spec.data_endpoint {
        vec![acr.data_endpoint_host()]
    } else {
        Vec::new()
    };
    let created = state
        .start
        .strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
        .to_string();
    json!({
        "id": acr.id, "name": spec.name, "type": REGISTRIES, "location": spec.location, "tags": {},
        "sku": {"name": acr.sku().name(), "tier": acr.sku().name()},
        "properties": {
            "loginServer": acr.login_server,
            "creationDate": created,
            "provisioningState": "Succeeded",
            "adminUserEnabled": spec.admin_user,
            "networkRuleSet": {"defaultAction": if acr.allowed.is_some() { "Deny" } else { "Allow" }, "ipRules": rules},
            "policies": {
                "quarantinePolicy": {"status": "disabled"},
                "trustPolicy": {"type": "Notary", "status": "disabled"},
                "retentionPolicy": {"days": 7, "lastUpdatedTime": created, "status": "disabled"},
                "exportPolicy": {"status": "enabled"},
                "azureADAuthenticationAsArmPolicy": {"status": enabled(spec.arm_audience)},
                "softDeletePolicy": {"retentionDays": 7, "lastUpdatedTime": created, "status": "disabled"},
            },
            "encryption": {"status": "disabled"},
            "status": null,
            "dataEndpointEnabled": spec.data_endpoint,
            "dataEndpointHostNames": hosts,
            "privateEndpointConnections": endpoints,
            "publicNetworkAccess": if spec.public_network { "Enabled" } else { "Disabled" },
            "networkRuleBypassOptions": "AzureServices",
            "networkRuleBypassAllowedForTasks": false,
            "zoneRedundancy": "Disabled",
            "anonymousPullEnabled": spec.anonymous_pull,
            "roleAssignmentMode": if spec.abac { "AbacRepositoryPermissions" } else { "LegacyRegistryPermissions" },
        },
    })
}

pub(super) fn cluster_json(state: &State, cluster: &Cluster) -> Value {
    let spec = &cluster.spec;
    let minor = spec
        .version
        .rsplit_once('.')
        .map_or(spec.version.as_str(), |(minor, _)| minor);
    let count = state
        .machines
        .values()
        .filter(|machine| machine.scale_set == cluster.scale_set)
        .count();
    let mut body = json!({
        "id": cluster.id, "name": spec.name, "type": "Microsoft.ContainerService/ManagedClusters", "location": spec.location,
        "sku": {"name": "Base", "tier": "Free"},
        "properties": {
            "provisioningState": "Succeeded",
            "powerState": {"code": if spec.stopped { "Stopped" } else { "Running" }},
            "kubernetesVersion": minor,
            "currentKubernetesVersion": spec.version,
            "dnsPrefix": spec.name,
            "fqdn": format!("{}-dns-0a1b2c3d.hcp.{}.azmk8s.io", spec.name, spec.location),
            "nodeResourceGroup": cluster.node_group,
            "enableRBAC": true,
            "agentPoolProfiles": [{
                "name": "nodepool1", "count": count, "osType": "Linux", "mode": "System", "vmSize": "Standard_D4s_v5",
                "orchestratorVersion": minor, "provisioningState": "Succeeded", "powerState": {"code": "Running"}, "type": "VirtualMachineScaleSets",
            }],
            "networkProfile": {"networkPlugin": "azure", "outboundType": cluster.outbound, "loadBalancerSku": "standard"},
            "disableLocalAccounts": false,
        },
    });
    let kubelet = state.principals.get(&cluster.kubelet);
    let (Some(map), Some(kubelet)) = (body.as_object_mut(), kubelet) else {
        return body;
    };
    let (properties, identity) = if spec.service_principal.is_some() {
        (
            json!({"servicePrincipalProfile": {"clientId": kubelet.client_id}}),
            None,
        )
    } else {
        // AKS spells the groups of this one id in lower case.
        let resource_id = kubelet
            .resource_id
            .as_deref()
            .map(|id| id.replace("/resourceGroups/", "/resourcegroups/"));
        let profile = json!({
            "servicePrincipalProfile": {"clientId": "msi"},
            "identityProfile": {"kubeletidentity": {
                "clientId": kubelet.client_id, "objectId": kubelet.object_id, "resourceId": resource_id,
            }},
        });
        (
            profile,
            Some(
                json!({"type": "SystemAssigned", "principalId": cluster.control_plane, "tenantId": state.tenant_id}),
            ),
        )
    };
    if let Some(identity) = identity {
        map.insert("identity".into(), identity);
    }
    if let (Some(all), Value::Object(more)) = (
        map.get_mut("properties").and_then(Value::as_object_mut),
        properties,
    ) {
        all.extend(more);
    }
    body
}

pub(super) fn scale_set_json(state: &State, id: &str, cluster: &Cluster) -> Value {
    let machines = || {
        state
            .machines
            .values()
            .filter(|machine| machine.scale_set == cluster.scale_set)
    };
    let mut attached = Map::new();
    let described = cluster.spec.attached.then_some(&cluster.kubelet);
    for object_id in machines()
        .flat_map(|machine| &machine.identities)
        .chain(described)
    {
        let who = state.principals.get(object_id);
        if let Some((who, resource_id)) = who.and_then(|who| Some((who, who.resource_id.clone()?)))
        {
            attached.insert(
                resource_id,
                json!({"principalId": who.object_id, "clientId": who.client_id}),
            );
        }
    }
    let identity = if attached.is_empty() {
        json!({"type": "None"})
    } else {
        json!({"type": "UserAssigned", "userAssignedIdentities": attached})
    };
    json!({
        "id": id, "name": cluster.scale_set, "type": SCALE_SETS, "location": cluster.spec.location,
        "sku": {"name": "Standard_D4s_v5", "tier": "Standard", "capacity": machines().count()},
        "identity": identity,
        "properties": {"provisioningState": "Succeeded"},
    })
}

pub(super) fn identity_json(state: &State, who: &Who) -> Value {
    json!({
        "id": who.resource_id, "name": who.name, "type": IDENTITIES, "location": who.location, "tags": {},
        "properties": {"tenantId": state.tenant_id, "principalId": who.object_id, "clientId": who.client_id},
    })
}

/// The id of a cluster's scale set.
pub(super) fn scale_set_id(cluster: &Cluster) -> String {
    format!(
        "{}/providers/{SCALE_SETS}/{}",
        State::group_id(&cluster.subscription, &cluster.node_group),
        cluster.scale_set
    )
}
