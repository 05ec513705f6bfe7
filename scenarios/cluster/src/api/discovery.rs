//! Discovery: which groups, versions and resources there are, in the plain and in the aggregated
//! form; and which version of Kubernetes this is.

use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{Api, respond, scale};
use crate::store::Kind;

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// One entry of discovery: a resource or a subresource.
struct Entry {
    /// `pods` or `pods/log`.
    name: String,
    singular: &'static str,
    namespaced: bool,
    /// Group, version and kind, when they are not those of the list.
    foreign: Option<(&'static str, &'static str)>,
    kind: &'static str,
    verbs: Vec<&'static str>,
    short: &'static [&'static str],
    all: bool,
}

/// The groups besides the core group, in the order they are listed.
const GROUPS: [&str; 7] = [
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "batch",
    "coordination.k8s.io",
    "policy",
];

/// `/version`.
pub(super) fn version(api: &Api) -> Value {
    let minor = api.minor();
    json!({
        "major": "1",
        "minor": minor.to_string(),
        "gitVersion": api.version(),
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.25.0",
        "compiler": "gc",
        "platform": "linux/amd64"
    })
}

/// `/api…` and `/apis…`.
pub(super) fn answer(path: &[String], headers: &HeaderMap) -> Response {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let body = match parts.as_slice() {
        [root @ ("api" | "apis")] => {
            if let Some(version) = aggregated_version(headers) {
                return aggregated(version, *root == "api");
            }
            if *root == "api" {
                json!({
                    "kind": "APIVersions",
                    "versions": ["v1"],
                    "serverAddressByClientCIDRs":
                        [{ "clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443" }]
                })
            } else {
                let groups: Vec<Value> = GROUPS.iter().map(|group| group_item(group)).collect();
                json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
            }
        }
        ["api", "v1"] => resource_list("", "v1"),
        ["apis", group] if GROUPS.contains(group) => {
            let mut item = group_item(group);
            if let Some(item) = item.as_object_mut() {
                item.shift_insert(0, "kind".into(), "APIGroup".into());
                item.shift_insert(1, "apiVersion".into(), "v1".into());
            }
            item
        }
        ["apis", group, "v1"] if GROUPS.contains(group) => {
            resource_list(group, &format!("{group}/v1"))
        }
        _ => return respond::no_page(),
    };
    respond::json_body(200, &body)
}

fn group_item(group: &str) -> Value {
    let version = json!({ "groupVersion": format!("{group}/v1"), "version": "v1" });
    json!({ "name": group, "versions": [version], "preferredVersion": version })
}

fn entries(group: &str) -> Vec<Entry> {
    let review = |name: &str, singular, kind| Entry {
        name: name.into(),
        singular,
        namespaced: false,
        foreign: None,
        kind,
        verbs: vec!["create"],
        short: &[],
        all: false,
    };
    match group {
        "authentication.k8s.io" => {
            return vec![review(
                "selfsubjectreviews",
                "selfsubjectreview",
                "SelfSubjectReview",
            )];
        }
        "authorization.k8s.io" => {
            return vec![
                review(
                    "selfsubjectaccessreviews",
                    "selfsubjectaccessreview",
                    "SelfSubjectAccessReview",
                ),
                review(
                    "selfsubjectrulesreviews",
                    "selfsubjectrulesreview",
                    "SelfSubjectRulesReview",
                ),
            ];
        }
        _ => {}
    }
    let mut entries = Vec::new();
    for kind in Kind::ALL {
        let wire = kind.wire();
        let here = wire.group == group || (group == "events.k8s.io" && kind == Kind::Event);
        if !here {
            continue;
        }
        let sub = |name: &str, of: &'static str, verbs: &[&'static str], foreign| Entry {
            name: format!("{}/{name}", wire.plural),
            singular: "",
            namespaced: wire.namespaced,
            foreign,
            kind: of,
            verbs: verbs.to_vec(),
            short: &[],
            all: false,
        };
        entries.push(Entry {
            name: wire.plural.into(),
            singular: wire.singular,
            namespaced: wire.namespaced,
            foreign: None,
            kind: wire.kind,
            verbs: VERBS.to_vec(),
            short: wire.short,
            all: wire.in_all,
        });
        let changing = ["get", "patch", "update"];
        if kind == Kind::Pod {
            entries.push(sub(
                "eviction",
                "Eviction",
                &["create"],
                Some(("policy", "v1")),
            ));
            entries.push(sub("log", wire.kind, &["get"], None));
        }
        if scale::is_scalable(kind) {
            let foreign = Some(("autoscaling", "v1"));
            entries.push(sub("scale", "Scale", &changing, foreign));
        }
        if kind == Kind::Namespace {
            entries.push(sub("finalize", wire.kind, &["update"], None));
        }
        if wire.has_status {
            entries.push(sub("status", wire.kind, &changing, None));
        }
    }
    entries
}

fn resource_list(group: &str, group_version: &str) -> Value {
    let resources: Vec<Value> = entries(group)
        .into_iter()
        .map(|entry| {
            let mut item = json!({
                "name": entry.name,
                "singularName": entry.singular,
                "namespaced": entry.namespaced,
            });
            if let Some(item) = item.as_object_mut() {
                if let Some((group, version)) = entry.foreign {
                    item.insert("group".into(), group.into());
                    item.insert("version".into(), version.into());
                }
                item.insert("kind".into(), entry.kind.into());
                item.insert("verbs".into(), json!(entry.verbs));
                if !entry.short.is_empty() {
                    item.insert("shortNames".into(), json!(entry.short));
                }
                if entry.all {
                    item.insert("categories".into(), json!(["all"]));
                }
            }
            item
        })
        .collect();
    json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources
    })
}

/// The version of the aggregated form the client takes first, if it takes one before plain JSON.
fn aggregated_version(headers: &HeaderMap) -> Option<&'static str> {
    let accept = headers.get(ACCEPT)?.to_str().ok()?;
    for clause in accept.split(',') {
        let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
        if parts.first().copied() != Some("application/json") {
            continue;
        }
        let has = |part: &str| parts.contains(&part);
        if has("g=apidiscovery.k8s.io") && has("as=APIGroupDiscoveryList") {
            if has("v=v2") {
                return Some("v2");
            }
            if has("v=v2beta1") {
                return Some("v2beta1");
            }
            continue;
        }
        return None;
    }
    None
}

fn aggregated(version: &str, core: bool) -> Response {
    let groups: Vec<&str> = if core { vec![""] } else { GROUPS.to_vec() };
    let items: Vec<Value> = groups.into_iter().map(discovered).collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items
    });
    let mut response = respond::json_body(200, &body);
    let media =
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    if let Ok(media) = HeaderValue::from_str(&media) {
        response.headers_mut().insert(CONTENT_TYPE, media);
    }
    response
        .headers_mut()
        .insert(VARY, HeaderValue::from_static("Accept"));
    response
}

fn discovered(group: &str) -> Value {
    let kind_of = |entry: &Entry| {
        let (group, version) = entry.foreign.unwrap_or((group, "v1"));
        json!({ "group": group, "version": version, "kind": entry.kind })
    };
    let all = entries(group);
    let resources: Vec<Value> = all
        .iter()
        .filter(|entry| !entry.name.contains('/'))
        .map(|entry| {
            let prefix = format!("{}/", entry.name);
            let subresources: Vec<Value> = all
                .iter()
                .filter_map(|sub| Some((sub, sub.name.strip_prefix(&prefix)?)))
                .map(|(sub, name)| {
                    json!({ "subresource": name, "responseKind": kind_of(sub), "verbs": sub.verbs })
                })
                .collect();
            let mut item = json!({
                "resource": entry.name,
                "responseKind": kind_of(entry),
                "scope": if entry.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": entry.singular,
                "verbs": entry.verbs,
            });
            if let Some(item) = item.as_object_mut() {
                if !entry.short.is_empty() {
                    item.insert("shortNames".into(), json!(entry.short));
                }
                if entry.all {
                    item.insert("categories".into(), json!(["all"]));
                }
                if !subresources.is_empty() {
                    item.insert("subresources".into(), subresources.into());
                }
            }
            item
        })
        .collect();
    let versions = json!([{ "version": "v1", "resources": resources, "freshness": "Current" }]);
    if group.is_empty() {
        // The core group has no name.
        json!({ "metadata": { "creationTimestamp": null }, "versions": versions })
    } else {
        json!({ "metadata": { "name": group, "creationTimestamp": null }, "versions": versions })
    }
}
