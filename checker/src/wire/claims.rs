//! What a JSON web token says of itself. Read for reports only: nothing is verified, nothing is decided by it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::Value;

use crate::evidence::Access;
use crate::wire::Excerpt;

/// The claims that help to understand a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    /// `iss`
    pub(crate) issuer: Option<Box<str>>,
    /// `aud`
    pub(crate) audience: Option<Box<str>>,
    /// `oid`
    pub(crate) object_id: Option<Box<str>>,
    /// `appid` (or `azp`)
    pub(crate) client_id: Option<Box<str>>,
    /// `tid` (or `tenant`)
    pub(crate) tenant: Option<Box<str>>,
    /// `exp`
    pub(crate) expires: Option<Timestamp>,
    /// `access`, as registries write it.
    pub(crate) access: Option<Vec<Access>>,
}

const MAX_TOKEN: usize = 64 * 1024;
const MAX_ACCESS: usize = 64;

impl Claims {
    /// Reads the middle part of a token; `None` for tokens of other kinds.
    pub(crate) fn read(token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let mut parts = token.split('.');
        let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        let value: Value = serde_json::from_slice(&payload).ok()?;
        value.is_object().then(|| Self {
            issuer: text(&value, &["iss"]),
            audience: text(&value, &["aud"]),
            object_id: text(&value, &["oid"]),
            client_id: text(&value, &["appid", "azp"]),
            tenant: text(&value, &["tid", "tenant"]),
            expires: value
                .get("exp")
                .and_then(Value::as_i64)
                .and_then(|at| Timestamp::from_second(at).ok()),
            access: access(&value),
        })
    }
}

fn text(value: &Value, names: &[&str]) -> Option<Box<str>> {
    names
        .iter()
        .find_map(|name| value.get(*name)?.as_str())
        .map(|text| Excerpt::new(text).as_str().into())
}

fn access(value: &Value) -> Option<Vec<Access>> {
    let part = |entry: &Value, name: &str| {
        Excerpt::new(entry.get(name).and_then(Value::as_str).unwrap_or_default())
    };
    let entries = value.get("access")?.as_array()?;
    Some(
        entries
            .iter()
            .take(MAX_ACCESS)
            .map(|entry| Access {
                kind: part(entry, "type"),
                name: part(entry, "name"),
                actions: entry
                    .get("actions")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .take(MAX_ACCESS)
                    .filter_map(|action| action.as_str().map(Excerpt::new))
                    .collect(),
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn claims_are_read() {
        let payload = r#"{"aud":"r.azurecr.io","oid":"o","appid":"a","tid":"t","exp":1768467600,"access":[{"type":"repository","name":"a/b","actions":["pull"]}]}"#;
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        let claims = Claims::read(&token).unwrap();
        assert_eq!(claims.audience.as_deref(), Some("r.azurecr.io"));
        assert_eq!(claims.object_id.as_deref(), Some("o"));
        assert_eq!(claims.expires.unwrap().to_string(), "2026-01-15T09:00:00Z");
        assert_eq!(claims.access.unwrap()[0].actions[0].as_str(), "pull");
        assert_eq!(Claims::read("opaque"), None);
    }

    proptest! {
        #[test]
        fn no_token_panics(text in "[A-Za-z0-9_.=-]{0,80}") {
            let _ = Claims::read(&text);
        }
    }
}
