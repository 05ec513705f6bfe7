//! Azure around a registry: the tenant, its metadata service, Entra, the exchange at the
//! registry, and Resource Manager.
//!
//! One state, read by all endpoints and changed by the writes of Resource Manager or by the
//! handle, so that a remedy carried out over HTTP is seen by the next pull.

mod access;
pub(crate) mod acr;
pub(crate) mod arm;
mod cloud;
mod condition;
pub(crate) mod data_plane;
pub(crate) mod described;
mod entra;
mod graph;
mod imds;
pub(crate) mod lock;
mod network;
pub(crate) mod quota;
mod roles;
pub(crate) mod state;
mod tenant;
mod vnet;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use serde_json::{Value, json};

pub use cloud::Cloud;
pub use condition::ConditionError;
pub use described::SpellingError;
pub use state::AzureError;
pub use tenant::{
    AcrRegistry, CustomRole, ManagedCluster, Principal, RepositoryToken, Scope, Sku, Tenant,
};
pub use vnet::VirtualNetwork;

use crate::auth::jwt;
use crate::clock::Clock;
use crate::keys::Keys;
use crate::random::Random;
use crate::registry::FakeRegistry;
use state::{State, provider_id};
use tenant::{Assign, Load};

pub(crate) use entra::answer as entra;
pub(crate) use graph::answer as graph;
pub(crate) use imds::answer as imds;

/// How long tokens of Entra and the metadata service last.
const TOKEN_LIFETIME: Duration = Duration::from_secs(3599);
pub(crate) const ACR_AUDIENCE: &str = "https://containerregistry.azure.net";

pub(crate) struct Azure {
    state: RwLock<State>,
}

impl Azure {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: RwLock::new(state),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Mints a token of Entra for somebody.
pub(crate) fn entra_token(
    keys: &Keys,
    clock: Clock,
    random: &Random,
    state: &State,
    object_id: &str,
    audience: &str,
    extra: Value,
) -> String {
    let now = clock.now().as_second();
    let who = state.principals.get(object_id);
    let mut claims = json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{}/", state.tenant_id),
        "iat": now,
        "nbf": now - 300,
        "exp": now + TOKEN_LIFETIME.as_secs().cast_signed(),
        "appid": who.map(|who| who.client_id.as_str()),
        "oid": object_id,
        "sub": object_id,
        "tid": state.tenant_id,
        "uti": random.guid(),
        "ver": "1.0",
        "xms_mirid": who.and_then(|who| who.resource_id.as_deref()),
    });
    if let (Some(map), Value::Object(extra)) = (claims.as_object_mut(), extra) {
        map.extend(extra);
    }
    jwt::sign(keys, &claims)
}

/// The claims of an Entra token of this tenant for one of the audiences (a slash at the end does
/// not matter).
pub(crate) fn read_entra_token(
    keys: &Keys,
    clock: Clock,
    state: &State,
    token: &str,
    audiences: &[&str],
) -> Result<Value, jwt::Unaccepted> {
    let claims = jwt::verify(keys, token, clock.now().as_second())?;
    let audience = jwt::claim(&claims, "aud").trim_end_matches('/');
    let for_us = audiences
        .iter()
        .any(|wanted| wanted.trim_end_matches('/').eq_ignore_ascii_case(audience));
    let ours =
        jwt::claim(&claims, "iss") == format!("https://sts.windows.net/{}/", state.tenant_id);
    if for_us && ours {
        Ok(claims)
    } else {
        Err(jwt::Unaccepted::Purpose)
    }
}

/// The tenant of a running registry: asks for ids, changes state.
#[derive(Clone)]
pub struct AzureHandle {
    registry: FakeRegistry,
}

impl FakeRegistry {
    /// The tenant; without one every call gives `AzureError::NoTenant`.
    pub fn azure(&self) -> AzureHandle {
        AzureHandle {
            registry: self.clone(),
        }
    }

    /// A token for Resource Manager whose bearer may do everything, as an administrator outside
    /// of the described roles; an empty text without a tenant.
    pub fn arm_token(&self, object_id: &str) -> String {
        self.mint(object_id, None, json!({"fake_rights": "all"}))
    }

    /// A token for Resource Manager whose bearer may do what the tenant's roles say.
    pub fn arm_token_with_roles(&self, object_id: &str) -> String {
        self.mint(object_id, None, Value::Null)
    }

    /// A token of a cluster's issuer for one of its service accounts, as a pod with workload identity has it in a
    /// file. Entra takes it where a federated credential says so.
    pub fn service_account_token(&self, issuer: &str, subject: &str) -> String {
        let now = self.core().clock.now().as_second();
        let claims = json!({
            "aud": [entra::EXCHANGE_AUDIENCE], "iss": issuer, "sub": subject,
            "iat": now, "nbf": now, "exp": now + 3600,
        });
        jwt::sign(&self.core().keys, &claims)
    }

    /// A token of Entra; for Resource Manager unless another audience is named.
    fn mint(&self, object_id: &str, audience: Option<&str>, extra: Value) -> String {
        let core = self.core();
        let Some(azure) = &core.azure else {
            return String::new();
        };
        let state = azure.read();
        let [resource_manager, _] = state.cloud.audiences();
        entra_token(
            &core.keys,
            core.clock,
            &core.random,
            &state,
            object_id,
            audience.unwrap_or(resource_manager),
            extra,
        )
    }
}

impl AzureHandle {
    fn with<T>(&self, work: impl FnOnce(&State) -> Result<T, AzureError>) -> Result<T, AzureError> {
        let azure = self
            .registry
            .core()
            .azure
            .as_ref()
            .ok_or(AzureError::NoTenant)?;
        work(&azure.read())
    }

    fn change<T>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, AzureError>,
    ) -> Result<T, AzureError> {
        let azure = self
            .registry
            .core()
            .azure
            .as_ref()
            .ok_or(AzureError::NoTenant)?;
        work(&mut azure.write())
    }

    /// The tenant's id.
    pub fn tenant_id(&self) -> Result<String, AzureError> {
        self.with(|state| Ok(state.tenant_id.clone()))
    }

    /// The default subscription's id.
    pub fn subscription_id(&self) -> Result<String, AzureError> {
        self.with(|state| Ok(state.subscription.clone()))
    }

    /// The object id that roles are assigned to.
    pub fn object_id(&self, principal: &Principal) -> Result<String, AzureError> {
        self.with(|state| state.object_id(principal))
    }

    /// The client id that tokens are asked for with.
    pub fn client_id(&self, principal: &Principal) -> Result<String, AzureError> {
        self.with(|state| {
            let id = state.object_id(principal)?;
            let who = state
                .principals
                .get(&id)
                .ok_or_else(|| AzureError::Principal(principal.clone()))?;
            Ok(who.client_id.clone())
        })
    }

    /// The resource id of a scope.
    pub fn scope_id(&self, scope: &Scope) -> Result<String, AzureError> {
        self.with(|state| state.scope_id(scope))
    }

    /// The `spec.providerID` of a node.
    pub fn provider_id(&self, node: &str) -> Result<String, AzureError> {
        self.with(|state| {
            let machine = state
                .machines
                .get(node)
                .ok_or_else(|| AzureError::Node(node.to_owned()))?;
            Ok(provider_id(machine))
        })
    }

    /// Adds a node to a cluster; gives its `spec.providerID`.
    pub fn add_node(&self, cluster: &str, node: &str) -> Result<String, AzureError> {
        self.change(|state| state.add_node(cluster, node))
    }

    /// The identities that the metadata service knows at a node from now on.
    pub fn set_node_identities(
        &self,
        node: &str,
        identities: &[Principal],
    ) -> Result<(), AzureError> {
        self.change(|state| {
            let ids = identities
                .iter()
                .map(|identity| state.object_id(identity))
                .collect::<Result<_, _>>()?;
            let machine = state
                .machines
                .get_mut(node)
                .ok_or_else(|| AzureError::Node(node.to_owned()))?;
            machine.identities = ids;
            Ok(())
        })
    }

    /// Gives somebody a role, by name or id; gives the assignment's id.
    pub fn assign_role(
        &self,
        principal: &Principal,
        role: &str,
        scope: &Scope,
    ) -> Result<String, AzureError> {
        let now = self.registry.core().clock.now();
        let assign = Assign {
            principal: principal.clone(),
            role: role.to_owned(),
            scope: scope.clone(),
            condition: None,
            deny: false,
        };
        self.change(|state| state.assign(&assign, now))
    }

    /// Takes a role away.
    pub fn remove_role(
        &self,
        principal: &Principal,
        role: &str,
        scope: &Scope,
    ) -> Result<(), AzureError> {
        self.change(|state| state.unassign(principal, role, scope))
    }

    /// Moves a registry to a tier.
    pub fn set_sku(&self, registry: &str, sku: Sku) -> Result<(), AzureError> {
        self.change(|state| {
            state.registry_mut(registry)?.spec.sku = sku;
            Ok(())
        })
    }

    /// Network rules of a registry: whether it is reachable publicly, and for which addresses only.
    pub fn set_network_rules(
        &self,
        registry: &str,
        public: bool,
        only: Option<&[&str]>,
    ) -> Result<(), AzureError> {
        let texts = only.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>());
        let allowed = texts.as_deref().map(state::ranges).transpose()?;
        self.change(|state| {
            let acr = state.registry_mut(registry)?;
            acr.spec.public_network = public;
            acr.allowed = allowed;
            Ok(())
        })
    }

    /// Whether anybody can pull from a registry.
    pub fn set_anonymous_pull(&self, registry: &str, on: bool) -> Result<(), AzureError> {
        self.change(|state| {
            state.registry_mut(registry)?.spec.anonymous_pull = on;
            Ok(())
        })
    }

    /// Whether the admin user of a registry can log in.
    pub fn set_admin_user(&self, registry: &str, on: bool) -> Result<(), AzureError> {
        self.change(|state| {
            state.registry_mut(registry)?.spec.admin_user = on;
            Ok(())
        })
    }

    /// The two passwords of a registry's admin user.
    pub fn admin_passwords(&self, registry: &str) -> Result<[String; 2], AzureError> {
        self.with(|state| {
            let acr = state
                .registry(registry)
                .ok_or_else(|| AzureError::Registry(registry.to_owned()))?;
            Ok(acr.admin_passwords.clone())
        })
    }

    /// Replaces the reads a minute that other clients take, of one identity or (`None`) of others.
    pub fn set_competing_load(
        &self,
        registry: &str,
        principal: Option<&Principal>,
        per_minute: u32,
    ) -> Result<(), AzureError> {
        self.change(|state| {
            let load = [Load {
                principal: principal.cloned(),
                per_minute,
            }];
            let resolved = state.resolve_loads(&load)?;
            let acr = state.registry_mut(registry)?;
            acr.loads
                .retain(|(who, _)| resolved.iter().all(|(other, _)| who != other));
            acr.loads
                .extend(resolved.into_iter().filter(|(_, rate)| *rate > 0));
            Ok(())
        })
    }
}
