//! The tables of what is there: registries, machines, the tenant, the cluster.

use serde_json::json;

use super::{Field, Value, flag, list, map, number, one_of, part, text, texts, words};

pub(super) fn scenario() -> Vec<Field> {
    vec![
        (
            "id",
            true,
            json!({ "type": "string", "pattern": "^[a-z0-9-]{1,60}$", "description": "The stable name; also the file's." }),
        ),
        (
            "title",
            true,
            text("One line that does not give the cause away."),
        ),
        (
            "teaches",
            true,
            text("What someone who has seen it knows afterwards."),
        ),
        (
            "cause",
            true,
            words(
                &pullcheck::cause::Cause::ALL
                    .iter()
                    .map(|cause| cause.id())
                    .collect::<Vec<_>>(),
                "What the checker must find. It never sees this line.",
            ),
        ),
        ("twin", false, part("twin")),
        (
            "registries",
            true,
            list(
                part("registry"),
                "The registries that exist, each at its own host.",
            ),
        ),
        (
            "machines",
            false,
            list(part("machine"), "Other machines on the network."),
        ),
        (
            "dns",
            false,
            map(
                part("dns-answer"),
                "What names resolve to from the beginning.",
            ),
        ),
        (
            "azure",
            false,
            json!({ "anyOf": [part("azure"), { "type": "null" }] }),
        ),
        ("cluster", true, part("cluster")),
        ("checker", false, part("checker")),
        ("acts", true, part("acts")),
        ("kind", false, part("kind")),
        ("hints", false, texts("For workshops, from vague to plain.")),
    ]
}

pub(super) fn twin() -> Vec<Field> {
    vec![
        ("scenario", true, text("Its id.")),
        (
            "words",
            true,
            text("Words that both show, in a status or an event."),
        ),
        (
            "because",
            false,
            text("Why this one is the nearest, where the other has another twin."),
        ),
    ]
}

pub(super) fn registry() -> Vec<Field> {
    vec![
        (
            "host",
            true,
            text("The host name in references, with the port where it is not 443."),
        ),
        (
            "images",
            false,
            texts("Images, each in one line: team/web:v1 linux/amd64,linux/arm64 2x64KiB."),
        ),
        (
            "access",
            false,
            words(
                &["open", "anonymous-token", "token", "basic", "acr"],
                "Who may pull.",
            ),
        ),
        (
            "users",
            false,
            map(part("account"), "Accounts, for access token and basic."),
        ),
        (
            "anonymous",
            false,
            texts("What anyone may pull without an account: public/*."),
        ),
        (
            "token-host",
            false,
            text("The host of the token service, where it is not the registry itself."),
        ),
        (
            "habits",
            false,
            words(
                &[
                    "plain",
                    "docker-hub",
                    "ecr",
                    "artifact-registry",
                    "ghcr",
                    "quay",
                ],
                "Whose habits it has.",
            ),
        ),
        (
            "blobs-at",
            false,
            text("The host that layers are fetched from, by a redirect."),
        ),
        ("tls", false, part("tls")),
        (
            "plain-http",
            false,
            flag("Whether it speaks plain HTTP at its port."),
        ),
        (
            "addresses",
            false,
            texts("Further addresses, such as that of a private endpoint."),
        ),
        ("pull-limit", false, part("pull-limit")),
    ]
}

pub(super) fn account() -> Vec<Field> {
    vec![
        ("password", true, text("Its password.")),
        ("rights", false, texts("What it may do: *, team/*:pull.")),
        ("until", false, part("span")),
    ]
}

pub(super) fn pull_limit() -> Vec<Field> {
    vec![
        (
            "anonymous",
            true,
            number("For each address without a name."),
        ),
        ("named", true, number("For each account.")),
        ("window", true, part("span")),
    ]
}

pub(super) fn machine() -> Vec<Field> {
    vec![
        (
            "name",
            true,
            text("Its name, which resolves to its address."),
        ),
        (
            "address",
            false,
            text("Its address; one of its own where none is given."),
        ),
        ("does", true, part("doing")),
    ]
}

pub(super) fn doing() -> Value {
    json!({ "anyOf": [
        words(&["nothing", "intercept"], "It is there and nothing listens; or it takes TLS connections over."),
        one_of(doing_values()),
    ]})
}

pub(super) fn doing_values() -> Vec<Field> {
    vec![("proxy", false, part("proxy-rules"))]
}

pub(super) fn proxy_rules() -> Vec<Field> {
    vec![
        ("refuses", false, texts("Hosts that it refuses with 403.")),
        (
            "wants-user",
            false,
            flag("Whether it wants a user and a password (407)."),
        ),
    ]
}

pub(super) fn azure() -> Vec<Field> {
    vec![
        ("cluster", true, part("azure-cluster")),
        (
            "registries",
            true,
            list(part("azure-registry"), "Container registries."),
        ),
        (
            "identities",
            false,
            texts("Identities beside the cluster's two, by name."),
        ),
        (
            "roles",
            false,
            list(
                part("role-grant"),
                "Who has which role where, when the first act begins.",
            ),
        ),
    ]
}

pub(super) fn azure_cluster() -> Vec<Field> {
    vec![
        ("name", true, text("Its name.")),
        ("resource-group", true, text("Its resource group.")),
    ]
}

pub(super) fn azure_registry() -> Vec<Field> {
    vec![
        (
            "name",
            true,
            text("Its name; the login server is NAME.azurecr.io."),
        ),
        ("resource-group", true, text("Its resource group.")),
        ("sku", false, part("sku")),
        (
            "abac",
            false,
            flag("Whether its roles are those of repositories (ABAC)."),
        ),
        (
            "admin-user",
            false,
            flag("Whether its admin user can sign in."),
        ),
        ("anonymous-pull", false, flag("Whether anybody can pull.")),
        (
            "arm-audience",
            false,
            flag("Whether tokens for Azure Resource Manager are taken at the exchange."),
        ),
        (
            "private-endpoints",
            false,
            list(part("private-endpoint"), "Private endpoints."),
        ),
        (
            "data-endpoint",
            false,
            flag("Whether layers come from NAME.eastus.data.azurecr.io."),
        ),
        (
            "blobs-at",
            false,
            text("The storage account that layers come from."),
        ),
        (
            "tokens",
            false,
            map(part("scoped-token"), "Repository-scoped tokens, by name."),
        ),
    ]
}

pub(super) fn scoped_token() -> Vec<Field> {
    vec![
        ("password", true, text("Its password.")),
        ("reads", true, texts("The repositories that it may read.")),
        ("until", false, part("span")),
    ]
}

pub(super) fn private_endpoint() -> Vec<Field> {
    vec![
        ("name", true, text("Its name.")),
        (
            "subnets",
            true,
            texts("The subnets whose clients come through it."),
        ),
    ]
}

pub(super) fn role_grant() -> Vec<Field> {
    vec![
        (
            "who",
            true,
            text("kubelet, control-plane, or one of identities."),
        ),
        ("role", true, text("The role's name, such as AcrPull.")),
        (
            "on",
            true,
            json!({
                "type": "string", "pattern": "^(subscription|(registry|resource-group)/.+)$",
                "description": "registry/NAME, resource-group/NAME or subscription."
            }),
        ),
        (
            "when",
            false,
            text("A condition on the repositories. Only in azure.roles."),
        ),
    ]
}

pub(super) fn cluster() -> Vec<Field> {
    vec![
        (
            "nodes",
            true,
            json!({ "type": "integer", "minimum": 1, "maximum": 5000, "description": "Nodes that exist at first." }),
        ),
        (
            "egress",
            false,
            text("The public address that the nodes go out with."),
        ),
        ("node", false, part("node")),
        (
            "nodes-by-name",
            false,
            map(part("node"), "What single nodes are like beside that."),
        ),
        (
            "manifests",
            true,
            text("Ordinary Kubernetes YAML, as for kubectl apply."),
        ),
    ]
}

pub(super) fn node() -> Vec<Field> {
    let joins = "Only for a node that joins.";
    vec![
        (
            "architecture",
            false,
            text("amd64, arm64. Only for a node that joins."),
        ),
        ("labels", false, map(json!({ "type": "string" }), joins)),
        ("serialize-image-pulls", false, flag(joins)),
        (
            "registry-qps",
            false,
            json!({ "type": "number", "minimum": 0, "description": joins }),
        ),
        ("registry-burst", false, number(joins)),
        (
            "sandbox-image",
            false,
            text("An image that sandboxes are made of. Only for a node that joins."),
        ),
        (
            "credential-provider",
            false,
            flag("Whether the credential provider works. Only for a node that joins."),
        ),
        (
            "names-identity",
            false,
            flag("Whether its configuration names the identity. Only for a node that joins."),
        ),
        (
            "trusts-registries",
            false,
            flag("Whether it trusts the authority of the registries' certificates."),
        ),
        (
            "mirrors",
            false,
            map(
                part("mirrors"),
                "hosts.toml by registry; an entry without mirrors takes the file away.",
            ),
        ),
        (
            "clock",
            false,
            text("By how much the clock is wrong: -3h, 2d, 0s."),
        ),
        (
            "disk",
            false,
            text("The room for images: 40MiB, unlimited."),
        ),
        ("proxy", false, part("proxy")),
    ]
}

pub(super) fn mirrors() -> Vec<Field> {
    vec![
        (
            "hosts",
            false,
            texts("The hosts that are asked first, in order."),
        ),
        (
            "server",
            false,
            text("Where the registry itself is, if not at its own name."),
        ),
    ]
}

pub(super) fn proxy() -> Vec<Field> {
    vec![
        (
            "https",
            false,
            text("HTTPS_PROXY, as http://proxy.example:3128; none takes it away."),
        ),
        ("no-proxy", false, texts("NO_PROXY.")),
    ]
}

pub(super) fn checker() -> Vec<Field> {
    vec![
        ("arm", false, flag("A token for Azure Resource Manager.")),
        (
            "hosts-of",
            false,
            text("The node whose hosts.toml files the user has at hand."),
        ),
    ]
}
