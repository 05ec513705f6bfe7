//! Resource Manager: what it lists, refuses and changes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::time::Duration;

use common::tenant::{ARM, LOGIN, NONE, OTHER, arm, exchange, imds, start, tenant};
use common::{Answer, Client};
use fake_registry::{Principal, Scope, Sku};
use serde_json::json;

#[tokio::test]
async fn resource_manager_lists_what_is_there() {
    let client = start(tenant());
    let azure = client.registry.azure();
    let s = azure.subscription_id().unwrap();
    let arm = arm(&client);
    let clusters = arm.get(&format!("/subscriptions/{s}/providers/Microsoft.ContainerService/managedClusters?api-version=2024-10-01")).await.json();
    let cluster = &clusters["value"][0];
    assert_eq!(
        cluster["properties"]["nodeResourceGroup"],
        "MC_apps_aks1_eastus"
    );
    let kubelet = &cluster["properties"]["identityProfile"]["kubeletidentity"];
    assert_eq!(
        kubelet["objectId"],
        azure.object_id(&Principal::kubelet("aks1")).unwrap()
    );
    assert_eq!(
        cluster["identity"]["principalId"],
        azure.object_id(&Principal::control_plane("aks1")).unwrap()
    );
    assert_eq!(clusters.get("nextLink"), None);
    // Ids compare without regard to case.
    let id = cluster["id"].as_str().unwrap();
    assert_eq!(
        arm.get(&format!(
            "{}?api-version=2024-10-01",
            id.to_uppercase()
                .replace("/SUBSCRIPTIONS", "/subscriptions")
        ))
        .await
        .status,
        200
    );
    let registries = arm.get(&format!("/subscriptions/{s}/providers/Microsoft.ContainerRegistry/registries?api-version=2025-11-01")).await.json();
    let names: Vec<&str> = registries["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["properties"]["loginServer"].as_str().unwrap())
        .collect();
    assert_eq!(names, [LOGIN, OTHER]);
    let scale_sets = arm.get(&format!("/subscriptions/{s}/resourceGroups/mc_apps_aks1_eastus/providers/Microsoft.Compute/virtualMachineScaleSets?api-version=2024-03-01")).await.json();
    let attached = scale_sets["value"][0]["identity"]["userAssignedIdentities"]
        .as_object()
        .unwrap();
    assert!(attached.keys().next().unwrap().ends_with("/aks1-agentpool"));
    assert_eq!(
        arm.get("/subscriptions?api-version=2022-12-01")
            .await
            .json()["value"][0]["subscriptionId"],
        s.as_str()
    );
}

#[tokio::test(start_paused = true)]
async fn resource_manager_refuses_in_its_own_words() {
    let client = start(tenant());
    let azure = client.registry.azure();
    let s = azure.subscription_id().unwrap();
    let registry = azure.scope_id(&Scope::registry("contoso1")).unwrap();
    let admin = arm(&client);
    let kubelet = azure.object_id(&Principal::kubelet("aks1")).unwrap();
    let as_kubelet = client
        .at(ARM)
        .bearer(&client.registry.arm_token_with_roles(&kubelet));
    let acr_token = imds(&client, "").await.json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let v = "?api-version=2025-11-01";
    let table = [
        (
            client.at(ARM),
            format!("{registry}{v}"),
            401,
            "AuthenticationFailed",
        ),
        (
            client.at(ARM).bearer("x.y.z"),
            format!("{registry}{v}"),
            401,
            "InvalidAuthenticationToken",
        ),
        (
            client.at(ARM).bearer(&acr_token),
            format!("{registry}{v}"),
            401,
            "InvalidAuthenticationTokenAudience",
        ),
        (
            admin.clone(),
            registry.clone(),
            400,
            "MissingApiVersionParameter",
        ),
        (
            admin.clone(),
            format!("{registry}?api-version=1"),
            400,
            "InvalidApiVersionParameter",
        ),
        (
            admin.clone(),
            format!("{registry}9{v}"),
            404,
            "ResourceNotFound",
        ),
        (
            admin.clone(),
            format!(
                "/subscriptions/{s}/resourceGroups/none/providers/Microsoft.ContainerRegistry/registries/a{v}"
            ),
            404,
            "ResourceGroupNotFound",
        ),
        (
            admin.clone(),
            format!("/subscriptions/{NONE}/resourceGroups{v}"),
            404,
            "SubscriptionNotFound",
        ),
        (
            admin.clone(),
            format!("/subscriptions/{s}/providers/Microsoft.Web/sites{v}"),
            404,
            "InvalidResourceType",
        ),
        (
            as_kubelet.clone(),
            format!("{registry}{v}"),
            403,
            "AuthorizationFailed",
        ),
        (
            as_kubelet.clone(),
            format!("{registry}9{v}"),
            403,
            "AuthorizationFailed",
        ),
        (
            as_kubelet,
            format!("/subscriptions/{s}/providers/Microsoft.ContainerRegistry/registries{v}"),
            403,
            "AuthorizationFailed",
        ),
    ];
    for (client, path, status, code) in table {
        let answer = client.get(&path).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["code"].as_str()),
            (status, Some(code)),
            "for {path}"
        );
        assert!(answer.header("x-ms-request-id").is_some());
    }
    tokio::time::advance(Duration::from_hours(2)).await;
    let late = admin.get(&format!("{registry}{v}")).await;
    assert_eq!(late.json()["error"]["code"], "ExpiredAuthenticationToken");
    assert!(
        late.header("www-authenticate")
            .unwrap()
            .starts_with("Bearer authorization_uri=")
    );
}

async fn assignments(arm: &Client, scope: &str, filter: &str) -> Vec<String> {
    let query = if filter.is_empty() {
        String::new()
    } else {
        format!("&$filter={}", filter.replace(' ', "+").replace('\'', "%27"))
    };
    let answer = arm.get(&format!("{scope}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            item["properties"]["scope"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn role_assignments_are_found_at_above_and_below() {
    let kubelet = Principal::kubelet("aks1");
    let tenant = tenant()
        .management_group("corp")
        .group("team", std::slice::from_ref(&kubelet))
        .assign(
            Principal::control_plane("aks1"),
            "Contributor",
            Scope::node_resource_group("aks1"),
        )
        .assign(
            Principal::group("team"),
            "Reader",
            Scope::management_group("corp"),
        )
        .assign(
            kubelet.clone(),
            "AcrPull",
            Scope::resource_group("registries2"),
        )
        .assign(
            Principal::object("99999999-9999-9999-9999-999999999999"),
            "AcrPull",
            Scope::registry("contoso1"),
        );
    let client = start(tenant);
    let azure = client.registry.azure();
    let arm = arm(&client);
    let oid = azure.object_id(&kubelet).unwrap();
    let registry = azure.scope_id(&Scope::registry("contoso1")).unwrap();
    let subscription = azure.scope_id(&Scope::Subscription).unwrap();
    let table = [
        (
            &registry,
            "atScope()".to_owned(),
            vec!["contoso1", "corp", "contoso1"],
        ),
        (
            &registry,
            format!("principalId eq '{oid}'"),
            vec!["contoso1"],
        ),
        (
            &registry,
            format!("assignedTo('{oid}')"),
            vec!["contoso1", "corp"],
        ),
        (
            &registry,
            format!("atScope() and assignedTo('{oid}')"),
            vec!["contoso1", "corp"],
        ),
        (
            &subscription,
            format!("principalId eq '{oid}'"),
            vec!["contoso1", "registries2"],
        ),
        (&subscription, "atScope()".to_owned(), vec!["corp"]),
        (
            &subscription,
            String::new(),
            vec![
                "contoso1",
                "MC_apps_aks1_eastus",
                "corp",
                "registries2",
                "contoso1",
            ],
        ),
    ];
    for (scope, filter, want) in table {
        assert_eq!(
            assignments(&arm, scope, &filter).await,
            want,
            "for {filter} at {scope}"
        );
    }
    let bad = arm.get(&format!("{registry}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=name+eq+%27x%27")).await;
    assert_eq!(bad.status, 400);
}

#[tokio::test]
async fn lists_come_page_by_page() {
    let client = start(tenant().page_size(1).assign(
        Principal::kubelet("aks1"),
        "Reader",
        Scope::Subscription,
    ));
    let arm = arm(&client);
    let registry = client
        .registry
        .azure()
        .scope_id(&Scope::registry("contoso1"))
        .unwrap();
    let first = arm.get(&format!("{registry}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01&$filter=atScope()")).await.json();
    assert_eq!(first["value"].as_array().unwrap().len(), 1);
    let next = first["nextLink"]
        .as_str()
        .unwrap()
        .strip_prefix("http://management.azure.com")
        .unwrap()
        .to_owned();
    let second = arm.get(&next).await.json();
    assert_eq!(second["value"].as_array().unwrap().len(), 1);
    assert_eq!(second.get("nextLink"), None);
    assert_ne!(first["value"][0]["id"], second["value"][0]["id"]);
}

#[tokio::test]
async fn a_role_assigned_over_http_lets_the_node_pull() {
    let client = start(tenant());
    let azure = client.registry.azure();
    let arm = arm(&client).with("Content-Type", "application/json");
    let scope = azure.scope_id(&Scope::registry("contoso2")).unwrap();
    let oid = azure.object_id(&Principal::kubelet("aks1")).unwrap();
    let path = |guid: &str| {
        format!(
            "{scope}/providers/Microsoft.Authorization/roleAssignments/{guid}?api-version=2022-04-01"
        )
    };
    let role = "/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d";
    let body = |principal: &str, role: &str| {
        json!({"properties": {"roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal"}}).to_string()
    };
    let guid = "22222222-2222-2222-2222-222222222222";
    let put = async |guid: &str, body: String| arm.ask("PUT", &path(guid), body.as_bytes()).await;
    let code = |answer: Answer| {
        (
            answer.status,
            answer.json()["error"]["code"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    assert_eq!(
        code(put(guid, body(NONE, role)).await),
        (400, "PrincipalNotFound".into())
    );
    assert_eq!(
        code(put(guid, body(&oid, NONE)).await),
        (400, "RoleDefinitionDoesNotExist".into())
    );
    assert_eq!(exchange(&client, OTHER).await.status, 401);
    assert_eq!(put(guid, body(&oid, role)).await.status, 201);
    assert_eq!(exchange(&client, OTHER).await.status, 200);
    assert_eq!(put(guid, body(&oid, role)).await.status, 200);
    assert_eq!(
        code(put("33333333-3333-3333-3333-333333333333", body(&oid, role)).await),
        (409, "RoleAssignmentExists".into())
    );
    assert_eq!(
        arm.get(&path(guid)).await.json()["properties"]["principalId"],
        oid.as_str()
    );
    assert_eq!(arm.ask("DELETE", &path(guid), b"").await.status, 200);
    assert_eq!(arm.ask("DELETE", &path(guid), b"").await.status, 204);
    assert_eq!(exchange(&client, OTHER).await.status, 401);
    // Those who only read do not write.
    let reader = azure.object_id(&Principal::control_plane("aks1")).unwrap();
    azure
        .assign_role(
            &Principal::control_plane("aks1"),
            "Reader",
            &Scope::Subscription,
        )
        .unwrap();
    let reader = client
        .at(ARM)
        .bearer(&client.registry.arm_token_with_roles(&reader));
    assert_eq!(
        reader
            .ask("PUT", &path(guid), body(&oid, role).as_bytes())
            .await
            .status,
        403
    );
    assert_eq!(reader.get(&path(guid)).await.status, 404);
}

#[tokio::test]
async fn role_definitions_have_their_real_ids() {
    let client = start(tenant());
    let s = client
        .registry
        .azure()
        .scope_id(&Scope::Subscription)
        .unwrap();
    let arm = arm(&client);
    let found = arm.get(&format!("{s}/providers/Microsoft.Authorization/roleDefinitions?api-version=2022-04-01&$filter=roleName+eq+%27AcrPull%27")).await.json();
    assert_eq!(
        found["value"][0]["name"],
        "7f951dda-4ed3-4680-a7ca-43fe172d538d"
    );
    let path = found["value"][0]["id"].as_str().unwrap();
    let role = arm
        .get(&format!("{path}?api-version=2022-04-01"))
        .await
        .json();
    assert_eq!(
        role["properties"]["permissions"][0]["actions"],
        json!(["Microsoft.ContainerRegistry/registries/pull/read"])
    );
}

#[tokio::test]
async fn a_registry_is_changed_over_http() {
    let client = start(tenant());
    let azure = client.registry.azure();
    let id = azure.scope_id(&Scope::registry("contoso1")).unwrap();
    let arm = arm(&client).with("Content-Type", "application/json");
    let patch = async |body: serde_json::Value| {
        arm.ask(
            "PATCH",
            &format!("{id}?api-version=2025-11-01"),
            body.to_string().as_bytes(),
        )
        .await
    };
    assert_eq!(
        patch(json!({"sku": {"name": "Premium"}})).await.json()["sku"]["tier"],
        "Premium"
    );
    assert_eq!(patch(json!({"sku": {"name": "Golden"}})).await.status, 400);
    let rules = json!({"properties": {"publicNetworkAccess": "Enabled", "networkRuleSet": {"defaultAction": "Deny", "ipRules": [{"action": "Allow", "value": "20.1.2.3"}]}}});
    assert_eq!(
        patch(rules).await.json()["properties"]["networkRuleSet"]["ipRules"][0]["value"],
        "20.1.2.3"
    );
    assert_eq!(client.get("/v2/").await.status, 403);
    assert_eq!(
        patch(json!({"properties": {"networkRuleSet": {"defaultAction": "Allow"}}}))
            .await
            .status,
        200
    );
    assert_eq!(client.get("/v2/").await.status, 401);
    assert_eq!(
        arm.ask(
            "POST",
            &format!("{id}/listCredentials?api-version=2025-11-01"),
            b""
        )
        .await
        .status,
        400
    );
    patch(json!({"properties": {"adminUserEnabled": true}})).await;
    let credentials = arm
        .ask(
            "POST",
            &format!("{id}/listCredentials?api-version=2025-11-01"),
            b"",
        )
        .await
        .json();
    assert_eq!(credentials["username"], "contoso1");
    azure.set_sku("contoso1", Sku::Basic).unwrap();
    assert_eq!(
        arm.get(&format!("{id}?api-version=2025-11-01"))
            .await
            .json()["sku"]["name"],
        "Basic"
    );
}
