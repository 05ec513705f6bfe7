//! A tenant around a registry: the way of a kubelet's credential, and its refusals.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which may panic"
)]

mod common;

use std::time::Duration;

use common::tenant::{LOGIN, MANIFEST, NONE, OTHER, exchange, imds, refresh_token, start, tenant};
use common::{Answer, Client};
use fake_registry::{
    AcrRegistry, CustomRole, ManagedCluster, Principal, RepositoryToken, Scope, Tenant,
};

/// As containerd asks with the credential that the kubelet's plugin gave it.
async fn access(client: &Client, refresh: &str, scope: &str) -> Answer {
    client
        .basic(NONE, refresh)
        .get(&format!("/oauth2/token?service={LOGIN}&scope={scope}"))
        .await
}

async fn pull(client: &Client, scope: &str, path: &str) -> u16 {
    let refresh = refresh_token(client).await;
    let token = access(client, &refresh, scope).await;
    if token.status != 200 {
        return token.status;
    }
    client
        .bearer(token.json()["access_token"].as_str().unwrap())
        .get(path)
        .await
        .status
}

#[tokio::test]
async fn the_challenge_has_the_words_of_the_registry() {
    let client = start(tenant());
    let table = [
        ("/v2/", ""),
        ("/v2/_catalog", ",scope=\"registry:catalog:*\""),
        (MANIFEST, ",scope=\"repository:team/web:pull\""),
    ];
    for (path, scope) in table {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 401);
        let want =
            format!("Bearer realm=\"http://{LOGIN}/oauth2/token\",service=\"{LOGIN}\"{scope}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some(want.as_str()),
            "for {path}"
        );
        assert!(answer.message().starts_with("authentication required, visit https://aka.ms/acr/authorization for more information. CorrelationId: "));
        assert_eq!(answer.header("server"), Some("openresty"));
    }
}

#[tokio::test]
async fn a_node_pulls_with_the_identity_of_its_kubelet() {
    let client = start(tenant());
    assert_eq!(
        pull(&client, "repository:team/web:pull", MANIFEST).await,
        200
    );
    // A grant in part is a token in part.
    let refresh = refresh_token(&client).await;
    let token = access(&client, &refresh, "repository:team/web:pull,push")
        .await
        .json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(client.bearer(&token).get(MANIFEST).await.status, 200);
    let push = client
        .bearer(&token)
        .ask("POST", "/v2/team/web/blobs/uploads/", b"")
        .await;
    assert!(
        push.header("www-authenticate")
            .unwrap()
            .contains("insufficient_scope")
    );
    assert_eq!(
        access(&client, &refresh, "repository:team/web:delete")
            .await
            .status,
        401
    );
    // By POST too.
    let form = format!(
        "grant_type=refresh_token&service={LOGIN}&scope=repository:team/web:pull&refresh_token={refresh}"
    );
    assert_eq!(client.form("/oauth2/token", &form).await.status, 200);
    // The refresh token is no access token, and the other registry's own business.
    assert_eq!(client.bearer(&refresh).get(MANIFEST).await.status, 401);
    let elsewhere = client
        .at(OTHER)
        .basic(NONE, &refresh)
        .get("/oauth2/token?scope=repository:team/web:pull")
        .await;
    assert_eq!(elsewhere.status, 401);
}

#[tokio::test]
async fn without_a_role_the_exchange_is_refused_and_so_is_nobody() {
    let client = start(tenant());
    let refused = exchange(&client, OTHER).await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (401, "UNAUTHORIZED")
    );
    assert!(
        refused
            .message()
            .starts_with("authentication required, visit https://aka.ms/acr/authorization")
    );
    assert_eq!(refused.header("www-authenticate"), None);
    let anonymous = client
        .get(&format!(
            "/oauth2/token?scope=repository%3Ateam%2Fweb%3Apull&service={LOGIN}"
        ))
        .await;
    assert_eq!(anonymous.status, 401);
    let azure = client.registry.azure();
    azure
        .assign_role(
            &Principal::control_plane("aks1"),
            "AcrPull",
            &Scope::registry("contoso2"),
        )
        .unwrap();
    assert_eq!(
        exchange(&client, OTHER).await.status,
        401,
        "the control plane does not pull"
    );
    azure
        .assign_role(
            &Principal::kubelet("aks1"),
            "AcrPull",
            &Scope::registry("contoso2"),
        )
        .unwrap();
    assert_eq!(exchange(&client, OTHER).await.status, 200);
}

#[tokio::test]
async fn roles_that_let_pull() {
    let kubelet = || Principal::kubelet("aks1");
    let base = || {
        Tenant::new("contoso")
            .cluster(ManagedCluster::new("aks1", "apps").node("node-1"))
            .management_group("corp")
            .group("pullers", &[Principal::kubelet("aks1")])
            .group("outer", &[Principal::group("pullers")])
            .custom_role(
                CustomRole::new("Puller")
                    .actions(&["Microsoft.ContainerRegistry/registries/pull/read"]),
            )
            .custom_role(CustomRole::new("Not").actions(&["*"]).not_actions(&[
                "Microsoft.ContainerRegistry/registries/pull/*",
                "*/write",
                "*/delete",
            ]))
    };
    let table = [
        (
            "AcrPull",
            kubelet(),
            Scope::registry("contoso1"),
            false,
            200,
        ),
        (
            "acrpull",
            kubelet(),
            Scope::resource_group("REGISTRIES"),
            false,
            200,
        ),
        ("AcrPush", kubelet(), Scope::Subscription, false, 200),
        (
            "Reader",
            kubelet(),
            Scope::management_group("corp"),
            false,
            200,
        ),
        ("Contributor", kubelet(), Scope::Root, false, 200),
        (
            "Owner",
            Principal::group("outer"),
            Scope::Subscription,
            false,
            200,
        ),
        ("Puller", kubelet(), Scope::registry("contoso1"), false, 200),
        ("Not", kubelet(), Scope::registry("contoso1"), false, 401),
        (
            "AcrPull",
            kubelet(),
            Scope::node_resource_group("aks1"),
            false,
            401,
        ),
        (
            "AcrPull",
            kubelet(),
            Scope::registry("contoso2"),
            false,
            401,
        ),
        (
            "Network Contributor",
            kubelet(),
            Scope::registry("contoso1"),
            false,
            401,
        ),
        (
            "Container Registry Repository Reader",
            kubelet(),
            Scope::registry("contoso1"),
            false,
            401,
        ),
        ("AcrPull", kubelet(), Scope::registry("contoso1"), true, 401),
        ("Owner", kubelet(), Scope::Subscription, true, 401),
        (
            "Container Registry Repository Reader",
            kubelet(),
            Scope::registry("contoso1"),
            true,
            200,
        ),
    ];
    for (role, principal, scope, abac, status) in table {
        let tenant = base()
            .registry(AcrRegistry::new("contoso1", "registries").abac(abac))
            .registry(AcrRegistry::new("contoso2", "registries2"))
            .assign(principal, role, scope.clone());
        let got = exchange(&start(tenant), LOGIN).await.status;
        assert_eq!(got, status, "for {role} at {scope:?}, abac {abac}");
    }
    let denied = base()
        .registry(AcrRegistry::new("contoso1", "registries"))
        .registry(AcrRegistry::new("contoso2", "registries"))
        .assign(kubelet(), "AcrPull", Scope::registry("contoso1"))
        .deny(kubelet(), "Reader", Scope::resource_group("registries"));
    assert_eq!(exchange(&start(denied), LOGIN).await.status, 401);
}

#[tokio::test]
async fn a_condition_limits_repositories() {
    let condition = "((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'})) OR (@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'team/'))";
    let tenant = Tenant::new("contoso")
        .cluster(ManagedCluster::new("aks1", "apps").node("node-1"))
        .registry(AcrRegistry::new("contoso1", "r").abac(true))
        .registry(AcrRegistry::new("contoso2", "r"))
        .assign_when(
            Principal::kubelet("aks1"),
            "Container Registry Repository Reader",
            Scope::registry("contoso1"),
            condition,
        );
    let client = start(tenant);
    assert_eq!(
        pull(&client, "repository:team/web:pull", MANIFEST).await,
        200
    );
    assert_eq!(
        pull(
            &client,
            "repository:other/app:pull",
            "/v2/other/app/manifests/v1"
        )
        .await,
        401
    );
}

#[tokio::test(start_paused = true)]
async fn a_credential_outlives_its_role_for_a_while() {
    let client = start(tenant());
    let refresh = refresh_token(&client).await;
    let azure = client.registry.azure();
    azure
        .remove_role(
            &Principal::kubelet("aks1"),
            "AcrPull",
            &Scope::registry("contoso1"),
        )
        .unwrap();
    assert_eq!(
        exchange(&client, LOGIN).await.status,
        401,
        "a new exchange sees it at once"
    );
    assert_eq!(
        access(&client, &refresh, "repository:team/web:pull")
            .await
            .status,
        200
    );
    tokio::time::advance(Duration::from_mins(11)).await;
    assert_eq!(
        access(&client, &refresh, "repository:team/web:pull")
            .await
            .status,
        401
    );
    azure
        .assign_role(
            &Principal::kubelet("aks1"),
            "AcrPull",
            &Scope::registry("contoso1"),
        )
        .unwrap();
    assert_eq!(
        access(&client, &refresh, "repository:team/web:pull")
            .await
            .status,
        200
    );
    tokio::time::advance(Duration::from_hours(3)).await;
    assert_eq!(
        access(&client, &refresh, "repository:team/web:pull")
            .await
            .status,
        401,
        "a refresh token lasts three hours"
    );
}

#[tokio::test]
async fn network_rules_keep_clients_out() {
    let client = start(tenant());
    let azure = client.registry.azure();
    azure
        .set_network_rules(LOGIN, true, Some(&["20.1.0.0/16"]))
        .unwrap();
    for path in ["/v2/", MANIFEST, "/oauth2/token"] {
        let answer = client.get(path).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "DENIED"),
            "for {path}"
        );
        assert!(answer.message().starts_with("client with IP '10.0.0.4' is not allowed access. Refer https://aka.ms/acr/firewall to grant access. CorrelationId: "));
        assert_eq!(answer.header("www-authenticate"), None);
    }
    assert_eq!(exchange(&client, LOGIN).await.status, 403);
    let allowed = Client {
        peer: "20.1.9.9:1".into(),
        ..client.clone()
    };
    assert_eq!(allowed.get("/v2/").await.status, 401);
    azure.set_network_rules("contoso1", false, None).unwrap();
    assert_eq!(allowed.get("/v2/").await.status, 403);
    let private = start(
        tenant().registry(
            AcrRegistry::new("private1", "r")
                .public_network(false)
                .private_endpoint("pe", "Approved", &["10.0.0.0/24"])
                .private_endpoint("p2", "Pending", &["10.1.0.0/24"]),
        ),
    );
    let private = private.at("private1.azurecr.io");
    assert_eq!(private.get("/v2/").await.status, 401);
    assert_eq!(
        Client {
            peer: "10.1.0.4:1".into(),
            ..private
        }
        .get("/v2/")
        .await
        .status,
        403
    );
}

#[tokio::test]
async fn other_identities_of_a_registry() {
    let token = RepositoryToken::new("robot", "r0b0t").allow("team/*", &["content/read"]);
    let expired = RepositoryToken::new("old", "old")
        .allow("*", &["content/read"])
        .expires("2026-01-01T00:00:00Z".parse().unwrap());
    let tenant = Tenant::new("contoso")
        .registry(
            AcrRegistry::new("contoso1", "r")
                .admin_user(true)
                .token(token)
                .token(expired),
        )
        .registry(AcrRegistry::new("contoso2", "r").anonymous_pull(true))
        .service_principal("deployer", "sp-secret", None)
        .assign(
            Principal::service_principal("deployer"),
            "AcrPush",
            Scope::registry("contoso1"),
        );
    let client = start(tenant);
    let azure = client.registry.azure();
    let [first, second] = azure.admin_passwords("contoso1").unwrap();
    let sp = azure
        .client_id(&Principal::service_principal("deployer"))
        .unwrap();
    let scope = format!("/oauth2/token?service={LOGIN}&scope=repository:team/web:pull");
    let table = [
        ("contoso1", first.as_str(), 200),
        ("contoso1", second.as_str(), 200),
        ("contoso1", "wrong", 401),
        ("robot", "r0b0t", 200),
        ("robot", "wrong", 401),
        ("old", "old", 401),
        (sp.as_str(), "sp-secret", 200),
        (sp.as_str(), "wrong", 401),
        ("nobody", "x", 401),
    ];
    for (user, password, status) in table {
        assert_eq!(
            client.basic(user, password).get(&scope).await.status,
            status,
            "for {user}"
        );
        assert_eq!(
            client.basic(user, password).get(MANIFEST).await.status,
            status,
            "Basic for {user}"
        );
    }
    let elsewhere = client
        .basic("robot", "r0b0t")
        .get("/v2/other/app/manifests/v1")
        .await;
    assert_eq!(elsewhere.status, 401, "outside of the scope map");
    azure.set_admin_user("contoso1", false).unwrap();
    assert_eq!(
        client.basic("contoso1", &first).get(&scope).await.status,
        401
    );
    let open = client.at(OTHER);
    let token = open
        .get("/oauth2/token?scope=repository:team/web:pull,push")
        .await
        .json()["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(open.bearer(&token).get(MANIFEST).await.status, 200);
    assert_eq!(
        open.bearer(&token)
            .ask("DELETE", MANIFEST, b"")
            .await
            .status,
        401
    );
    assert_eq!(
        open.get(MANIFEST).await.status,
        401,
        "nobody needs a token too"
    );
}

#[tokio::test]
async fn the_metadata_service_knows_the_machine_by_its_connection() {
    let tenant = tenant().identity("extra", "apps");
    let client = start(tenant);
    let azure = client.registry.azure();
    let kubelet = azure.client_id(&Principal::kubelet("aks1")).unwrap();
    let object = azure.object_id(&Principal::kubelet("aks1")).unwrap();
    let got = imds(&client, "").await.json();
    assert_eq!(got["client_id"], kubelet.as_str());
    assert_eq!(
        (got["expires_in"].as_str(), got["token_type"].as_str()),
        (Some("3599"), Some("Bearer"))
    );
    assert_eq!(
        imds(&client, &format!("&client_id={kubelet}")).await.status,
        200
    );
    assert_eq!(
        imds(&client, &format!("&object_id={object}")).await.status,
        200
    );
    let description = |answer: &Answer| {
        (
            answer.status,
            answer.json()["error"].as_str().unwrap().to_owned(),
            answer.json()["error_description"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        )
    };
    let refused = |status, error: &str, text: &str| (status, error.to_owned(), text.to_owned());
    let unknown = refused(400, "invalid_request", "Identity not found");
    assert_eq!(
        description(&imds(&client, &format!("&client_id={NONE}")).await),
        unknown
    );
    assert_eq!(
        description(&imds(&client.named("laptop"), "").await),
        unknown
    );
    let bare = client.at("169.254.169.254");
    assert_eq!(
        description(
            &bare
                .get("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=x")
                .await
        ),
        refused(
            400,
            "bad_request_102",
            "Required metadata header not specified"
        )
    );
    let resource = bare
        .with("Metadata", "true")
        .get("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=nonsense")
        .await;
    assert_eq!(resource.json()["error"], "invalid_resource");
    azure
        .set_node_identities(
            "node-1",
            &[Principal::kubelet("aks1"), Principal::identity("extra")],
        )
        .unwrap();
    assert!(
        description(&imds(&client, "").await)
            .2
            .starts_with("Multiple user assigned identities exist")
    );
    azure.set_node_identities("node-1", &[]).unwrap();
    assert_eq!(description(&imds(&client, "").await), unknown);
    let provider = azure.add_node("aks1", "node-3").unwrap();
    assert!(provider.starts_with("azure:///subscriptions/") && provider.contains("/resourceGroups/mc_apps_aks1_eastus/providers/Microsoft.Compute/virtualMachineScaleSets/aks-nodepool1-") && provider.ends_with("-vmss/virtualMachines/2"), "{provider}");
    assert_eq!(imds(&client.named("node-3"), "").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn entra_gives_tokens_to_applications() {
    let until = "2026-01-15T10:00:00Z".parse().unwrap();
    let client = start(tenant().service_principal("deployer", "sp-secret", Some(until)));
    let azure = client.registry.azure();
    let id = azure
        .client_id(&Principal::service_principal("deployer"))
        .unwrap();
    let tenant_id = azure.tenant_id().unwrap();
    let entra = client.at("login.microsoftonline.com");
    let ask = async |tenant: &str, id: &str, secret: &str| {
        let form = format!(
            "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=https%3A%2F%2Fcontainerregistry.azure.net%2F.default"
        );
        entra
            .form(&format!("/{tenant}/oauth2/v2.0/token"), &form)
            .await
    };
    let got = ask(&tenant_id, &id, "sp-secret").await;
    assert_eq!(
        (got.status, got.json()["expires_in"].as_u64()),
        (200, Some(3599))
    );
    let codes = async |tenant: &str, id: &str, secret: &str| {
        let answer = ask(tenant, id, secret).await;
        (
            answer.status,
            answer.json()["error"].as_str().unwrap().to_owned(),
            answer.json()["error_codes"][0].as_u64().unwrap(),
        )
    };
    assert_eq!(
        codes(&tenant_id, &id, "wrong").await,
        (401, "invalid_client".into(), 7_000_215)
    );
    assert_eq!(
        codes(&tenant_id, NONE, "x").await,
        (400, "unauthorized_client".into(), 700_016)
    );
    assert_eq!(
        codes(NONE, &id, "sp-secret").await,
        (400, "invalid_request".into(), 90002)
    );
    tokio::time::advance(Duration::from_hours(1)).await;
    assert_eq!(
        codes(&tenant_id, &id, "sp-secret").await,
        (401, "invalid_client".into(), 7_000_222)
    );
}
