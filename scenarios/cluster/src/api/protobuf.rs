//! Protobuf bodies, as kubectl 1.32 and later sends them for what it creates without a manifest.
//!
//! Only the messages behind those commands are known, by tables of field numbers; a field that is
//! not in them is refused and never silently lost. Answers are always JSON.

use serde_json::{Map, Value};

use crate::store::ApiError;

/// The media type of such a body.
pub(super) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";
/// Deeper than any message the tables describe.
const MAX_DEPTH: usize = 16;

/// What a field holds.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Texts,
    /// A number that may be left out: zero means zero.
    Number,
    /// A number that cannot be left out: zero means nothing.
    PlainNumber,
    Flag,
    PlainFlag,
    Message(&'static [Field]),
    Messages(&'static [Field]),
    TextMap,
    BytesMap,
    QuantityMap,
    IntOrText,
    /// Something the server sets itself.
    Ignored,
}

type Field = (u32, &'static str, Type);

const META: &[Field] = &[
    (1, "name", Type::Text),
    (2, "generateName", Type::Text),
    (3, "namespace", Type::Text),
    (4, "selfLink", Type::Text),
    (5, "uid", Type::Text),
    (6, "resourceVersion", Type::Text),
    (7, "generation", Type::PlainNumber),
    (8, "creationTimestamp", Type::Ignored),
    (11, "labels", Type::TextMap),
    (12, "annotations", Type::TextMap),
    (14, "finalizers", Type::Texts),
];
const SELECTOR: &[Field] = &[
    (1, "matchLabels", Type::TextMap),
    (
        2,
        "matchExpressions",
        Type::Messages(&[
            (1, "key", Type::Text),
            (2, "operator", Type::Text),
            (3, "values", Type::Texts),
        ]),
    ),
];
const NAMED: &[Field] = &[(1, "name", Type::Text)];
const REFERENCE: &[Field] = &[
    (1, "kind", Type::Text),
    (2, "namespace", Type::Text),
    (3, "name", Type::Text),
    (4, "uid", Type::Text),
    (5, "apiVersion", Type::Text),
    (6, "resourceVersion", Type::Text),
    (7, "fieldPath", Type::Text),
];
const CONTAINER: &[Field] = &[
    (1, "name", Type::Text),
    (2, "image", Type::Text),
    (3, "command", Type::Texts),
    (4, "args", Type::Texts),
    (5, "workingDir", Type::Text),
    (
        6,
        "ports",
        Type::Messages(&[
            (1, "name", Type::Text),
            (2, "hostPort", Type::PlainNumber),
            (3, "containerPort", Type::PlainNumber),
            (4, "protocol", Type::Text),
            (5, "hostIP", Type::Text),
        ]),
    ),
    (
        7,
        "env",
        Type::Messages(&[(1, "name", Type::Text), (2, "value", Type::Text)]),
    ),
    (
        8,
        "resources",
        Type::Message(&[
            (1, "limits", Type::QuantityMap),
            (2, "requests", Type::QuantityMap),
        ]),
    ),
    (13, "terminationMessagePath", Type::Text),
    (14, "imagePullPolicy", Type::Text),
    (16, "stdin", Type::PlainFlag),
    (17, "stdinOnce", Type::PlainFlag),
    (18, "tty", Type::PlainFlag),
    (20, "terminationMessagePolicy", Type::Text),
];
const POD_SPEC: &[Field] = &[
    (2, "containers", Type::Messages(CONTAINER)),
    (3, "restartPolicy", Type::Text),
    (4, "terminationGracePeriodSeconds", Type::Number),
    (5, "activeDeadlineSeconds", Type::Number),
    (6, "dnsPolicy", Type::Text),
    (7, "nodeSelector", Type::TextMap),
    (8, "serviceAccountName", Type::Text),
    (9, "serviceAccount", Type::Text),
    (10, "nodeName", Type::Text),
    (11, "hostNetwork", Type::PlainFlag),
    (12, "hostPID", Type::PlainFlag),
    (13, "hostIPC", Type::PlainFlag),
    (15, "imagePullSecrets", Type::Messages(NAMED)),
    (16, "hostname", Type::Text),
    (17, "subdomain", Type::Text),
    (19, "schedulerName", Type::Text),
    (20, "initContainers", Type::Messages(CONTAINER)),
    (21, "automountServiceAccountToken", Type::Flag),
];
const TEMPLATE: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "spec", Type::Message(POD_SPEC)),
];
const DEPLOYMENT: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (
        2,
        "spec",
        Type::Message(&[
            (1, "replicas", Type::Number),
            (2, "selector", Type::Message(SELECTOR)),
            (3, "template", Type::Message(TEMPLATE)),
            (
                4,
                "strategy",
                Type::Message(&[
                    (1, "type", Type::Text),
                    (
                        2,
                        "rollingUpdate",
                        Type::Message(&[
                            (1, "maxUnavailable", Type::IntOrText),
                            (2, "maxSurge", Type::IntOrText),
                        ]),
                    ),
                ]),
            ),
            (5, "minReadySeconds", Type::PlainNumber),
            (6, "revisionHistoryLimit", Type::Number),
            (7, "paused", Type::PlainFlag),
            (9, "progressDeadlineSeconds", Type::Number),
        ]),
    ),
    (3, "status", Type::Ignored),
];
const JOB_SPEC: &[Field] = &[
    (1, "parallelism", Type::Number),
    (2, "completions", Type::Number),
    (3, "activeDeadlineSeconds", Type::Number),
    (4, "selector", Type::Message(SELECTOR)),
    (5, "manualSelector", Type::Flag),
    (6, "template", Type::Message(TEMPLATE)),
    (7, "backoffLimit", Type::Number),
    (8, "ttlSecondsAfterFinished", Type::Number),
];
const JOB: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "spec", Type::Message(JOB_SPEC)),
    (3, "status", Type::Ignored),
];
const CRON_JOB: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (
        2,
        "spec",
        Type::Message(&[
            (1, "schedule", Type::Text),
            (2, "startingDeadlineSeconds", Type::Number),
            (3, "concurrencyPolicy", Type::Text),
            (4, "suspend", Type::Flag),
            (
                5,
                "jobTemplate",
                Type::Message(&[
                    (1, "metadata", Type::Message(META)),
                    (2, "spec", Type::Message(JOB_SPEC)),
                ]),
            ),
            (6, "successfulJobsHistoryLimit", Type::Number),
            (7, "failedJobsHistoryLimit", Type::Number),
            (8, "timeZone", Type::Text),
        ]),
    ),
    (3, "status", Type::Ignored),
];
const BUDGET: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (
        2,
        "spec",
        Type::Message(&[
            (1, "minAvailable", Type::IntOrText),
            (2, "selector", Type::Message(SELECTOR)),
            (3, "maxUnavailable", Type::IntOrText),
            (4, "unhealthyPodEvictionPolicy", Type::Text),
        ]),
    ),
    (3, "status", Type::Ignored),
];
const SECRET: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "data", Type::BytesMap),
    (3, "type", Type::Text),
    (4, "stringData", Type::TextMap),
    (5, "immutable", Type::Flag),
];
const CONFIG_MAP: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "data", Type::TextMap),
    (3, "binaryData", Type::BytesMap),
    (4, "immutable", Type::Flag),
];
const NAMESPACE: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "spec", Type::Message(&[(1, "finalizers", Type::Texts)])),
    (3, "status", Type::Ignored),
];
const SERVICE_ACCOUNT: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "secrets", Type::Messages(REFERENCE)),
    (3, "imagePullSecrets", Type::Messages(NAMED)),
    (4, "automountServiceAccountToken", Type::Flag),
];
const ACCESS_REVIEW: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (
        2,
        "spec",
        Type::Message(&[
            (
                1,
                "resourceAttributes",
                Type::Message(&[
                    (1, "namespace", Type::Text),
                    (2, "verb", Type::Text),
                    (3, "group", Type::Text),
                    (4, "version", Type::Text),
                    (5, "resource", Type::Text),
                    (6, "subresource", Type::Text),
                    (7, "name", Type::Text),
                ]),
            ),
            (
                2,
                "nonResourceAttributes",
                Type::Message(&[(1, "path", Type::Text), (2, "verb", Type::Text)]),
            ),
        ]),
    ),
    (3, "status", Type::Ignored),
];
const RULES_REVIEW: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "spec", Type::Message(&[(1, "namespace", Type::Text)])),
    (3, "status", Type::Ignored),
];
const REVIEW: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "status", Type::Ignored),
];
const DELETE_OPTIONS: &[Field] = &[
    (1, "gracePeriodSeconds", Type::Number),
    (
        2,
        "preconditions",
        Type::Message(&[(1, "uid", Type::Text), (2, "resourceVersion", Type::Text)]),
    ),
    (3, "orphanDependents", Type::Flag),
    (4, "propagationPolicy", Type::Text),
    (5, "dryRun", Type::Texts),
];
const EVICTION: &[Field] = &[
    (1, "metadata", Type::Message(META)),
    (2, "deleteOptions", Type::Message(DELETE_OPTIONS)),
];

fn fields_of(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "Secret" => SECRET,
        "ConfigMap" => CONFIG_MAP,
        "Namespace" => NAMESPACE,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "Deployment" => DEPLOYMENT,
        "Job" => JOB,
        "CronJob" => CRON_JOB,
        "PodDisruptionBudget" => BUDGET,
        "SelfSubjectAccessReview" => ACCESS_REVIEW,
        "SelfSubjectRulesReview" => RULES_REVIEW,
        "SelfSubjectReview" => REVIEW,
        "DeleteOptions" => DELETE_OPTIONS,
        "Eviction" => EVICTION,
        _ => return None,
    })
}

/// Reads a body into the JSON form of its object.
pub(super) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let broken = |what: &str| ApiError::bad_request(format!("the protobuf body {what}"));
    let envelope = body
        .strip_prefix(MAGIC)
        .ok_or_else(|| broken("does not start with the k8s prefix"))?;
    let (mut kind, mut version, mut raw) = (String::new(), String::new(), &[][..]);
    for item in (Reader { rest: envelope }) {
        match item.ok_or_else(|| broken("is cut short"))? {
            (1, Wire::Bytes(types)) => {
                for item in (Reader { rest: types }) {
                    match item.ok_or_else(|| broken("is cut short"))? {
                        (1, Wire::Bytes(text)) => version = lossy(text),
                        (2, Wire::Bytes(text)) => kind = lossy(text),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let fields =
        fields_of(&kind).ok_or_else(|| ApiError::unsupported_media_type(&["application/json"]))?;
    let mut object = message(raw, fields, 0).map_err(|problem| broken(&problem))?;
    object.shift_insert(0, "kind".into(), kind.into());
    object.shift_insert(1, "apiVersion".into(), version.into());
    Ok(Value::Object(object))
}

/// A value on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Walks the fields of a message; yields `None` for one that is broken, then ends.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            if shift < 64 {
                value |= u64::from(byte & 0x7f) << shift;
            }
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(size)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u32, Wire<'a>)> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok()?;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => self.take(8).map(|_| Wire::Fixed)?,
            2 => {
                let size = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(size)?)
            }
            5 => self.take(4).map(|_| Wire::Fixed)?,
            _ => return None,
        };
        Some((number, wire))
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Option<(u32, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn base64(bytes: &[u8]) -> Value {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .encode(bytes)
        .into()
}

fn message(bytes: &[u8], fields: &[Field], depth: usize) -> Result<Map<String, Value>, String> {
    if depth > MAX_DEPTH {
        return Err("is nested too deeply".into());
    }
    let mut object = Map::new();
    for item in (Reader { rest: bytes }) {
        let (number, wire) = item.ok_or("is cut short")?;
        let Some((_, name, of)) = fields.iter().find(|(known, ..)| *known == number) else {
            // Fields that are always written say nothing when they are empty.
            if matches!(wire, Wire::Varint(0) | Wire::Bytes(b"")) {
                continue;
            }
            return Err(format!("holds field {number}, which is not modelled here"));
        };
        put(&mut object, name, *of, wire, depth)?;
    }
    Ok(object)
}

fn put(
    object: &mut Map<String, Value>,
    name: &str,
    of: Type,
    wire: Wire<'_>,
    depth: usize,
) -> Result<(), String> {
    match (of, wire) {
        (Type::Ignored, _) => {}
        (Type::Text, Wire::Bytes(text)) => {
            if !text.is_empty() {
                object.insert(name.into(), lossy(text).into());
            }
        }
        (Type::Texts, Wire::Bytes(text)) => push(object, name, lossy(text).into()),
        (Type::Number, Wire::Varint(number)) => {
            object.insert(name.into(), number.cast_signed().into());
        }
        (Type::PlainNumber, Wire::Varint(number)) => {
            if number != 0 {
                object.insert(name.into(), number.cast_signed().into());
            }
        }
        (Type::Flag, Wire::Varint(flag)) => {
            object.insert(name.into(), (flag != 0).into());
        }
        (Type::PlainFlag, Wire::Varint(flag)) => {
            if flag != 0 {
                object.insert(name.into(), true.into());
            }
        }
        (Type::Message(fields), Wire::Bytes(bytes)) => {
            let inner = message(bytes, fields, depth + 1)?;
            if !inner.is_empty() {
                object.insert(name.into(), inner.into());
            }
        }
        (Type::Messages(fields), Wire::Bytes(bytes)) => {
            let inner = message(bytes, fields, depth + 1)?;
            push(object, name, inner.into());
        }
        (Type::TextMap, Wire::Bytes(entry)) => {
            let (key, value) = map_entry(entry)?;
            entry_of(object, name, key, lossy(value).into());
        }
        (Type::BytesMap, Wire::Bytes(entry)) => {
            let (key, value) = map_entry(entry)?;
            entry_of(object, name, key, base64(value));
        }
        (Type::QuantityMap, Wire::Bytes(entry)) => {
            let (key, value) = map_entry(entry)?;
            let quantity = message(value, &[(1, "text", Type::Text)], depth + 1)?;
            let text = quantity.get("text").cloned().unwrap_or_else(|| "0".into());
            entry_of(object, name, key, text);
        }
        (Type::IntOrText, Wire::Bytes(bytes)) => {
            const EITHER: &[Field] = &[
                (1, "type", Type::PlainNumber),
                (2, "number", Type::Number),
                (3, "text", Type::Text),
            ];
            let either = message(bytes, EITHER, depth + 1)?;
            let part = if either.contains_key("type") {
                either.get("text").cloned()
            } else {
                either.get("number").cloned()
            };
            object.insert(name.into(), part.unwrap_or_else(|| 0.into()));
        }
        _ => return Err(format!("holds a {name:?} of another type")),
    }
    Ok(())
}

fn push(object: &mut Map<String, Value>, name: &str, item: Value) {
    let list = object
        .entry(name)
        .or_insert_with(|| Value::Array(Vec::new()));
    if let Some(list) = list.as_array_mut() {
        list.push(item);
    }
}

fn entry_of(object: &mut Map<String, Value>, name: &str, key: String, value: Value) {
    let map = object
        .entry(name)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(map) = map.as_object_mut() {
        map.insert(key, value);
    }
}

fn map_entry(entry: &[u8]) -> Result<(String, &[u8]), String> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for item in (Reader { rest: entry }) {
        match item.ok_or("is cut short")? {
            (1, Wire::Bytes(bytes)) => key = lossy(bytes),
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend(content);
        out
    }

    fn envelope(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [bytes(1, version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &types), bytes(2, raw)].concat()
    }

    #[test]
    fn a_pull_secret_as_kubectl_sends_it() {
        let meta = [bytes(1, b"pull"), bytes(2, b""), bytes(8, b"")].concat();
        let entry = [bytes(1, b".dockerconfigjson"), bytes(2, b"{}")].concat();
        let raw = [
            bytes(1, &meta),
            bytes(2, &entry),
            bytes(3, b"kubernetes.io/dockerconfigjson"),
        ]
        .concat();
        assert_eq!(
            decode(&envelope("v1", "Secret", &raw)).unwrap(),
            json!({ "kind": "Secret", "apiVersion": "v1", "metadata": { "name": "pull" },
                "data": { ".dockerconfigjson": "e30=" }, "type": "kubernetes.io/dockerconfigjson" })
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(decode(b"{}").unwrap_err().code, 400);
        assert_eq!(decode(&envelope("v1", "Quota", b"")).unwrap_err().code, 415);
        let raw = bytes(9, b"something");
        let error = decode(&envelope("v1", "Secret", &raw)).unwrap_err();
        assert!(error.message.contains("field 9"), "{error}");
        let cut = bytes(1, b"abc");
        assert!(decode(&envelope("v1", "Secret", &cut[..3])).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_the_reader(raw in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(&raw);
            for kind in ["Secret", "Deployment", "DeleteOptions"] {
                let _ = decode(&envelope("v1", kind, &raw));
            }
        }
    }
}
