//! What the API refuses, as the values of a Kubernetes `Status`.

use serde_json::{Value, json};

use super::Kind;

/// A refusal of the API. Becomes a `Status` object with [`ApiError::to_status`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status code.
    pub code: u16,
    /// The machine-readable reason: `NotFound`, `Conflict`, `Invalid`.
    pub reason: &'static str,
    /// The text that kubectl prints.
    pub message: String,
    /// What the refusal is about: name, kind, causes.
    pub details: Option<Value>,
}

/// One field that does not hold what it must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCause {
    /// `FieldValueRequired`, `FieldValueInvalid`, `FieldValueForbidden` …
    pub reason: &'static str,
    /// The path: `spec.containers[0].image`.
    pub field: String,
    /// The text after the path.
    pub message: String,
}

impl FieldCause {
    /// The field must be given. `why` may be empty.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        Self::new("FieldValueRequired", field, "Required value", why)
    }

    /// The field holds something it must not hold.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let head = format!("Invalid value: {value}");
        Self::new("FieldValueInvalid", field, &head, why)
    }

    /// The field must not be given, or not be changed.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::new("FieldValueForbidden", field, "Forbidden", why)
    }

    /// The field names something a second time.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        let head = format!("Duplicate value: {value}");
        Self::new("FieldValueDuplicate", field, &head, "")
    }

    /// The field names something that is not there.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        let head = format!("Not found: {value}");
        Self::new("FieldValueNotFound", field, &head, "")
    }

    /// The field holds none of the values it may hold.
    pub fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        Self::new(
            "FieldValueNotSupported",
            field,
            &format!("Unsupported value: {value}"),
            &format!("supported values: {}", quoted.join(", ")),
        )
    }

    fn new(reason: &'static str, field: impl Into<String>, head: &str, why: &str) -> Self {
        Self {
            reason,
            field: field.into(),
            message: if why.is_empty() {
                head.to_owned()
            } else {
                format!("{head}: {why}")
            },
        }
    }

    fn text(&self) -> String {
        format!("{}: {}", self.field, self.message)
    }
}

impl ApiError {
    fn about(code: u16, reason: &'static str, kind: Kind, name: &str, message: String) -> Self {
        let mut details = json!({ "name": name });
        if let Some(map) = details.as_object_mut() {
            let wire = kind.wire();
            if !wire.group.is_empty() {
                map.insert("group".into(), wire.group.into());
            }
            map.insert("kind".into(), wire.plural.into());
        }
        Self {
            code,
            reason,
            message,
            details: Some(details),
        }
    }

    /// 404: there is no such object.
    pub fn not_found(kind: Kind, name: &str) -> Self {
        let message = format!("{} {name:?} not found", kind.resource());
        Self::about(404, "NotFound", kind, name, message)
    }

    /// 404: there is no such path or subresource.
    pub fn no_resource() -> Self {
        Self {
            code: 404,
            reason: "NotFound",
            message: "the server could not find the requested resource".into(),
            details: Some(json!({})),
        }
    }

    /// 409: the name is taken.
    pub fn already_exists(kind: Kind, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", kind.resource());
        Self::about(409, "AlreadyExists", kind, name, message)
    }

    /// 409: the object changed since it was read.
    pub fn conflict(kind: Kind, name: &str) -> Self {
        Self::conflict_because(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 409 for another reason.
    pub fn conflict_because(kind: Kind, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} {name:?}: {why}",
            kind.resource()
        );
        Self::about(409, "Conflict", kind, name, message)
    }

    /// 403: not allowed.
    pub fn forbidden(kind: Kind, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", kind.resource())
        } else {
            format!("{} {name:?} is forbidden: {why}", kind.resource())
        };
        let mut error = Self::about(403, "Forbidden", kind, name, message);
        if name.is_empty()
            && let Some(details) = error.details.as_mut().and_then(Value::as_object_mut)
        {
            details.shift_remove("name");
        }
        error
    }

    /// 422: fields that do not hold what they must.
    pub fn invalid(kind: Kind, name: &str, causes: &[FieldCause]) -> Self {
        let wire = kind.wire();
        let subject = if wire.group.is_empty() {
            wire.kind.to_owned()
        } else {
            format!("{}.{}", wire.kind, wire.group)
        };
        let mut error = Self::invalid_subject(&subject, name, causes);
        if let Some(details) = error.details.as_mut().and_then(Value::as_object_mut) {
            let causes = details.shift_remove("causes");
            if !wire.group.is_empty() {
                details.insert("group".into(), wire.group.into());
            }
            details.insert("kind".into(), wire.kind.into());
            details.extend(causes.map(|causes| ("causes".into(), causes)));
        }
        error
    }

    /// 422 for something that is no stored kind: `ListOptions.meta.k8s.io`.
    pub fn invalid_subject(subject: &str, name: &str, causes: &[FieldCause]) -> Self {
        let texts: Vec<String> = causes.iter().map(FieldCause::text).collect();
        let text = match texts.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let causes: Vec<Value> = causes
            .iter()
            .map(|cause| {
                json!({ "reason": cause.reason, "message": cause.message, "field": cause.field })
            })
            .collect();
        Self {
            code: 422,
            reason: "Invalid",
            message: format!("{subject} {name:?} is invalid: {text}"),
            details: Some(json!({ "name": name, "kind": subject, "causes": causes })),
        }
    }

    /// A refusal without details.
    pub fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: None,
        }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", message)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self {
            details: Some(json!({})),
            ..Self::plain(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        }
    }

    /// 410: the history a watch or a list wants is gone.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::plain(410, "Expired", message)
    }

    /// 410 for a watch that starts before the oldest version kept.
    pub fn too_old(wanted: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {wanted} ({oldest})"))
    }

    /// 415: the body is in no format that can be read.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::plain(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    /// The `Status` object that goes over the wire.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        });
        if let Some(map) = status.as_object_mut() {
            if let Some(details) = &self.details {
                map.insert("details".into(), details.clone());
            }
            map.insert("code".into(), self.code.into());
        }
        status
    }
}
