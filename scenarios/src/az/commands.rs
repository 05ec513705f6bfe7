//! The commands: each a few requests, and the answer in the shape in which `az` prints it.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::words::Words;
use super::{AzError, Manager, get, list};

pub(super) const KNOWN: &[&str] = &[
    "  az account show | list | get-access-token",
    "  az aks show | list | update --attach-acr",
    "  az acr show | list | show-endpoints | update",
    "  az acr network-rule list | add | remove",
    "  az acr config authentication-as-arm show | update",
    "  az role assignment list | create | delete",
    "  az role definition list",
    "  az identity list",
    "  az vmss list",
];

const RESOURCES: &str = "2025-01-01";
const REGISTRIES: &str = "2025-11-01";
const CLUSTERS: &str = "2025-05-01";
const ROLES: &str = "2022-04-01";

const GROUP: &[&str] = &["--resource-group", "-g"];
const NAME: &[&str] = &["--name", "-n"];

/// Carries out a command; what it shows, as `az` has it.
pub async fn carry_out(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    match words.command.as_str() {
        "account show" => {
            words.only(&[])?;
            account(azure).await
        }
        "account list" => {
            words.only(&[])?;
            Ok(json!([account(azure).await?]))
        }
        "account get-access-token" => access_token(azure, words).await,
        "aks show" => {
            words.only(&["--resource-group", "-g", "--name", "-n"])?;
            cluster(azure, words).await.map(flat)
        }
        "aks list" => {
            resources(
                azure,
                words,
                "Microsoft.ContainerService/managedClusters",
                CLUSTERS,
            )
            .await
        }
        "aks update" => attach(azure, words).await,
        "acr show" => {
            words.only(&["--resource-group", "-g", "--name", "-n"])?;
            own_registry(azure, words, NAME).await.map(flat)
        }
        "acr list" => {
            resources(
                azure,
                words,
                "Microsoft.ContainerRegistry/registries",
                REGISTRIES,
            )
            .await
        }
        "acr show-endpoints" => endpoints(azure, words).await,
        "acr update" => update(azure, words).await,
        "acr network-rule list" => {
            words.only(&["--resource-group", "-g", "--name", "-n"])?;
            let registry = own_registry(azure, words, NAME).await?;
            Ok(json!({ "ipRules": addresses(&registry) }))
        }
        "acr network-rule add" | "acr network-rule remove" => network_rule(azure, words).await,
        "acr config authentication-as-arm show" | "acr config authentication-as-arm update" => {
            authentication_as_arm(azure, words).await
        }
        "role assignment list" => assignments(azure, words).await,
        "role assignment create" => assign(azure, words).await,
        "role assignment delete" => unassign(azure, words).await,
        "role definition list" => {
            words.only(&["--name", "-n", "--scope"])?;
            let scope = match words.get(&["--scope"]) {
                Some(scope) => scope.to_owned(),
                None => subscription(azure).await?,
            };
            let found = definitions(azure, &scope, words.get(NAME)).await?;
            Ok(found.into_iter().map(flat).collect())
        }
        "identity list" => {
            resources(
                azure,
                words,
                "Microsoft.ManagedIdentity/userAssignedIdentities",
                "2023-01-31",
            )
            .await
        }
        "vmss list" => {
            resources(
                azure,
                words,
                "Microsoft.Compute/virtualMachineScaleSets",
                "2024-07-01",
            )
            .await
        }
        other => Err(AzError::Unknown(other.chars().take(80).collect())),
    }
}

/// `az` shows the properties of a resource beside its name.
fn flat(mut resource: Value) -> Value {
    let properties = resource.get_mut("properties").map(Value::take);
    if let (Some(fields), Some(Value::Object(properties))) = (resource.as_object_mut(), properties)
    {
        fields.shift_remove("properties");
        for (name, value) in properties {
            fields.entry(name).or_insert(value);
        }
        let group = fields.get("id").and_then(Value::as_str).and_then(group_of);
        if let Some(group) = group {
            fields.insert("resourceGroup".into(), group.into());
        }
    }
    resource
}

fn group_of(id: &str) -> Option<String> {
    let mut parts = id.split('/');
    parts.find(|part| part.eq_ignore_ascii_case("resourceGroups"))?;
    parts.next().map(str::to_owned)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

async fn account(azure: &impl Manager) -> Result<Value, AzError> {
    let all = list(azure, &format!("/subscriptions?api-version={RESOURCES}")).await?;
    let first = all
        .first()
        .ok_or_else(|| AzError::NotFound("Please run 'az login' to setup account.".to_owned()))?;
    Ok(json!({
        "environmentName": "AzureCloud",
        "id": first.get("subscriptionId"),
        "isDefault": true,
        "name": first.get("displayName"),
        "state": "Enabled",
        "tenantId": first.get("tenantId"),
        "user": { "name": "operator", "type": "user" }
    }))
}

/// `/subscriptions/…` of the one subscription.
async fn subscription(azure: &impl Manager) -> Result<String, AzError> {
    let account = account(azure).await?;
    Ok(format!("/subscriptions/{}", text(&account, "/id")))
}

async fn access_token(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&["--resource", "--scope"])?;
    let resource = words
        .get(&["--resource"])
        .unwrap_or("https://management.azure.com/");
    let ours = [
        "https://management.azure.com",
        "https://management.core.windows.net",
    ];
    if !ours.contains(&resource.trim_end_matches('/')) {
        return Err(AzError::Usage(format!(
            "the embedded cluster gives tokens for Azure Resource Manager only, not for {resource}"
        )));
    }
    let account = account(azure).await?;
    Ok(json!({
        "accessToken": azure.token()?,
        "subscription": account.get("id"),
        "tenant": account.get("tenantId"),
        "tokenType": "Bearer"
    }))
}

async fn resources(
    azure: &impl Manager,
    words: &Words,
    kind: &str,
    version: &str,
) -> Result<Value, AzError> {
    words.only(GROUP)?;
    let mut root = subscription(azure).await?;
    if let Some(group) = words.get(GROUP) {
        root = format!("{root}/resourceGroups/{}", escaped(group));
    }
    let path = format!("{root}/providers/{kind}?api-version={version}");
    let found = list(azure, &path).await?;
    Ok(found.into_iter().map(flat).collect())
}

async fn cluster(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    let root = subscription(azure).await?;
    let (group, name) = (escaped(words.need(GROUP)?), escaped(words.need(NAME)?));
    let path = format!(
        "{root}/resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}?api-version={CLUSTERS}"
    );
    get(azure, &path).await
}

/// The registry that a command names; a resource group that is named must be its own.
async fn own_registry(
    azure: &impl Manager,
    words: &Words,
    option: &[&str],
) -> Result<Value, AzError> {
    let name = words.need(option)?;
    let found = registry(azure, name).await?;
    match (words.get(GROUP), group_of(text(&found, "/id"))) {
        (Some(wanted), Some(own)) if !wanted.eq_ignore_ascii_case(&own) => {
            Err(AzError::NotFound(format!(
                "The Resource 'Microsoft.ContainerRegistry/registries/{name}' under resource group '{wanted}' was not found."
            )))
        }
        _ => Ok(found),
    }
}

/// A registry by its name or its id.
async fn registry(azure: &impl Manager, name: &str) -> Result<Value, AzError> {
    if name.starts_with('/') {
        return get(
            azure,
            &format!("{}?api-version={REGISTRIES}", path_of(name)?),
        )
        .await;
    }
    let root = subscription(azure).await?;
    let path =
        format!("{root}/providers/Microsoft.ContainerRegistry/registries?api-version={REGISTRIES}");
    let all = list(azure, &path).await?;
    all.into_iter()
        .find(|registry| text(registry, "/name").eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            AzError::NotFound(format!(
                "The resource with name '{name}' and type 'Microsoft.ContainerRegistry/registries' could not be found in subscription '{}'.",
                root.trim_start_matches("/subscriptions/")
            ))
        })
}

async fn change(azure: &impl Manager, registry: &Value, body: &Value) -> Result<Value, AzError> {
    let path = format!("{}?api-version={REGISTRIES}", text(registry, "/id"));
    azure.send(Method::PATCH, &path, Some(body)).await
}

async fn endpoints(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&["--resource-group", "-g", "--name", "-n"])?;
    let registry = own_registry(azure, words, NAME).await?;
    let location = text(&registry, "/location");
    let hosts = registry.pointer("/properties/dataEndpointHostNames");
    let mut endpoints: Vec<Value> = hosts
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|host| json!({ "region": location, "endpoint": host }))
        .collect();
    if endpoints.is_empty() {
        endpoints.push(json!({ "region": location, "endpoint": "*.blob.core.windows.net" }));
    }
    Ok(json!({
        "loginServer": registry.pointer("/properties/loginServer"),
        "dataEndpoints": endpoints
    }))
}

async fn update(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&[
        "--name",
        "-n",
        "--resource-group",
        "-g",
        "--sku",
        "--public-network-enabled",
        "--data-endpoint-enabled",
        "--anonymous-pull-enabled",
        "--admin-enabled",
        "--default-action",
        "--role-assignment-mode",
    ])?;
    let registry = own_registry(azure, words, NAME).await?;
    let mut body = json!({});
    let mut properties = Map::new();
    if let Some(sku) = words.get(&["--sku"]) {
        body = json!({ "sku": { "name": sku } });
    }
    if let Some(on) = words.switch("--public-network-enabled")? {
        let word = if on { "Enabled" } else { "Disabled" };
        properties.insert("publicNetworkAccess".into(), word.into());
    }
    for (option, field) in [
        ("--data-endpoint-enabled", "dataEndpointEnabled"),
        ("--anonymous-pull-enabled", "anonymousPullEnabled"),
        ("--admin-enabled", "adminUserEnabled"),
    ] {
        if let Some(on) = words.switch(option)? {
            properties.insert(field.into(), on.into());
        }
    }
    if let Some(action) = words.get(&["--default-action"]) {
        let rules = json!({ "defaultAction": action, "ipRules": addresses(&registry) });
        properties.insert("networkRuleSet".into(), rules);
    }
    if let Some(mode) = words.get(&["--role-assignment-mode"]) {
        let mode = match mode.to_ascii_lowercase().as_str() {
            "rbac-abac" => "AbacRepositoryPermissions",
            _ => "LegacyRegistryPermissions",
        };
        properties.insert("roleAssignmentMode".into(), mode.into());
    }
    if let Some(body) = body.as_object_mut()
        && !properties.is_empty()
    {
        body.insert("properties".into(), properties.into());
    }
    change(azure, &registry, &body).await.map(flat)
}

fn addresses(registry: &Value) -> Vec<Value> {
    let rules = registry.pointer("/properties/networkRuleSet/ipRules");
    rules.and_then(Value::as_array).cloned().unwrap_or_default()
}

async fn network_rule(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&["--name", "-n", "--resource-group", "-g", "--ip-address"])?;
    let registry = own_registry(azure, words, NAME).await?;
    let address = words.need(&["--ip-address"])?;
    let mut rules = addresses(&registry);
    rules.retain(|rule| text(rule, "/value") != address);
    if words.command.ends_with("add") {
        rules.push(json!({ "action": "Allow", "value": address }));
    }
    let action = registry.pointer("/properties/networkRuleSet/defaultAction");
    let body = json!({ "properties": { "networkRuleSet": { "defaultAction": action, "ipRules": rules } } });
    change(azure, &registry, &body).await.map(flat)
}

async fn authentication_as_arm(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&["--registry", "-r", "--resource-group", "-g", "--status"])?;
    let mut registry = own_registry(azure, words, &["--registry", "-r"]).await?;
    if words.command.ends_with("update") {
        let status = words.need(&["--status"])?;
        let policy = json!({ "azureADAuthenticationAsArmPolicy": { "status": status } });
        registry = change(
            azure,
            &registry,
            &json!({ "properties": { "policies": policy } }),
        )
        .await?;
    }
    let policy = registry.pointer("/properties/policies/azureADAuthenticationAsArmPolicy");
    Ok(policy.cloned().unwrap_or_default())
}

async fn definitions(
    azure: &impl Manager,
    scope: &str,
    name: Option<&str>,
) -> Result<Vec<Value>, AzError> {
    let filter = name.map_or_else(String::new, |name| {
        format!("&$filter={}", escaped(&format!("roleName eq '{name}'")))
    });
    let path = format!(
        "{}/providers/Microsoft.Authorization/roleDefinitions?api-version={ROLES}{filter}",
        path_of(scope)?
    );
    list(azure, &path).await
}

async fn assignments(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&[
        "--assignee",
        "--scope",
        "--include-inherited",
        "--all",
        "--role",
    ])?;
    let scope = match words.get(&["--scope"]) {
        Some(scope) => scope.to_owned(),
        None => subscription(azure).await?,
    };
    let found = assigned(azure, &scope, words.get(&["--assignee"])).await?;
    let names = definitions(azure, &scope, None).await?;
    let below = words.has("--all") || words.get(&["--scope"]).is_none();
    let shown = found
        .into_iter()
        .filter(|assignment| {
            let at = text(assignment, "/properties/scope").to_ascii_lowercase();
            let wanted = scope.to_ascii_lowercase();
            at == wanted
                || (words.has("--include-inherited") && within(&wanted, &at))
                || (below && within(&at, &wanted))
        })
        .map(|assignment| {
            let id = text(&assignment, "/properties/roleDefinitionId").to_ascii_lowercase();
            let last = id.rsplit('/').next().unwrap_or_default().to_owned();
            let role = names
                .iter()
                .find(|role| text(role, "/id").to_ascii_lowercase().ends_with(&last));
            let name = role.map(|role| text(role, "/properties/roleName").to_owned());
            let mut shown = flat(assignment);
            if let Some(shown) = shown.as_object_mut() {
                shown.insert("roleDefinitionName".into(), name.into());
            }
            shown
        });
    let role = words.get(&["--role"]);
    Ok(shown
        .filter(|one| {
            role.is_none_or(|role| text(one, "/roleDefinitionName").eq_ignore_ascii_case(role))
        })
        .collect())
}

/// Whether a scope is another or lies below it; `…/registries/shop2` is not below `…/registries/shop`.
fn within(scope: &str, other: &str) -> bool {
    let rest = scope.strip_prefix(other.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

async fn assigned(
    azure: &impl Manager,
    scope: &str,
    who: Option<&str>,
) -> Result<Vec<Value>, AzError> {
    let filter = who.map_or_else(String::new, |who| {
        format!("&$filter={}", escaped(&format!("principalId eq '{who}'")))
    });
    let path = format!(
        "{}/providers/Microsoft.Authorization/roleAssignments?api-version={ROLES}{filter}",
        path_of(scope)?
    );
    list(azure, &path).await
}

async fn assign(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&[
        "--assignee-object-id",
        "--assignee",
        "--assignee-principal-type",
        "--role",
        "--scope",
    ])?;
    let assignee = words.need(&["--assignee-object-id", "--assignee"])?;
    let kind = words
        .get(&["--assignee-principal-type"])
        .unwrap_or("ServicePrincipal");
    let (role, scope) = (words.need(&["--role"])?, words.need(&["--scope"])?);
    put_assignment(azure, assignee, kind, role, scope)
        .await
        .map(flat)
}

async fn put_assignment(
    azure: &impl Manager,
    assignee: &str,
    kind: &str,
    role: &str,
    scope: &str,
) -> Result<Value, AzError> {
    let found = definitions(azure, scope, Some(role)).await?;
    let definition = found
        .first()
        .map(|role| text(role, "/id").to_owned())
        .ok_or_else(|| AzError::NotFound(format!("Role '{role}' doesn't exist.")))?;
    let name = assignment_name(assignee, &definition, scope);
    let path = format!(
        "{}/providers/Microsoft.Authorization/roleAssignments/{name}?api-version={ROLES}",
        path_of(scope)?
    );
    let body = json!({ "properties": {
        "roleDefinitionId": definition, "principalId": assignee, "principalType": kind
    } });
    azure.send(Method::PUT, &path, Some(&body)).await
}

async fn unassign(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&["--assignee", "--role", "--scope", "--yes", "-y"])?;
    let (who, scope) = (words.need(&["--assignee"])?, words.need(&["--scope"])?);
    let role = words.need(&["--role"])?;
    let ids: Vec<String> = definitions(azure, scope, Some(role))
        .await?
        .iter()
        .map(|role| text(role, "/id").to_ascii_lowercase())
        .collect();
    for assignment in assigned(azure, scope, Some(who)).await? {
        let of = text(&assignment, "/properties/roleDefinitionId").to_ascii_lowercase();
        if ids.contains(&of) && text(&assignment, "/properties/scope").eq_ignore_ascii_case(scope) {
            let path = format!("{}?api-version={ROLES}", text(&assignment, "/id"));
            azure.send(Method::DELETE, &path, None).await?;
        }
    }
    Ok(Value::Null)
}

/// `az aks update --attach-acr`: the kubelet's identity may pull from the registry.
async fn attach(azure: &impl Manager, words: &Words) -> Result<Value, AzError> {
    words.only(&["--resource-group", "-g", "--name", "-n", "--attach-acr"])?;
    let registry = registry(azure, words.need(&["--attach-acr"])?).await?;
    let cluster = cluster(azure, words).await?;
    let kubelet = text(
        &cluster,
        "/properties/identityProfile/kubeletidentity/objectId",
    );
    if kubelet.is_empty() {
        return Err(AzError::NotFound(
            "the cluster has no kubelet identity".to_owned(),
        ));
    }
    put_assignment(
        azure,
        kubelet,
        "ServicePrincipal",
        "AcrPull",
        text(&registry, "/id"),
    )
    .await?;
    Ok(flat(cluster))
}

/// A GUID of its own for what is assigned to whom and where: to say it twice changes nothing.
fn assignment_name(assignee: &str, role: &str, scope: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(format!("{assignee}\n{role}\n{scope}").to_ascii_lowercase());
    let digit = |half: u8| char::from_digit(u32::from(half), 16);
    let halves = hash.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    let text: String = halves.filter_map(digit).collect();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// An id is a path of a request; nothing else may be.
fn path_of(id: &str) -> Result<&str, AzError> {
    let id = id.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._()".contains(c);
    if id.starts_with('/') && id.chars().all(plain) {
        Ok(id)
    } else {
        Err(AzError::Usage(format!(
            "'{id}' is not a valid resource ID."
        )))
    }
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
