//! Virtual networks and private DNS zones of a tenant, described in a line each.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::state::{AzureError, State, cidr};
use super::tenant::Tenant;

/// A virtual network with its subnets; private endpoints are put into it over Resource Manager.
#[derive(Clone, Debug)]
pub struct VirtualNetwork {
    name: String,
    group: String,
    location: String,
    addresses: String,
    subnets: Vec<(String, String)>,
    peerings: Vec<(String, String)>,
}

impl VirtualNetwork {
    /// A network in a resource group, with its address range (`10.1.0.0/16`) and no subnets.
    pub fn new(
        name: impl Into<String>,
        resource_group: impl Into<String>,
        addresses: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            group: resource_group.into(),
            location: "eastus".into(),
            addresses: addresses.into(),
            subnets: Vec::new(),
            peerings: Vec::new(),
        }
    }

    /// Adds a subnet with its range.
    #[must_use]
    pub fn subnet(mut self, name: impl Into<String>, addresses: impl Into<String>) -> Self {
        self.subnets.push((name.into(), addresses.into()));
        self
    }

    /// Adds a peering with its state (`Connected`, `Disconnected`, `Initiated`).
    #[must_use]
    pub fn peering(mut self, name: impl Into<String>, state: impl Into<String>) -> Self {
        self.peerings.push((name.into(), state.into()));
        self
    }
}

/// A private DNS zone with the addresses of its names.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) records: IndexMap<String, String>,
}

impl Tenant {
    /// Adds a virtual network.
    #[must_use]
    pub fn virtual_network(mut self, network: VirtualNetwork) -> Self {
        self.networks.push(network);
        self
    }

    /// Adds a private DNS zone in a resource group, with names and their addresses; no network is
    /// linked to it.
    #[must_use]
    pub fn private_dns_zone(
        mut self,
        name: &str,
        resource_group: &str,
        records: &[(&str, &str)],
    ) -> Self {
        self.zones.push(Zone {
            name: name.to_owned(),
            group: resource_group.to_owned(),
            records: records
                .iter()
                .map(|(name, address)| ((*name).to_owned(), (*address).to_owned()))
                .collect(),
        });
        self
    }
}

impl State {
    pub(super) fn add_networks(&mut self, tenant: &Tenant) -> Result<(), AzureError> {
        for network in &tenant.networks {
            cidr(&network.addresses)?;
            let group = Self::group_id(&self.subscription, &network.group);
            let id = format!(
                "{group}/providers/Microsoft.Network/virtualNetworks/{}",
                network.name
            );
            let mut subnets = Vec::new();
            for (name, range) in &network.subnets {
                cidr(range)?;
                subnets.push(self.add_document(
                    &format!("{id}/subnets/{name}"),
                    "Microsoft.Network/virtualNetworks/subnets",
                    None,
                    &json!({"addressPrefix": range}),
                ));
            }
            let peerings: Vec<Value> = network
                .peerings
                .iter()
                .map(|(name, state)| {
                    self.add_document(
                        &format!("{id}/virtualNetworkPeerings/{name}"),
                        "Microsoft.Network/virtualNetworks/virtualNetworkPeerings",
                        None,
                        &json!({"peeringState": state, "allowVirtualNetworkAccess": true}),
                    )
                })
                .collect();
            self.add_document(
                &id,
                "Microsoft.Network/virtualNetworks",
                Some(&network.location),
                &json!({
                    "addressSpace": {"addressPrefixes": [network.addresses]},
                    "subnets": subnets, "virtualNetworkPeerings": peerings,
                }),
            );
        }
        for zone in &tenant.zones {
            let group = Self::group_id(&self.subscription, &zone.group);
            let id = format!(
                "{group}/providers/Microsoft.Network/privateDnsZones/{}",
                zone.name
            );
            let kind = "Microsoft.Network/privateDnsZones";
            self.add_document(
                &id,
                kind,
                Some("global"),
                &json!({"numberOfRecordSets": zone.records.len() + 1}),
            );
            for (name, address) in &zone.records {
                self.add_document(
                    &format!("{id}/A/{name}"),
                    &format!("{kind}/A"),
                    None,
                    &json!({
                        "fqdn": format!("{name}.{}.", zone.name), "ttl": 10, "isAutoRegistered": false, "metadata": {},
                        "aRecords": [{"ipv4Address": address}],
                    }),
                );
            }
        }
        Ok(())
    }

    fn add_document(
        &mut self,
        id: &str,
        kind: &str,
        location: Option<&str>,
        properties: &Value,
    ) -> Value {
        let mut document = json!({"id": id, "name": id.rsplit('/').next(), "type": kind, "properties": properties});
        if let (Some(map), Some(location)) = (document.as_object_mut(), location) {
            map.insert("location".into(), location.into());
        }
        if let Some(properties) = document
            .get_mut("properties")
            .and_then(Value::as_object_mut)
        {
            properties.insert("provisioningState".into(), "Succeeded".into());
        }
        self.documents
            .insert(id.to_ascii_lowercase(), document.clone());
        document
    }
}
