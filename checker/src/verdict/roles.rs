//! The kubelet identity's roles at a registry: missing, on the wrong identity, too new, not honoured.

use super::{Case, Draft, Settle, ago, within};
use crate::azure::{AzureFacts, Grant, RegistryMode};
use crate::cause::Cause;
use crate::evidence::Seen;
use crate::stage::Stage;
use crate::world::Vantage;

/// Minutes after which a new assignment must have reached the registry (documented 10, seen 30).
const PROPAGATION: i64 = 30;

pub(super) fn ask_azure(what: &str) -> Settle {
    Settle::by(
        format!("{what}, from Azure Resource Manager (--arm-token-file)"),
        "az account get-access-token --resource https://management.azure.com/ --query accessToken --output tsv > arm-token",
    )
}

/// The kubelet identity and its roles at the registry.
pub(super) fn decide(case: &Case<'_>, vantage: &Vantage, because: String) -> Draft {
    let at = Stage::Token;
    let everyone = || {
        vec![
            Cause::AcrRoleMissing,
            Cause::AcrRoleWrongIdentity,
            Cause::AcrRolePropagating,
            Cause::AcrAbacRoleMissing,
            Cause::AcrTenantMismatch,
            Cause::CredentialsMissing,
        ]
    };
    let Some(azure) = case.azure else {
        return Draft::open(
            at,
            everyone(),
            because,
            vec![ask_azure("the kubelet identity's roles at the registry")],
        );
    };
    if let Some(draft) = other_tenant(case, azure, vantage, &because) {
        return draft;
    }
    // Who asked: the token that the node really got counts, else the cluster's own word.
    let from_token = case
        .evidence
        .from(vantage)
        .find_map(|fact| match &fact.seen {
            Seen::IdentityToken {
                object_id: Some(id),
                ..
            } => Some(id.to_string()),
            _ => None,
        });
    if from_token.is_none()
        && let Some(draft) = detached(azure, &because)
    {
        return draft;
    }
    let identity = from_token.or_else(|| azure.kubelet().map(|one| one.object_id.clone()));
    let (Some(registry), Some(identity), Some(assignments)) =
        (&azure.registry, identity, &azure.assignments)
    else {
        let settle: Vec<Settle> = azure
            .gaps
            .iter()
            .map(|gap| match &gap.missing_action {
                Some(action) => Settle::new(format!("{}: the right `{action}`", gap.what)),
                None => Settle::new(format!("{}: {}", gap.what, gap.why)),
            })
            .collect();
        return Draft::open(at, everyone(), because, settle);
    };
    let mine: Vec<_> = azure.assignments_of(&identity).collect();
    let pulls = mine.iter().find(|one| one.grant == Grant::Pull);
    if let Some(grant) = pulls {
        let since = grant
            .changed
            .map_or_else(String::new, |at| format!(", assigned {}", ago(case, at)));
        let because = format!(
            "{because}; yet {identity} has {} at {}{since}",
            grant.role, grant.scope
        );
        if grant
            .changed
            .is_some_and(|at| within(case, at, PROPAGATION))
        {
            return Draft::proven(at, Cause::AcrRolePropagating, because);
        }
        // Another tenant was ruled out above, where both are known.
        let mut candidates = vec![Cause::AcrRolePropagating, Cause::StaleBackoff];
        if azure.tenants().is_none() {
            candidates.insert(0, Cause::AcrTenantMismatch);
        }
        return Draft::open(at, candidates, because, Vec::new());
    }
    if mine.iter().any(|one| one.grant == Grant::Unknown) {
        let settle = vec![Settle::new(
            "the definition or condition of a role that the identity has at the registry",
        )];
        return Draft::open(at, everyone(), because, settle);
    }
    if registry.mode == RegistryMode::Abac {
        let has: Vec<&str> = mine.iter().map(|one| one.role.as_str()).collect();
        let has = if has.is_empty() {
            "no role".into()
        } else {
            has.join(", ")
        };
        let because = format!(
            "{because}; {} uses repository permissions (ABAC), where what {identity} has ({has}) gives no access to this repository",
            registry.name
        );
        return Draft::proven(at, Cause::AcrAbacRoleMissing, because);
    }
    if let Some((other, role)) = wrong_identity(azure) {
        let because = format!(
            "{because}; {role} is assigned to the control plane's identity {other}, the kubelet's is {identity}"
        );
        return Draft::proven(at, Cause::AcrRoleWrongIdentity, because);
    }
    let because = format!(
        "{because}; none of the {} role assignments at or above {} lets the kubelet identity {identity} pull",
        assignments.len(),
        registry.name
    );
    Draft::proven(at, Cause::AcrRoleMissing, because)
}

/// A managed identity lives in one tenant, and a registry takes none of another.
fn other_tenant(
    case: &Case<'_>,
    azure: &AzureFacts,
    vantage: &Vantage,
    because: &str,
) -> Option<Draft> {
    let of_token = case
        .evidence
        .from(vantage)
        .find_map(|fact| match &fact.seen {
            Seen::IdentityToken {
                tenant: Some(tenant),
                ..
            } => Some(tenant.to_string()),
            _ => None,
        });
    let registry = azure.registry.as_ref()?;
    let theirs = registry.tenant.as_deref()?;
    let ours = of_token.or_else(|| azure.cluster.as_ref()?.tenant.clone())?;
    if ours.eq_ignore_ascii_case(theirs) {
        return None;
    }
    let because = format!(
        "{because}; the node's identity is of the tenant {ours}, {} of the tenant {theirs}",
        registry.name
    );
    Some(Draft::proven(
        Stage::Token,
        Cause::AcrTenantMismatch,
        because,
    ))
}

/// The cluster has the identity, and the machine that the node is has it not.
fn detached(azure: &AzureFacts, because: &str) -> Option<Draft> {
    let machine = azure.without_kubelet().next()?;
    let identity = azure.kubelet()?;
    let because = format!(
        "{because}; the cluster's kubelet identity {} is not attached to {}, so its nodes get no token for it",
        identity.object_id,
        machine.name()
    );
    Some(Draft::proven(
        Stage::Auth,
        Cause::KubeletIdentityDetached,
        because,
    ))
}

/// The classic mistake: a role meant for pulls on the control plane's identity. Its Owner,
/// Contributor or Reader rights were given for other ends.
fn wrong_identity(azure: &AzureFacts) -> Option<(String, String)> {
    let cluster = azure.cluster.as_ref()?;
    let others = cluster
        .control_plane
        .iter()
        .chain(&cluster.service_principal);
    others.into_iter().find_map(|id| {
        let general = |role: &str| matches!(role, "Owner" | "Contributor" | "Reader");
        let grant = azure
            .assignments_of(id)
            .find(|one| one.grant == Grant::Pull && !general(&one.role))?;
        Some((id.clone(), grant.role.clone()))
    })
}
