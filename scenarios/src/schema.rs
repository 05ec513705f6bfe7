//! The JSON Schema of the scenario format, for editors: docs/schema/scenario.json.
//!
//! Each table below stands for one type of `spec`; a test asks the types themselves for their fields
//! and compares. Where the format has a text with rules of its own (a length of time, an image line),
//! the schema says "text": the loader is the judge, and points at the line.

use serde_json::{Map, Value, json};

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

fn texts(about: &str) -> Value {
    list(json!({ "type": "string" }), about)
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

fn scenario() -> Vec<Field> {
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

fn twin() -> Vec<Field> {
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

fn registry() -> Vec<Field> {
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

fn account() -> Vec<Field> {
    vec![
        ("password", true, text("Its password.")),
        ("rights", false, texts("What it may do: *, team/*:pull.")),
        ("until", false, part("span")),
    ]
}

fn pull_limit() -> Vec<Field> {
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

fn machine() -> Vec<Field> {
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

fn doing() -> Value {
    json!({ "anyOf": [
        words(&["nothing", "intercept"], "It is there and nothing listens; or it takes TLS connections over."),
        one_of(doing_values()),
    ]})
}

fn doing_values() -> Vec<Field> {
    vec![("proxy", false, part("proxy-rules"))]
}

fn proxy_rules() -> Vec<Field> {
    vec![
        ("refuses", false, texts("Hosts that it refuses with 403.")),
        (
            "wants-user",
            false,
            flag("Whether it wants a user and a password (407)."),
        ),
    ]
}

fn azure() -> Vec<Field> {
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

fn azure_cluster() -> Vec<Field> {
    vec![
        ("name", true, text("Its name.")),
        ("resource-group", true, text("Its resource group.")),
    ]
}

fn azure_registry() -> Vec<Field> {
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

fn scoped_token() -> Vec<Field> {
    vec![
        ("password", true, text("Its password.")),
        ("reads", true, texts("The repositories that it may read.")),
        ("until", false, part("span")),
    ]
}

fn private_endpoint() -> Vec<Field> {
    vec![
        ("name", true, text("Its name.")),
        (
            "subnets",
            true,
            texts("The subnets whose clients come through it."),
        ),
    ]
}

fn role_grant() -> Vec<Field> {
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

fn cluster() -> Vec<Field> {
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

fn node() -> Vec<Field> {
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

fn mirrors() -> Vec<Field> {
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

fn proxy() -> Vec<Field> {
    vec![
        (
            "https",
            false,
            text("HTTPS_PROXY, as http://proxy.example:3128; none takes it away."),
        ),
        ("no-proxy", false, texts("NO_PROXY.")),
    ]
}

fn checker() -> Vec<Field> {
    vec![
        ("arm", false, flag("A token for Azure Resource Manager.")),
        (
            "hosts-of",
            false,
            text("The node whose hosts.toml files the user has at hand."),
        ),
    ]
}

fn acts() -> Vec<Field> {
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

fn rollout() -> Vec<Field> {
    vec![
        ("expect", true, part("rollout-states")),
        ("within", false, part("span")),
    ]
}

fn observe() -> Vec<Field> {
    vec![
        ("for", true, part("span")),
        ("expect", true, part("observed")),
    ]
}

fn observed() -> Vec<Field> {
    let mut fields = vec![(
        "waiting",
        true,
        text("A waiting reason that some container must have shown."),
    )];
    fields.extend(seen());
    fields
}

fn seen() -> Vec<Field> {
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

fn diagnose() -> Vec<Field> {
    vec![
        ("ask", true, part("target")),
        ("expect", true, part("diagnosis")),
    ]
}

fn diagnosis() -> Vec<Field> {
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

fn kind() -> Vec<Field> {
    vec![
        ("skip", false, text("Why it cannot be played there.")),
        ("nodes", false, number("Nodes that exist at first.")),
        ("break", false, list(part("step"), "The steps of break.")),
        ("observe", false, part("watch")),
        ("fix", false, list(part("step"), "The steps of fix.")),
    ]
}

fn watch() -> Vec<Field> {
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
fn steps() -> Vec<Field> {
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

fn step() -> Value {
    one_of(steps())
}

fn add_nodes() -> Vec<Field> {
    vec![
        ("count", true, number("How many.")),
        ("node", false, part("node")),
    ]
}

fn set_node() -> Vec<Field> {
    vec![
        ("node", false, text("The node; every node where absent.")),
        ("to", true, part("node")),
    ]
}

fn remove_image() -> Vec<Field> {
    vec![
        ("node", true, text("The node.")),
        ("image", true, text("The image, as it was pulled.")),
    ]
}

fn firewall() -> Vec<Field> {
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

fn firewall_action() -> Value {
    json!({ "anyOf": [
        words(&["drop", "refuse", "no-route", "unreachable", "open"], "What happens to the packets."),
        one_of(firewall_values()),
    ]})
}

fn firewall_values() -> Vec<Field> {
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

fn set_dns() -> Vec<Field> {
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

fn dns_answer() -> Value {
    json!({ "anyOf": [
        words(&["nx-domain", "serv-fail", "silent", "no-data", "restore"], "What the resolver does."),
        one_of(dns_values()),
    ]})
}

fn dns_values() -> Vec<Field> {
    vec![
        ("addresses", false, texts("These addresses.")),
        (
            "alias",
            false,
            text("Another name, which is then looked up."),
        ),
    ]
}

fn set_tls() -> Vec<Field> {
    vec![
        ("host", true, text("The host.")),
        ("mode", true, part("tls")),
    ]
}

fn service() -> Vec<Field> {
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

fn node_identities() -> Vec<Field> {
    vec![
        ("node", false, text("The node; every node where absent.")),
        (
            "identities",
            true,
            texts("kubelet, control-plane, or one of identities."),
        ),
    ]
}

fn registry_load() -> Vec<Field> {
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

fn set_sku() -> Vec<Field> {
    vec![
        ("registry", true, text("The registry's name.")),
        ("sku", true, part("sku")),
    ]
}

fn registry_network() -> Vec<Field> {
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

fn registry_settings() -> Vec<Field> {
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

fn tag_change() -> Vec<Field> {
    vec![
        ("host", true, text("The registry's host.")),
        (
            "image",
            true,
            text("team/web:v2, with platforms and layers where it is pushed."),
        ),
    ]
}

fn diagnose_again() -> Vec<Field> {
    vec![
        ("ask", true, part("target")),
        ("cause", true, text("The cause that must come out.")),
        ("expect", true, part("diagnosis")),
    ]
}

fn fault() -> Vec<Field> {
    vec![
        ("name", false, text("Shown in the journal.")),
        ("match", false, part("fault-match")),
        ("times", false, number("How often it acts.")),
        ("action", true, part("fault-action")),
    ]
}

/// Fields that docs/faults.md tells of: any value, the loader judges it.
fn as_in_faults(names: &[&'static str]) -> Vec<Field> {
    names
        .iter()
        .map(|name| (*name, false, json!({ "description": "docs/faults.md" })))
        .collect()
}

fn fault_match() -> Vec<Field> {
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

fn fault_action() -> Vec<Field> {
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

#[cfg(test)]
#[path = "schema/tests.rs"]
mod tests;
