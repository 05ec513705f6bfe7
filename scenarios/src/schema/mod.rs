//! The JSON Schema of the scenario format, for editors: docs/schema/scenario.json.
//!
//! Each table below stands for one type of `spec`; a test asks the types themselves for their fields
//! and compares. Where the format has a text with rules of its own (a length of time, an image line),
//! the schema says "text": the loader is the judge, and points at the line.

mod acts;
mod world;

use serde_json::{Map, Value, json};

use self::acts::{
    acts, add_nodes, diagnose, diagnose_again, diagnosis, dns_answer, fault, fault_action,
    fault_match, firewall, firewall_action, kind, node_identities, observe, observed,
    registry_load, registry_network, registry_settings, remove_image, rollout, service, set_dns,
    set_node, set_sku, set_tls, step, tag_change, watch,
};
use self::world::{
    account, azure, azure_cluster, azure_registry, checker, cluster, doing, machine, mirrors, node,
    private_endpoint, proxy, proxy_rules, pull_limit, registry, role_grant, scenario, scoped_token,
    twin,
};

/// A field: name, whether it must be there, what it is.
type Field = (&'static str, bool, Value);

/// The whole schema.
pub fn schema() -> Value {
    let mut whole = object(
        "A failure of image pulls, from a healthy cluster to a verified fix.",
        scenario(),
    );
    if let Some(whole) = whole.as_object_mut() {
        whole.insert(
            "$schema".into(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        whole.insert("title".into(), "A scenario of pullcheck".into());
        let mut parts = Map::new();
        for (name, about, fields) in parts_of_the_format() {
            parts.insert(name.to_owned(), object(about, fields));
        }
        parts.insert(
            "target".into(),
            json!({
                "type": "string", "pattern": "^(deployment|deploy|pod|po)/[a-z0-9.-]+$",
                "description": "What a user names: deployment/web, pod/web-1."
            }),
        );
        parts.insert("span".into(), json!({
            "type": "string", "description": "A length of time between 1s and 24h: 30s, 12m, 1h 5m.",
            "examples": ["30s", "12m"]
        }));
        parts.insert("step".into(), step());
        parts.insert(
            "tls".into(),
            words(
                &[
                    "valid",
                    "expired",
                    "not-yet-valid",
                    "wrong-name",
                    "self-signed",
                    "unknown-ca",
                    "incomplete-chain",
                    "client-certificate",
                    "old-version",
                    "no-cipher",
                    "plain-http",
                ],
                "What is wrong with TLS.",
            ),
        );
        parts.insert(
            "sku".into(),
            words(
                &["Basic", "Standard", "Premium"],
                "A tier of Azure Container Registry.",
            ),
        );
        parts.insert("firewall-action".into(), firewall_action());
        parts.insert("dns-answer".into(), dns_answer());
        parts.insert("doing".into(), doing());
        parts.insert("rollout-states".into(), map(words(
            &["available", "rolled-out"],
            "available: as many replicas as wanted; rolled-out: the latest change everywhere, by digest.",
        ), "State by workload."));
        whole.insert("$defs".into(), parts.into());
    }
    whole
}

/// The parts that are objects, each with its fields.
fn parts_of_the_format() -> Vec<(&'static str, &'static str, Vec<Field>)> {
    vec![
        (
            "twin",
            "The scenario that shows the same words and has another cause.",
            twin(),
        ),
        (
            "registry",
            "One registry host and what it holds.",
            registry(),
        ),
        ("account", "An account of a registry.", account()),
        (
            "pull-limit",
            "How many manifests may be fetched.",
            pull_limit(),
        ),
        (
            "machine",
            "A machine on the network that is no registry.",
            machine(),
        ),
        ("proxy-rules", "Which tunnels a proxy opens.", proxy_rules()),
        ("azure", "A tenant with one AKS cluster.", azure()),
        ("azure-cluster", "A managed cluster.", azure_cluster()),
        (
            "azure-registry",
            "A container registry of Azure.",
            azure_registry(),
        ),
        ("scoped-token", "A repository-scoped token.", scoped_token()),
        (
            "private-endpoint",
            "A private endpoint.",
            private_endpoint(),
        ),
        ("role-grant", "A role assignment.", role_grant()),
        ("cluster", "Nodes and Kubernetes objects.", cluster()),
        (
            "node",
            "Settings of a node; what is not said stays as it is.",
            node(),
        ),
        ("mirrors", "hosts.toml of one registry.", mirrors()),
        ("proxy", "The proxy in a runtime's environment.", proxy()),
        (
            "checker",
            "What the person who runs the checker has.",
            checker(),
        ),
        ("acts", "The six acts, in order.", acts()),
        ("rollout", "States that workloads must reach.", rollout()),
        (
            "observe",
            "What must be seen while the failure lasts.",
            observe(),
        ),
        (
            "observed",
            "Things that can be seen from outside.",
            observed(),
        ),
        ("diagnose", "What the checker is asked.", diagnose()),
        ("diagnosis", "What the checker must answer.", diagnosis()),
        ("kind", "What differs on a real cluster.", kind()),
        ("watch", "What is watched for on a real cluster.", watch()),
        ("add-nodes", "Nodes that join.", add_nodes()),
        (
            "set-node",
            "A change of a node's configuration.",
            set_node(),
        ),
        (
            "remove-image",
            "An image that goes from a node.",
            remove_image(),
        ),
        (
            "firewall",
            "A rule in a packet filter of nodes.",
            firewall(),
        ),
        ("set-dns", "What a name resolves to.", set_dns()),
        (
            "set-tls",
            "What is wrong with the TLS of a host.",
            set_tls(),
        ),
        ("service", "What listens at a host's port.", service()),
        (
            "node-identities",
            "Identities of a node.",
            node_identities(),
        ),
        (
            "registry-load",
            "Reads that others take from a registry's quota.",
            registry_load(),
        ),
        ("set-sku", "Changes a registry's tier.", set_sku()),
        (
            "registry-network",
            "Changes who may reach a registry.",
            registry_network(),
        ),
        (
            "registry-settings",
            "Changes who may sign in to a registry.",
            registry_settings(),
        ),
        ("tag-change", "A tag that comes or goes.", tag_change()),
        (
            "diagnose-again",
            "A further question to the checker.",
            diagnose_again(),
        ),
        (
            "fault",
            "A rule of the fault script: docs/faults.md.",
            fault(),
        ),
        ("fault-match", "When a rule is meant.", fault_match()),
        ("fault-action", "What a rule does.", fault_action()),
    ]
}

fn object(about: &str, fields: Vec<Field>) -> Value {
    let required: Vec<&str> = fields
        .iter()
        .filter(|(_, must, _)| *must)
        .map(|(name, _, _)| *name)
        .collect();
    let properties: Map<String, Value> = fields
        .into_iter()
        .map(|(name, _, value)| (name.to_owned(), value))
        .collect();
    let mut object = json!({
        "type": "object", "description": about, "additionalProperties": false, "properties": properties
    });
    if let (Some(object), false) = (object.as_object_mut(), required.is_empty()) {
        object.insert("required".into(), required.into());
    }
    object
}

fn part(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn flag(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

fn number(about: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": about })
}

fn list(items: impl Into<Value>, about: &str) -> Value {
    json!({ "type": "array", "items": items.into(), "description": about })
}

fn map(values: impl Into<Value>, about: &str) -> Value {
    json!({ "type": "object", "additionalProperties": values.into(), "description": about })
}

fn words(words: &[&str], about: &str) -> Value {
    json!({ "enum": words, "description": about })
}

/// One key of these, with its value.
fn one_of(fields: Vec<Field>) -> Value {
    let mut one = object("Exactly one of these.", fields);
    if let Some(one) = one.as_object_mut() {
        one.insert("minProperties".into(), 1.into());
        one.insert("maxProperties".into(), 1.into());
    }
    one
}

fn texts(about: &str) -> Value {
    list(json!({ "type": "string" }), about)
}

#[cfg(test)]
mod tests;
