//! The tables of what is done and what must be seen: acts, steps, faults.

use serde_json::json;

use super::{Field, Value, flag, list, map, number, object, one_of, part, text, texts, words};

pub(super) fn acts() -> Vec<Field> {
    let steps = |about| list(part("step"), about);
    vec![
        ("healthy", true, part("rollout")),
        ("break", true, steps("What is done to it.")),
        ("observe", true, part("observe")),
        ("diagnose", true, part("diagnose")),
        ("fix", true, steps("What is done about it.")),
        ("verify", true, part("rollout")),
    ]
}

pub(super) fn rollout() -> Vec<Field> {
    vec![
        ("expect", true, part("rollout-states")),
        ("within", false, part("span")),
    ]
}

pub(super) fn observe() -> Vec<Field> {
    vec![
        ("for", true, part("span")),
        ("expect", true, part("observed")),
    ]
}

pub(super) fn observed() -> Vec<Field> {
    let mut fields = vec![(
        "waiting",
        true,
        text("A waiting reason that some container must have shown."),
    )];
    fields.extend(seen());
    fields
}

pub(super) fn seen() -> Vec<Field> {
    vec![
        (
            "events",
            false,
            texts("Texts, each of which must be part of some event's message."),
        ),
        (
            "attempts",
            false,
            number("The least number of failed pulls of the pod that failed most often."),
        ),
        (
            "running",
            false,
            number("The least number of pods that run at the end."),
        ),
        (
            "still-waiting",
            false,
            number("The least number of pods that still wait at the end."),
        ),
    ]
}

pub(super) fn diagnose() -> Vec<Field> {
    vec![
        ("ask", true, part("target")),
        ("expect", true, part("diagnosis")),
    ]
}

pub(super) fn diagnosis() -> Vec<Field> {
    vec![
        (
            "verdict",
            true,
            words(
                &["blocked", "pullable", "undetermined"],
                "The kind of verdict.",
            ),
        ),
        (
            "stage",
            false,
            words(
                &pullcheck::stage::Stage::ALL
                    .iter()
                    .map(|stage| stage.id())
                    .collect::<Vec<_>>(),
                "The stage at which the pull stops.",
            ),
        ),
        (
            "also",
            false,
            map(
                json!({ "type": "string" }),
                "Other images, each with the cause that must come out for it.",
            ),
        ),
    ]
}

pub(super) fn kind() -> Vec<Field> {
    vec![
        ("skip", false, text("Why it cannot be played there.")),
        (
            "kubernetes",
            false,
            json!({ "type": ["string", "number"], "description": "The oldest Kubernetes that can: 1.31." }),
        ),
        (
            "cause",
            false,
            text("The cause that must come out there, where the runtime says less."),
        ),
        ("nodes", false, number("Nodes that exist at first.")),
        ("node", false, part("node")),
        ("break", false, list(part("step"), "The steps of break.")),
        ("observe", false, part("watch")),
        ("fix", false, list(part("step"), "The steps of fix.")),
    ]
}

pub(super) fn watch() -> Vec<Field> {
    let mut fields = vec![
        ("for", false, part("span")),
        (
            "waiting",
            false,
            text("A waiting reason that some container must have shown."),
        ),
    ];
    fields.extend(seen());
    fields
}

/// Every step, by its key.
pub(super) fn steps() -> Vec<Field> {
    let node = || text("A node: node-1.");
    vec![
        (
            "set-image",
            false,
            map(
                text("An image."),
                "kubectl set image: the new image of every container of each target.",
            ),
        ),
        ("scale", false, map(number("Replicas."), "kubectl scale.")),
        ("apply", false, text("kubectl apply of Kubernetes YAML.")),
        ("delete", false, part("target")),
        (
            "delete-secret",
            false,
            text("kubectl delete secret, by name."),
        ),
        ("restart", false, part("target")),
        ("cordon", false, node()),
        ("uncordon", false, node()),
        ("add-nodes", false, part("add-nodes")),
        ("set-node", false, part("set-node")),
        ("restart-runtime", false, node()),
        ("remove-image", false, part("remove-image")),
        ("firewall", false, part("firewall")),
        ("set-dns", false, part("set-dns")),
        ("set-tls", false, part("set-tls")),
        ("service", false, part("service")),
        (
            "faults",
            false,
            list(
                part("fault"),
                "The fault script of all registries from now on; empty, it ends.",
            ),
        ),
        ("remove-role", false, part("role-grant")),
        ("assign-role", false, part("role-grant")),
        ("node-identities", false, part("node-identities")),
        ("registry-load", false, part("registry-load")),
        ("set-sku", false, part("set-sku")),
        ("registry-network", false, part("registry-network")),
        ("registry-settings", false, part("registry-settings")),
        ("push", false, part("tag-change")),
        ("untag", false, part("tag-change")),
        ("wait", false, part("span")),
        ("diagnose", false, part("diagnose-again")),
        (
            "apply-remedy",
            false,
            json!({ "anyOf": [
                words(&crate::Command::NAMES, "A command of the remedy that the checker printed."),
                object("The same, and what the reader has to fill in.", vec![
                    ("command", true, words(&crate::Command::NAMES, "The words that the command begins with.")),
                    ("with", true, map(json!({ "type": "string" }), "Values by option.")),
                ]),
            ]}),
        ),
    ]
}

pub(super) fn step() -> Value {
    one_of(steps())
}

pub(super) fn add_nodes() -> Vec<Field> {
    vec![
        ("count", true, number("How many.")),
        ("node", false, part("node")),
    ]
}

pub(super) fn set_node() -> Vec<Field> {
    vec![
        ("node", false, text("The node; every node where absent.")),
        ("to", true, part("node")),
    ]
}

pub(super) fn remove_image() -> Vec<Field> {
    vec![
        ("node", true, text("The node.")),
        ("image", true, text("The image, as it was pulled.")),
    ]
}

pub(super) fn firewall() -> Vec<Field> {
    vec![
        ("node", false, text("The node; every node where absent.")),
        (
            "to",
            true,
            text("The host whose addresses are meant, an address, or anywhere."),
        ),
        ("port", false, number("The port; 443 where absent.")),
        ("action", true, part("firewall-action")),
    ]
}

pub(super) fn firewall_action() -> Value {
    json!({ "anyOf": [
        words(&["drop", "refuse", "no-route", "unreachable", "open"], "What happens to the packets."),
        one_of(firewall_values()),
    ]})
}

pub(super) fn firewall_values() -> Vec<Field> {
    vec![
        (
            "reset-after",
            false,
            number("Lets so many bytes of the answer through, then resets."),
        ),
        (
            "stall-after",
            false,
            number("Lets so many bytes through, then says nothing any more."),
        ),
        (
            "drop-larger",
            false,
            number("Loses packets of the answer that are larger than this."),
        ),
        ("delay", false, part("span")),
        (
            "redirect",
            false,
            text("Hands the connection to another machine."),
        ),
    ]
}

pub(super) fn set_dns() -> Vec<Field> {
    vec![
        (
            "node",
            false,
            text("The node whose resolver changes; every resolver where absent."),
        ),
        ("name", true, text("The name.")),
        ("answer", true, part("dns-answer")),
    ]
}

pub(super) fn dns_answer() -> Value {
    json!({ "anyOf": [
        words(&["nx-domain", "serv-fail", "silent", "no-data", "restore"], "What the resolver does."),
        one_of(dns_values()),
    ]})
}

pub(super) fn dns_values() -> Vec<Field> {
    vec![
        ("addresses", false, texts("These addresses.")),
        (
            "alias",
            false,
            text("Another name, which is then looked up."),
        ),
    ]
}

pub(super) fn set_tls() -> Vec<Field> {
    vec![
        ("host", true, text("The host.")),
        ("mode", true, part("tls")),
    ]
}

pub(super) fn service() -> Vec<Field> {
    vec![
        ("host", true, text("The host.")),
        ("port", false, number("The port; 443 where absent.")),
        (
            "state",
            true,
            words(
                &["up", "down", "mute"],
                "What was there at first, nothing, or something that says nothing.",
            ),
        ),
    ]
}

pub(super) fn node_identities() -> Vec<Field> {
    vec![
        ("node", false, text("The node; every node where absent.")),
        (
            "identities",
            true,
            texts("kubelet, control-plane, or one of identities."),
        ),
    ]
}

pub(super) fn registry_load() -> Vec<Field> {
    vec![
        ("registry", true, text("The registry's name.")),
        (
            "who",
            true,
            text("The identity that the load is counted for."),
        ),
        ("requests-per-minute", true, number("Requests a minute.")),
    ]
}

pub(super) fn set_sku() -> Vec<Field> {
    vec![
        ("registry", true, text("The registry's name.")),
        ("sku", true, part("sku")),
    ]
}

pub(super) fn registry_network() -> Vec<Field> {
    vec![
        ("registry", true, text("The registry's name.")),
        (
            "public",
            false,
            flag("Whether it is reachable other than through private endpoints."),
        ),
        (
            "allow-only",
            false,
            texts("The addresses and ranges that are let in; everyone where absent."),
        ),
    ]
}

pub(super) fn registry_settings() -> Vec<Field> {
    vec![
        ("registry", true, text("The registry's name.")),
        (
            "admin-user",
            false,
            flag("Whether its admin user can sign in."),
        ),
        ("anonymous-pull", false, flag("Whether anybody can pull.")),
    ]
}

pub(super) fn tag_change() -> Vec<Field> {
    vec![
        ("host", true, text("The registry's host.")),
        (
            "image",
            true,
            text("team/web:v2, with platforms and layers where it is pushed."),
        ),
    ]
}

pub(super) fn diagnose_again() -> Vec<Field> {
    vec![
        ("ask", true, part("target")),
        ("cause", true, text("The cause that must come out.")),
        ("expect", true, part("diagnosis")),
    ]
}

pub(super) fn fault() -> Vec<Field> {
    vec![
        ("name", false, text("Shown in the journal.")),
        ("match", false, part("fault-match")),
        ("times", false, number("How often it acts.")),
        ("action", true, part("fault-action")),
    ]
}

/// Fields that docs/faults.md tells of: any value, the loader judges it.
pub(super) fn as_in_faults(names: &[&'static str]) -> Vec<Field> {
    names
        .iter()
        .map(|name| (*name, false, json!({ "description": "docs/faults.md" })))
        .collect()
}

pub(super) fn fault_match() -> Vec<Field> {
    as_in_faults(&[
        "host",
        "route",
        "method",
        "repository",
        "reference",
        "client",
        "path",
        "ranged",
        "authorized",
        "nth",
        "probability",
        "from",
        "until",
        "flap",
    ])
}

pub(super) fn fault_action() -> Vec<Field> {
    as_in_faults(&[
        "delay",
        "status",
        "code",
        "message",
        "detail",
        "body",
        "body-size",
        "content-type",
        "headers",
        "remove-headers",
        "challenge",
        "challenges",
        "retry-after",
        "token",
        "redirect",
        "end",
        "cut-after",
        "cut",
        "bandwidth",
        "pace",
        "corrupt",
        "bad-json",
        "wrong-digest",
        "ignore-range",
        "wrong-content-range",
        "quota",
    ])
}
