//! What the API server refuses with 422: fields that are missing, wrong or may not change.

use serde_json::{Map, Value};

use super::select::LabelSelector;
use crate::store::{ApiError, FieldCause, Kind};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const POD_UPDATES: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

type Causes = Vec<FieldCause>;

/// Checks an object that is about to be stored; `old` is the one it replaces.
pub(super) fn check(kind: Kind, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
    let mut causes = Vec::new();
    metadata(kind, object, &mut causes);
    match kind {
        Kind::Pod => {
            pod_spec(object.get("spec"), "spec", &mut causes);
            if let Some(old) = old {
                pod_update(object, old, &mut causes);
            }
        }
        Kind::Deployment | Kind::ReplicaSet | Kind::DaemonSet | Kind::StatefulSet => {
            workload(object, old, &mut causes);
        }
        Kind::Job => job(object, "", &mut causes),
        Kind::CronJob => {
            if text(object.get("spec").unwrap_or(&Value::Null), "schedule")
                .is_none_or(str::is_empty)
            {
                causes.push(required("spec.schedule".into()));
            }
            job(object, "jobTemplate.spec.", &mut causes);
        }
        Kind::PodDisruptionBudget => budget(object, &mut causes),
        Kind::Secret => secret(object, old, &mut causes),
        Kind::ConfigMap => config_map(object, old, &mut causes),
        Kind::Event => event(object, &mut causes),
        Kind::Namespace | Kind::Node | Kind::ServiceAccount | Kind::Service | Kind::Lease => {}
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = super::admission::spoken_name(object);
    Err(ApiError::invalid(kind, &name, &causes))
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get(field).and_then(Value::as_str)
}

fn required(field: String) -> FieldCause {
    FieldCause::required(field, "")
}

fn metadata(kind: Kind, object: &Value, causes: &mut Causes) {
    let Some(meta) = object.get("metadata") else {
        return;
    };
    let (valid, why): (fn(&str) -> bool, &str) = match kind {
        Kind::Namespace | Kind::Service => (is_label, LABEL),
        _ => (is_subdomain, SUBDOMAIN),
    };
    if let Some(name) = text(meta, "name").filter(|name| !name.is_empty()) {
        // Event names come from generators that allow more; the server lets them pass.
        if kind != Kind::Event && !valid(name) {
            causes.push(FieldCause::invalid("metadata.name", &name.into(), why));
        }
    }
    if let Some(base) = text(meta, "generateName").filter(|base| !base.is_empty()) {
        let trimmed = base.strip_suffix('-').unwrap_or(base);
        if !valid(trimmed) {
            causes.push(FieldCause::invalid(
                "metadata.generateName",
                &base.into(),
                why,
            ));
        }
    }
    labels(meta.get("labels"), "metadata.labels", causes);
    let annotations = meta.get("annotations").and_then(Value::as_object);
    let size: usize = annotations
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > 256 * 1024 {
        causes.push(FieldCause {
            reason: "FieldValueTooLong",
            field: "metadata.annotations".into(),
            message: "Too long: may not be more than 262144 bytes".into(),
        });
    }
}

fn labels(labels: Option<&Value>, field: &str, causes: &mut Causes) {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        let (prefix, name) = key
            .rsplit_once('/')
            .map_or((None, key.as_str()), |(prefix, name)| (Some(prefix), name));
        if prefix.is_some_and(|prefix| !is_subdomain(prefix))
            || name.is_empty()
            || !is_label_value(name)
        {
            let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
                must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  \
                or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
            causes.push(FieldCause::invalid(field, &key.as_str().into(), why));
        }
        if !value.as_str().is_some_and(is_label_value) {
            causes.push(FieldCause::invalid(field, value, LABEL_VALUE));
        }
    }
}

fn is_label(text: &str) -> bool {
    let edge =
        |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|part| {
            // Unlike a label of its own, a part may be longer than 63.
            part.len() <= 253
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !part.starts_with('-')
                && !part.ends_with('-')
                && !part.is_empty()
        })
}

fn is_label_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn pod_spec(spec: Option<&Value>, at: &str, causes: &mut Causes) {
    let empty = Value::Object(Map::new());
    let spec = spec.unwrap_or(&empty);
    let volumes: Vec<&str> = spec
        .get("volumes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|volume| text(volume, "name"))
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for list in ["containers", "initContainers"] {
        let containers = spec.get(list).and_then(Value::as_array);
        if list == "containers" && containers.is_none_or(Vec::is_empty) {
            causes.push(required(format!("{at}.containers")));
        }
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let at = format!("{at}.{list}[{index}]");
            check_container(container, &at, &mut names, &volumes, causes);
        }
    }
    let policy = text(spec, "restartPolicy").unwrap_or("Always");
    if !["Always", "OnFailure", "Never"].contains(&policy) {
        causes.push(FieldCause::unsupported(
            format!("{at}.restartPolicy"),
            &policy.into(),
            &["Always", "OnFailure", "Never"],
        ));
    }
    for field in ["serviceAccountName", "nodeName"] {
        if let Some(name) = text(spec, field).filter(|name| !name.is_empty() && !is_subdomain(name))
        {
            let cause = FieldCause::invalid(format!("{at}.{field}"), &name.into(), SUBDOMAIN);
            causes.push(cause);
        }
    }
}

fn check_container<'a>(
    container: &'a Value,
    at: &str,
    names: &mut Vec<&'a str>,
    volumes: &[&str],
    causes: &mut Causes,
) {
    match text(container, "name").unwrap_or_default() {
        "" => causes.push(required(format!("{at}.name"))),
        name if !is_label(name) => {
            let cause = FieldCause::invalid(format!("{at}.name"), &name.into(), LABEL);
            causes.push(cause);
        }
        name if names.contains(&name) => {
            causes.push(FieldCause::duplicate(format!("{at}.name"), &name.into()));
        }
        name => names.push(name),
    }
    match text(container, "image").unwrap_or_default() {
        "" => causes.push(required(format!("{at}.image"))),
        image if image.trim() != image => causes.push(FieldCause::invalid(
            format!("{at}.image"),
            &image.into(),
            "must not have leading or trailing whitespace",
        )),
        _ => {}
    }
    let policies = ["Always", "IfNotPresent", "Never"];
    if let Some(policy) = text(container, "imagePullPolicy").filter(|p| !policies.contains(p)) {
        causes.push(FieldCause::unsupported(
            format!("{at}.imagePullPolicy"),
            &policy.into(),
            &policies,
        ));
    }
    let mounts = container.get("volumeMounts").and_then(Value::as_array);
    for (index, mount) in mounts.into_iter().flatten().enumerate() {
        let name = text(mount, "name").unwrap_or_default();
        let field = format!("{at}.volumeMounts[{index}].name");
        if name.is_empty() {
            causes.push(required(field));
        } else if !volumes.contains(&name) {
            causes.push(FieldCause::not_found(field, &name.into()));
        }
        if text(mount, "mountPath").unwrap_or_default().is_empty() {
            causes.push(required(format!("{at}.volumeMounts[{index}].mountPath")));
        }
    }
    let ports = container.get("ports").and_then(Value::as_array);
    for (index, port) in ports.into_iter().flatten().enumerate() {
        let number = port.get("containerPort").and_then(Value::as_i64);
        let field = format!("{at}.ports[{index}].containerPort");
        match number {
            None | Some(0) => causes.push(required(field)),
            Some(1..=65535) => {}
            Some(number) => causes.push(FieldCause::invalid(
                field,
                &number.into(),
                "must be between 1 and 65535, inclusive",
            )),
        }
    }
}

/// Everything of a running pod's spec is fixed but images, deadlines and added tolerations.
fn pod_update(new: &Value, old: &Value, causes: &mut Causes) {
    let fixed = |pod: &Value| {
        let mut spec = pod.get("spec").cloned().unwrap_or_default();
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                if let Some(container) = container.as_object_mut() {
                    container.shift_remove("image");
                }
            }
        }
        if let Some(spec) = spec.as_object_mut() {
            for field in [
                "activeDeadlineSeconds",
                "tolerations",
                "terminationGracePeriodSeconds",
                // Set by binding, once.
                "nodeName",
                // Two names of one field.
                "serviceAccount",
            ] {
                spec.shift_remove(field);
            }
            spec.retain(|_, value| !is_nothing(value));
        }
        spec
    };
    let node = |pod: &Value| {
        let node = pod.pointer("/spec/nodeName").and_then(Value::as_str);
        node.unwrap_or_default().to_owned()
    };
    let rebound = !node(old).is_empty() && node(old) != node(new);
    let tolerations = |pod: &Value| {
        let list = pod.pointer("/spec/tolerations").and_then(Value::as_array);
        list.cloned().unwrap_or_default()
    };
    let untolerated = tolerations(old)
        .iter()
        .any(|toleration| !tolerations(new).contains(toleration));
    if fixed(new) != fixed(old) || rebound || untolerated {
        causes.push(FieldCause::forbidden("spec", POD_UPDATES));
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn workload(object: &Value, old: Option<&Value>, causes: &mut Causes) {
    let spec = object.get("spec").cloned().unwrap_or_default();
    if let Some(replicas) = spec.get("replicas").and_then(Value::as_i64)
        && replicas < 0
    {
        causes.push(FieldCause::invalid(
            "spec.replicas",
            &replicas.into(),
            "must be greater than or equal to 0",
        ));
    }
    let selector = spec.get("selector").filter(|selector| !selector.is_null());
    let labels_path = "spec.template.metadata.labels";
    match (selector, LabelSelector::from_object(selector)) {
        (None, _) => causes.push(required("spec.selector".into())),
        (Some(selector), None) => causes.push(FieldCause::invalid(
            "spec.selector",
            selector,
            "empty selector is invalid for deployment",
        )),
        (Some(_), Some(parsed)) => {
            let found = spec.pointer("/template/metadata/labels");
            if !parsed.matches_labels(found.and_then(Value::as_object)) {
                let found = found.cloned().unwrap_or_else(|| Value::Object(Map::new()));
                let why = "`selector` does not match template `labels`";
                causes.push(FieldCause::invalid(labels_path, &found, why));
            }
        }
    }
    if let Some(before) = old.and_then(|old| old.pointer("/spec/selector"))
        && Some(before) != selector
    {
        let now = selector.cloned().unwrap_or_default();
        causes.push(FieldCause::invalid(
            "spec.selector",
            &now,
            "field is immutable",
        ));
    }
    labels(
        spec.pointer("/template/metadata/labels"),
        labels_path,
        causes,
    );
    pod_spec(spec.pointer("/template/spec"), "spec.template.spec", causes);
    let policy = spec.pointer("/template/spec/restartPolicy");
    if let Some(policy) = policy.and_then(Value::as_str)
        && ["OnFailure", "Never"].contains(&policy)
    {
        causes.push(FieldCause::unsupported(
            "spec.template.spec.restartPolicy",
            &policy.into(),
            &["Always"],
        ));
    }
    let zero = |path: &str| {
        let value = spec.pointer(path);
        value.is_some_and(|value| matches!(value.as_str(), Some("0%" | "0")) || value == 0)
    };
    if zero("/strategy/rollingUpdate/maxUnavailable") && zero("/strategy/rollingUpdate/maxSurge") {
        causes.push(FieldCause::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            &spec
                .pointer("/strategy/rollingUpdate/maxUnavailable")
                .cloned()
                .unwrap_or_default(),
            "may not be 0 when `maxSurge` is 0",
        ));
    }
}

fn budget(object: &Value, causes: &mut Causes) {
    let given = |field: &str| {
        let value = object.pointer(&format!("/spec/{field}"));
        value.is_some_and(|value| !value.is_null())
    };
    if given("minAvailable") && given("maxUnavailable") {
        let spec = object.get("spec").cloned().unwrap_or_default();
        causes.push(FieldCause::invalid(
            "spec",
            &spec,
            "minAvailable and maxUnavailable cannot be both set",
        ));
    }
}

/// `within` leads from the spec to that of the job.
fn job(object: &Value, within: &str, causes: &mut Causes) {
    let path = format!("/spec/{}template/spec", within.replace('.', "/"));
    let field = format!("spec.{within}template.spec");
    pod_spec(object.pointer(&path), &field, causes);
    let policy = object.pointer(&format!("{path}/restartPolicy"));
    if policy.and_then(Value::as_str) == Some("Always") {
        causes.push(FieldCause::unsupported(
            format!("{field}.restartPolicy"),
            &"Always".into(),
            &["OnFailure", "Never"],
        ));
    }
}

fn secret(object: &Value, old: Option<&Value>, causes: &mut Causes) {
    use base64::Engine as _;
    let kind = text(object, "type").unwrap_or("Opaque");
    let data = object.get("data").and_then(Value::as_object);
    let value = |key: &str| data.and_then(|data| data.get(key)).and_then(Value::as_str);
    let json_key = match kind {
        "kubernetes.io/dockerconfigjson" => Some(".dockerconfigjson"),
        "kubernetes.io/dockercfg" => Some(".dockercfg"),
        _ => None,
    };
    if let Some(key) = json_key {
        let field = format!("data[{key}]");
        match value(key) {
            None => causes.push(required(field)),
            Some(encoded) => {
                let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
                let parsed = bytes
                    .ok()
                    .and_then(|bytes| serde_json::from_slice::<Map<String, Value>>(&bytes).ok());
                if parsed.is_none() {
                    causes.push(FieldCause::invalid(
                        field,
                        &"<secret contents redacted>".into(),
                        "invalid JSON",
                    ));
                }
            }
        }
    }
    if kind == "kubernetes.io/basic-auth" && value("username").or(value("password")).is_none() {
        causes.push(required("data[username]".into()));
        causes.push(required("data[password]".into()));
    }
    if let Some(before) = old.and_then(|old| text(old, "type"))
        && before != kind
    {
        causes.push(FieldCause::invalid(
            "type",
            &kind.into(),
            "field is immutable",
        ));
    }
    immutable_data(object, old, causes);
}

fn config_map(object: &Value, old: Option<&Value>, causes: &mut Causes) {
    immutable_data(object, old, causes);
}

fn immutable_data(object: &Value, old: Option<&Value>, causes: &mut Causes) {
    let Some(old) = old.filter(|old| old.get("immutable") == Some(&Value::Bool(true))) else {
        return;
    };
    let why = "field is immutable when `immutable` is set";
    if object.get("immutable") != Some(&Value::Bool(true)) {
        causes.push(FieldCause::forbidden("immutable", why));
    }
    if object.get("data") != old.get("data") {
        causes.push(FieldCause::forbidden("data", why));
    }
}

fn event(object: &Value, causes: &mut Causes) {
    let of = object.pointer("/involvedObject/namespace");
    let of = of.and_then(Value::as_str).unwrap_or_default();
    let own = object.pointer("/metadata/namespace");
    let own = own.and_then(Value::as_str).unwrap_or_default();
    let fits = if of.is_empty() {
        // Events of things without a namespace are kept in "default".
        own.is_empty() || own == "default"
    } else {
        of == own
    };
    if !fits {
        causes.push(FieldCause::invalid(
            "involvedObject.namespace",
            &of.into(),
            "does not match event.namespace",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(kind: Kind, object: &Value) -> String {
        check(kind, object, None).unwrap_err().message
    }

    #[test]
    fn what_a_pod_must_have() {
        let pod = |spec: Value| json!({ "metadata": { "name": "x" }, "spec": spec });
        let table = [
            (
                json!({}),
                r#"Pod "x" is invalid: spec.containers: Required value"#,
            ),
            (
                json!({ "containers": [{ "name": "a" }] }),
                r#"Pod "x" is invalid: spec.containers[0].image: Required value"#,
            ),
            (
                json!({ "containers": [{ "name": "a", "image": " x" }] }),
                r#"Pod "x" is invalid: spec.containers[0].image: Invalid value: " x": must not have leading or trailing whitespace"#,
            ),
            (
                json!({ "containers": [{ "name": "a", "image": "x", "imagePullPolicy": "Now" }] }),
                r#"Pod "x" is invalid: spec.containers[0].imagePullPolicy: Unsupported value: "Now": supported values: "Always", "IfNotPresent", "Never""#,
            ),
            (
                json!({ "containers": [{ "name": "a", "image": "x" }, { "name": "a", "image": "x" }] }),
                r#"Pod "x" is invalid: spec.containers[1].name: Duplicate value: "a""#,
            ),
            (
                json!({ "containers": [{ "image": "x", "volumeMounts": [{ "name": "v", "mountPath": "/" }] }] }),
                r#"Pod "x" is invalid: [spec.containers[0].name: Required value, spec.containers[0].volumeMounts[0].name: Not found: "v"]"#,
            ),
        ];
        for (spec, want) in table {
            assert_eq!(refusal(Kind::Pod, &pod(spec)), want);
        }
        let fine = pod(json!({ "containers": [{ "name": "a", "image": "Foo/Bar" }] }));
        assert_eq!(check(Kind::Pod, &fine, None), Ok(()));
        let named = json!({ "metadata": { "name": "Foo" }, "spec": fine["spec"] });
        assert!(
            refusal(Kind::Pod, &named)
                .contains("metadata.name: Invalid value: \"Foo\": a lowercase RFC 1123 subdomain")
        );
    }

    #[test]
    fn a_pods_spec_is_fixed_but_for_its_images() {
        let old = json!({ "metadata": { "name": "x" }, "spec": {
            "containers": [{ "name": "a", "image": "x:1" }], "imagePullSecrets": [] } });
        let mut new = old.clone();
        new["spec"]["containers"][0]["image"] = "x:2".into();
        assert_eq!(check(Kind::Pod, &new, Some(&old)), Ok(()));
        new["spec"]["imagePullSecrets"] = json!([{ "name": "s" }]);
        let error = check(Kind::Pod, &new, Some(&old)).unwrap_err();
        assert!(
            error
                .message
                .starts_with("Pod \"x\" is invalid: spec: Forbidden: pod updates may not")
        );
    }

    #[test]
    fn a_deployments_selector_fits_and_stays() {
        let object = |selector: Value| {
            json!({ "metadata": { "name": "x" }, "spec": { "selector": selector, "template": {
                "metadata": { "labels": { "app": "a" } },
                "spec": { "containers": [{ "name": "a", "image": "x" }] } } } })
        };
        assert_eq!(
            refusal(Kind::Deployment, &object(Value::Null)),
            r#"Deployment.apps "x" is invalid: spec.selector: Required value"#
        );
        assert_eq!(
            refusal(
                Kind::Deployment,
                &object(json!({ "matchLabels": { "app": "b" } }))
            ),
            r#"Deployment.apps "x" is invalid: spec.template.metadata.labels: Invalid value: {"app":"a"}: `selector` does not match template `labels`"#
        );
        let old = object(json!({ "matchLabels": { "app": "a" } }));
        assert_eq!(check(Kind::Deployment, &old, None), Ok(()));
        let mut new = old.clone();
        new["spec"]["selector"] =
            json!({ "matchExpressions": [{ "key": "app", "operator": "Exists" }] });
        let error = check(Kind::Deployment, &new, Some(&old)).unwrap_err();
        assert!(error.message.ends_with("field is immutable"), "{error}");
    }

    #[test]
    fn a_pull_secret_holds_json() {
        let secret = |data: Value| json!({ "metadata": { "name": "s" }, "type": "kubernetes.io/dockerconfigjson", "data": data });
        assert_eq!(
            refusal(Kind::Secret, &secret(json!({}))),
            r#"Secret "s" is invalid: data[.dockerconfigjson]: Required value"#
        );
        let error = refusal(
            Kind::Secret,
            &secret(json!({ ".dockerconfigjson": "bm8=" })),
        );
        assert!(error.contains("<secret contents redacted>"), "{error}");
        let fine = secret(json!({ ".dockerconfigjson": "e30=" }));
        assert_eq!(check(Kind::Secret, &fine, None), Ok(()));
    }
}
