//! Label and field selectors, as query parameters and as `LabelSelector` objects.

use serde_json::{Map, Value};

use crate::store::{ApiError, Kind};

/// More requirements than anyone writes by hand; a bound for hostile input.
const MAX_REQUIREMENTS: usize = 256;

/// Which labels an object must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

impl LabelSelector {
    /// Reads the text of `labelSelector=`.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        let mut requirements = Vec::new();
        for part in split_outside_brackets(text) {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            requirements.push(requirement(part).ok_or_else(|| {
                ApiError::bad_request(format!("unable to parse requirement: {part:?}"))
            })?);
            if requirements.len() > MAX_REQUIREMENTS {
                return Err(ApiError::bad_request(
                    "unable to parse requirement: too many",
                ));
            }
        }
        Ok(Self { requirements })
    }

    /// Reads a `LabelSelector` object. Without requirements it matches nothing, as controllers have it.
    pub fn from_object(selector: Option<&Value>) -> Option<Self> {
        let selector = selector?.as_object()?;
        let mut requirements = Vec::new();
        if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
            for (key, value) in labels {
                requirements.push(Requirement {
                    key: key.clone(),
                    test: Test::In(vec![value.as_str().unwrap_or_default().to_owned()]),
                });
            }
        }
        let expressions = selector.get("matchExpressions").and_then(Value::as_array);
        for expression in expressions.into_iter().flatten() {
            let values = || {
                let values = expression.get("values").and_then(Value::as_array);
                let texts = values.into_iter().flatten().filter_map(Value::as_str);
                texts.map(str::to_owned).collect::<Vec<_>>()
            };
            let test = match expression.get("operator").and_then(Value::as_str)? {
                "In" => Test::In(values()),
                "NotIn" => Test::NotIn(values()),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Absent,
                _ => return None,
            };
            let key = expression.get("key").and_then(Value::as_str)?.to_owned();
            requirements.push(Requirement { key, test });
        }
        (!requirements.is_empty()).then_some(Self { requirements })
    }

    /// Whether an object's labels meet all requirements.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = object
            .pointer("/metadata/labels")
            .and_then(Value::as_object);
        self.matches_labels(labels)
    }

    /// Whether these labels meet all requirements.
    pub fn matches_labels(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.requirements.iter().all(|requirement| {
            let value = labels
                .and_then(|labels| labels.get(&requirement.key))
                .and_then(Value::as_str);
            match &requirement.test {
                Test::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
                Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
            }
        })
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl std::fmt::Display for LabelSelector {
    /// As kubectl prints a selector: `app=web,tier in (a,b)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, Requirement { key, test }) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::In(values) if values.len() == 1 => write!(f, "{key}={}", values.concat())?,
                Test::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Test::Exists => f.write_str(key)?,
                Test::Absent => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

fn split_outside_brackets(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_u32;
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    let made = |key: &str, test| {
        let key = key.trim();
        let valid = !key.is_empty()
            && key.len() <= 317
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
        valid.then(|| Requirement {
            key: key.to_owned(),
            test,
        })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    let is_value = |value: &str| {
        value
            .trim()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    if let Some(key) = part.strip_prefix('!') {
        return made(key, Test::Absent);
    }
    if let Some((key, value)) = part.split_once("!=") {
        return is_value(value).then(|| made(key, Test::NotIn(one(value))))?;
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return is_value(value).then(|| made(key, Test::In(one(value))))?;
    }
    if let Some((head, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values: Vec<String> = values.split(',').map(|v| v.trim().to_owned()).collect();
        let (key, word) = head.trim().split_once(char::is_whitespace)?;
        return match word.trim() {
            "in" => made(key, Test::In(values)),
            "notin" => made(key, Test::NotIn(values)),
            _ => None,
        };
    }
    made(part, Test::Exists)
}

/// Which fields of an object must hold what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    kind: Option<Kind>,
    tests: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// Reads the text of `fieldSelector=` for a kind.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, ApiError> {
        let mut tests = Vec::new();
        for part in split_escaped(text) {
            if part.is_empty() {
                continue;
            }
            let split = |by: &str| {
                let (field, value) = part.split_once(by)?;
                Some((field.to_owned(), unescape(value)))
            };
            let (field, equal, value) = if let Some((field, value)) = split("!=") {
                (field, false, value)
            } else if let Some((field, value)) = split("==").or_else(|| split("=")) {
                (field, true, value)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid selector: {text:?}; can't understand {part:?}"
                )));
            };
            if !is_known(kind, &field) {
                return Err(unknown_field(kind, &field));
            }
            tests.push((field, equal, value));
            if tests.len() > MAX_REQUIREMENTS {
                return Err(ApiError::bad_request("invalid selector: too many fields"));
            }
        }
        Ok(Self {
            kind: Some(kind),
            tests,
        })
    }

    /// Whether an object meets all tests.
    pub fn matches(&self, object: &Value) -> bool {
        self.tests.iter().all(|(field, equal, wanted)| {
            let value = self.kind.map(|kind| field_of(kind, object, field));
            (value.as_deref().unwrap_or_default() == wanted) == *equal
        })
    }
}

fn split_escaped(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for letter in text.chars() {
        if letter == ',' && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
        escaped = letter == '\\' && !escaped;
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.extend(letters.next()),
            letter => out.push(letter),
        }
    }
    out
}

fn known_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        Kind::Node => &["spec.unschedulable"],
        Kind::Secret => &["type"],
        Kind::Namespace => &["status.phase", "name"],
        Kind::ReplicaSet => &["status.replicas"],
        Kind::Job => &["status.successful"],
        _ => &[],
    }
}

fn is_known(kind: Kind, field: &str) -> bool {
    matches!(field, "metadata.name" | "metadata.namespace") || known_fields(kind).contains(&field)
}

fn unknown_field(kind: Kind, field: &str) -> ApiError {
    let text = if known_fields(kind).is_empty() {
        format!(
            "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        )
    } else {
        format!("field label not supported: {field}")
    };
    ApiError::bad_request(text)
}

fn field_of(kind: Kind, object: &Value, field: &str) -> String {
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    let at = |path: &str| text(object.pointer(path));
    let found = at(&format!("/{}", field.replace('.', "/")));
    match (kind, field) {
        (Kind::Event, "source") => {
            let component = at("/source/component");
            if component.is_empty() {
                at("/reportingComponent")
            } else {
                component
            }
        }
        (Kind::Pod, "status.podIPs") => at("/status/podIPs/0/ip"),
        (Kind::Pod, "spec.hostNetwork") | (Kind::Node, "spec.unschedulable")
            if found.is_empty() =>
        {
            "false".into()
        }
        (Kind::Namespace, "name") => at("/metadata/name"),
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn label_selectors_match_as_kubectl_writes_them() {
        let object = json!({ "metadata": { "labels": { "app": "web", "tier": "front" } } });
        let table = [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("other!=x", true),
            ("app in (api, web),tier", true),
            ("app notin (api,web)", false),
            ("!other", true),
            ("!app", false),
            ("other", false),
        ];
        for (text, want) in table {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&object), want, "{text:?}");
        }
        for text in ["app=a b", "a b", "app in web)", "app near (x)", "=x"] {
            assert!(LabelSelector::parse(text).is_err(), "{text:?}");
        }
        let selector = LabelSelector::parse("app==web, tier in (a,b),!x,y").unwrap();
        assert_eq!(selector.to_string(), "app=web,tier in (a,b),!x,y");
    }

    #[test]
    fn field_selectors_know_their_fields() {
        let event = json!({
            "metadata": { "name": "web.1" }, "involvedObject": { "name": "web", "kind": "Pod" },
            "source": { "component": "kubelet" }, "type": "Warning"
        });
        let table = [
            ("involvedObject.name=web,involvedObject.kind=Pod", true),
            ("type!=Normal", true),
            ("source=kubelet", true),
            ("metadata.name==web.2", false),
        ];
        for (text, want) in table {
            let selector = FieldSelector::parse(Kind::Event, text).unwrap();
            assert_eq!(selector.matches(&event), want, "{text:?}");
        }
        let selector = FieldSelector::parse(Kind::Node, "spec.unschedulable=false").unwrap();
        assert!(selector.matches(&json!({ "spec": {} })));
        let error = FieldSelector::parse(Kind::Pod, "spec.image=x").unwrap_err();
        assert_eq!(error.message, "field label not supported: spec.image");
        assert!(FieldSelector::parse(Kind::ConfigMap, "data=x").is_err());
        assert!(FieldSelector::parse(Kind::Pod, "nonsense").is_err());
    }

    #[test]
    fn selector_objects_without_requirements_match_nothing() {
        assert_eq!(LabelSelector::from_object(Some(&json!({}))), None);
        let selector = json!({
            "matchLabels": { "app": "web" },
            "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["back"] }]
        });
        let selector = LabelSelector::from_object(Some(&selector)).unwrap();
        assert!(selector.matches(&json!({ "metadata": { "labels": { "app": "web" } } })));
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parsers(text in any::<String>()) {
            let _ = LabelSelector::parse(&text);
            let _ = FieldSelector::parse(Kind::Pod, &text);
        }

        #[test]
        fn printing_and_parsing_agree(text in "[a-z]{1,5}(=[a-z]{0,4}| in \\([a-z],[a-z]\\)|)(,![a-z]{1,3})?") {
            let selector = LabelSelector::parse(&text).unwrap();
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }
    }
}
