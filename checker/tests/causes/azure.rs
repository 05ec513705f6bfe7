//! Azure: the kubelet's identity, its roles, and settings of the registry.

use std::time::Duration;

use fake_registry::{
    Action, Clock, Cloud, FakeRegistry, ManagedCluster, Match, Principal, Route, Rule, Scope, Sku,
    Tenant,
};
use pullcheck::report::Report;

use crate::Expect::{Blocked, Open};
use crate::api::Pod;
use crate::lab::{Lab, METADATA, NODE, registry};
use crate::names::{ACR, acr, azure, bare_tenant, resolved, tenant};
use crate::net::{Fate, ip};
use crate::{Row, row};

pub(crate) fn rows() -> Vec<Row> {
    use pullcheck::cause::Cause as C;
    vec![
        row!(AcrRoleMissing, Blocked, acr_role_missing),
        row!(
            AcrRoleMissing,
            Open(&[
                C::AcrRoleWrongIdentity,
                C::AcrRolePropagating,
                C::AcrAbacRoleMissing
            ]),
            acr_role_missing_without_azure
        ),
        row!(AcrRoleMissing, Blocked, acr_role_missing_in_government),
        row!(AcrRolePropagating, Blocked, acr_role_propagating),
        row!(AcrRoleWrongIdentity, Blocked, acr_role_wrong_identity),
        row!(AcrAbacRoleMissing, Blocked, acr_abac_role_missing),
        row!(KubeletIdentityDetached, Blocked, kubelet_identity_detached),
        row!(
            KubeletIdentityDetached,
            Blocked,
            kubelet_identity_detached_in_arm
        ),
        row!(
            KubeletIdentityDetached,
            Open(&[C::SpSecretExpired]),
            kubelet_identity_detached_without_azure
        ),
        row!(
            KubeletIdentityAmbiguous,
            Blocked,
            kubelet_identity_ambiguous
        ),
        row!(ImdsBlocked, Blocked, imds_blocked),
        row!(
            SpSecretExpired,
            Open(&[C::AcrRoleMissing]),
            sp_secret_expired
        ),
        row!(
            AcrArmTokenDisabled,
            Open(&[C::CredentialProviderBroken]),
            acr_arm_token_disabled
        ),
        row!(AcrTenantMismatch, Blocked, acr_tenant_mismatch),
        row!(AcrRolePropagating, Open(&[]), old_role_refused),
        row!(AcrFirewallIp, Blocked, acr_firewall_ip),
        row!(
            AcrFirewallIp,
            Open(&[C::AcrPrivateOnly, C::PrivateDnsZoneUnlinked]),
            acr_firewall_ip_without_azure
        ),
        row!(AcrPrivateOnly, Blocked, acr_private_only),
        row!(
            AcrReplicaLag,
            Open(&[C::TagDigestGone, C::TagNotFound]),
            acr_replica_lag
        ),
        row!(AcrCacheCredentials, Blocked, acr_cache_credentials),
        row!(AcrStreamingProxy, Blocked, acr_streaming_proxy),
        row!(AcrCmkUnavailable, Blocked, acr_cmk_unavailable),
    ]
}

fn anonymous() -> String {
    resolved(
        ACR,
        "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to \
         https://shop.azurecr.io/oauth2/token?scope=repository%3Ateam%2Fweb%3Apull&service=shop.azurecr.io: 401 Unauthorized",
    )
}

fn forbidden() -> String {
    anonymous().replace("401 Unauthorized", "403 Forbidden")
}

/// What the nodes say without a credential, and a user who may ask Resource Manager.
async fn as_operator(broken: bool, fake: FakeRegistry) -> Report {
    Lab::new(fake)
        .with_arm("operator")
        .told(broken, ACR, &anonymous())
        .check()
        .await
}

async fn roles(broken: bool, tenant_if_broken: Tenant) -> Report {
    let tenant = if broken {
        tenant_if_broken
    } else {
        tenant(acr())
    };
    as_operator(broken, azure(tenant)).await
}

/// Without the role, where it is broken.
fn bare_if(broken: bool) -> Tenant {
    if broken {
        bare_tenant(acr())
    } else {
        tenant(acr())
    }
}

async fn acr_role_missing(broken: bool) -> Report {
    as_operator(broken, azure(bare_if(broken))).await
}

async fn acr_role_missing_without_azure(broken: bool) -> Report {
    Lab::new(azure(bare_if(broken)))
        .told(broken, ACR, &anonymous())
        .check()
        .await
}

/// Azure Government has its own Resource Manager, Entra and registries; they are found by the registry's name.
async fn acr_role_missing_in_government(broken: bool) -> Report {
    let image = "shop.azurecr.us/team/web:v1";
    let fake = registry(|with| {
        with.azure(bare_if(broken).cloud(Cloud::UsGovernment))
            .image("shop.azurecr.us", "team/web:v1 linux/amd64 2x1KiB")
    });
    let text = anonymous().replace("azurecr.io", "azurecr.us");
    Lab::new(fake)
        .with_arm("operator")
        .told(broken, image, &text)
        .check()
        .await
}

/// The role is there since just now, and the registry does not know yet.
async fn acr_role_propagating(broken: bool) -> Report {
    let fake = azure(bare_tenant(acr()));
    if broken {
        let exchange = Match::any().route(&[Route::Exchange]);
        let refused = Action::status(401).code("UNAUTHORIZED");
        fake.faults().add(Rule::new(refused).when(exchange));
    }
    fake.azure()
        .assign_role(
            &Principal::kubelet("aks1"),
            "AcrPull",
            &Scope::registry("shop"),
        )
        .expect("a role");
    as_operator(broken, fake).await
}

async fn acr_role_wrong_identity(broken: bool) -> Report {
    let tenant = bare_tenant(acr()).assign(
        Principal::control_plane("aks1"),
        "AcrPull",
        Scope::registry("shop"),
    );
    roles(broken, tenant).await
}

async fn acr_abac_role_missing(broken: bool) -> Report {
    roles(broken, tenant(acr().abac(true))).await
}

fn identities(broken: bool, list: &[Principal]) -> Lab {
    let fake = azure(tenant(acr()).identity("second", "shop"));
    if broken {
        fake.azure()
            .set_node_identities(NODE, list)
            .expect("identities");
    }
    Lab::new(fake)
}

async fn kubelet_identity_detached(broken: bool) -> Report {
    let lab = identities(broken, &[]).with_arm("operator");
    lab.told(broken, ACR, &anonymous()).check().await
}

/// No node can be looked from: Resource Manager alone shows that the scale set lacks the identity.
async fn kubelet_identity_detached_in_arm(broken: bool) -> Report {
    let cluster = ManagedCluster::new("aks1", "shop")
        .node(NODE)
        .identity_attached(!broken);
    let tenant = Tenant::new("contoso")
        .registry(acr())
        .cluster(cluster)
        .user("operator")
        .assign(Principal::user("operator"), "Reader", Scope::Subscription)
        .assign(
            Principal::kubelet("aks1"),
            "AcrPull",
            Scope::registry("shop"),
        );
    let lab = Lab::new(azure(tenant));
    let lab = if broken { lab.without_nodes() } else { lab };
    lab.with_arm("operator")
        .told(broken, ACR, &anonymous())
        .check()
        .await
}

async fn kubelet_identity_detached_without_azure(broken: bool) -> Report {
    let lab = identities(broken, &[]);
    lab.told(broken, ACR, &anonymous()).check().await
}

async fn kubelet_identity_ambiguous(broken: bool) -> Report {
    let two = [Principal::kubelet("aks1"), Principal::identity("second")];
    let lab = identities(broken, &two);
    lab.told(broken, ACR, &anonymous()).check().await
}

async fn imds_blocked(broken: bool) -> Report {
    let lab = Lab::new(azure(tenant(acr())));
    let lab = if broken {
        lab.fate(NODE, ip(METADATA), Fate::Drops)
    } else {
        lab
    };
    lab.told(broken, ACR, &anonymous()).check().await
}

/// The cluster signs in with a service principal: neither the node nor Resource Manager shows its secret.
async fn sp_secret_expired(broken: bool) -> Report {
    let tenant = if broken {
        let cluster = ManagedCluster::new("aks1", "shop")
            .node(NODE)
            .service_principal("old-sp");
        let expired = "2026-01-01T00:00:00Z".parse().expect("a date");
        Tenant::new("contoso")
            .registry(acr())
            .service_principal("old-sp", "secret", Some(expired))
            .cluster(cluster)
            .user("operator")
            .assign(Principal::user("operator"), "Reader", Scope::Subscription)
    } else {
        tenant(acr())
    };
    as_operator(broken, azure(tenant)).await
}

/// The registry takes only tokens made for registries; an old credential provider brings another one.
async fn acr_arm_token_disabled(broken: bool) -> Report {
    let fake = an_hour_old(tenant(acr().arm_audience(!broken))).await;
    as_operator(broken, fake).await
}

/// The same, with roles that were given an hour ago.
async fn an_hour_old(tenant: Tenant) -> FakeRegistry {
    let began = "2026-01-15T08:00:00Z".parse().expect("a date");
    let fake = FakeRegistry::builder()
        .clock(Clock::starting_at(began))
        .seed(1)
        .azure(tenant)
        .image("shop.azurecr.io", "team/web:v1 linux/amd64 2x1KiB")
        .build()
        .expect("a registry");
    tokio::time::sleep(Duration::from_hours(1)).await;
    fake
}

/// The registry is in a subscription of another tenant, which the user may look at.
async fn acr_tenant_mismatch(broken: bool) -> Report {
    const ELSEWHERE: &str = "11111111-2222-3333-4444-555555555555";
    let registry = acr().subscription(ELSEWHERE);
    let operator = Scope::Id(format!("/subscriptions/{ELSEWHERE}"));
    let tenant = tenant(registry).assign(Principal::user("operator"), "Reader", operator);
    let tenant = if broken {
        tenant.foreign_subscription(ELSEWHERE, "99999999-8888-7777-6666-555555555555")
    } else {
        tenant
    };
    as_operator(broken, azure(tenant)).await
}

/// The role is old and right, the tenant the same, and the exchange refuses all the same.
async fn old_role_refused(broken: bool) -> Report {
    let fake = an_hour_old(tenant(acr())).await;
    if broken {
        let exchange = Match::any().route(&[Route::Exchange]);
        let refused = Action::status(401).code("UNAUTHORIZED");
        fake.faults().add(Rule::new(refused).when(exchange));
    }
    as_operator(broken, fake).await
}

/// A registry whose rules let in nobody of ours.
fn closed(broken: bool) -> Lab {
    let acr = if broken {
        acr().sku(Sku::Premium).allow_only(&["192.0.2.0/24"])
    } else {
        acr()
    };
    Lab::new(azure(tenant(acr))).told(broken, ACR, &forbidden())
}

async fn acr_firewall_ip(broken: bool) -> Report {
    closed(broken).with_arm("operator").check().await
}

async fn acr_firewall_ip_without_azure(broken: bool) -> Report {
    closed(broken).check().await
}

async fn acr_private_only(broken: bool) -> Report {
    Lab::new(azure(tenant(
        acr().sku(Sku::Premium).public_network(!broken),
    )))
    .with_arm("operator")
    .told(broken, ACR, &forbidden())
    .check()
    .await
}

/// The tag is listed, and its manifest is not there: not yet, at this replica, or no more.
async fn acr_replica_lag(broken: bool) -> Report {
    let fake = azure(tenant(acr().sku(Sku::Premium)));
    if broken {
        let manifest = Match::any().route(&[Route::Manifest]).authorized(true);
        fake.faults()
            .add(Rule::new(Action::status(404).code("MANIFEST_UNKNOWN")).when(manifest));
    }
    let text = resolved(ACR, &format!("{ACR}: not found"));
    Lab::new(fake).told(broken, ACR, &text).check().await
}

fn json(body: &str) -> Action {
    let kind = http::HeaderValue::from_static("application/json");
    Action::status(200).body(kind, body)
}

/// What Resource Manager says about the registry's cache rules, and how their credentials are.
fn cached(fake: &FakeRegistry, health: &str) {
    let rules = r#"{"value": [{"name": "team", "properties": {"sourceRepository": "docker.io/team/*",
        "targetRepository": "team/*",
        "credentialSetResourceId": "/subscriptions/s/resourceGroups/shared/providers/Microsoft.ContainerRegistry/registries/shop/credentialSets/hub"}}]}"#;
    let set = format!(
        r#"{{"name": "hub", "properties": {{"loginServer": "docker.io",
            "authCredentials": [{{"name": "Credential1", "credentialHealth": {{"status": "{health}", "errorCode": "AuthenticationFailed",
            "errorMessage": "the secret of the key vault cannot be read"}}}}]}}}}"#
    );
    let faults = fake.faults();
    faults
        .add(Rule::new(json(rules)).when(Match::any().route(&[Route::Arm]).path("*/cacheRules*")));
    let sets = Match::any()
        .route(&[Route::Arm])
        .path("*/credentialSets/hub*");
    faults.add(Rule::new(json(&set)).when(sets));
}

async fn acr_cache_credentials(broken: bool) -> Report {
    let fake = azure(tenant(acr()));
    cached(&fake, if broken { "Unhealthy" } else { "Healthy" });
    if broken {
        let manifest = Match::any().route(&[Route::Manifest]).authorized(true);
        let gone = Action::status(404).code("MANIFEST_UNKNOWN");
        fake.faults().add(Rule::new(gone).when(manifest));
    }
    let text = resolved(ACR, &format!("{ACR}: not found"));
    Lab::new(fake)
        .with_arm("operator")
        .told(broken, ACR, &text)
        .check()
        .await
}

/// The mirror on the node itself fails, whatever can be seen of the registry.
async fn acr_streaming_proxy(broken: bool) -> Report {
    let text = resolved(
        ACR,
        "unexpected status from HEAD request to http://localhost:8578/v2/team/web/manifests/v1?ns=shop.azurecr.io: 503 Service Unavailable",
    );
    Lab::new(azure(tenant(acr())))
        .told(broken, ACR, &text)
        .check()
        .await
}

async fn acr_cmk_unavailable(broken: bool) -> Report {
    let fake = azure(tenant(acr()));
    if broken {
        let manifest = Match::any().route(&[Route::Manifest]).authorized(true);
        let refused = Action::status(403)
            .code("DENIED")
            .message("Key vault access denied: the registry's identity may not use its key");
        fake.faults().add(Rule::new(refused).when(manifest));
    }
    let text = resolved(
        ACR,
        "unexpected status from HEAD request to https://shop.azurecr.io/v2/team/web/manifests/v1: 403 Forbidden",
    );
    Lab::new(fake)
        .pod(if broken {
            Pod::fails(NODE, ACR, &text)
        } else {
            Pod::runs(NODE, ACR)
        })
        .check()
        .await
}
