//! Pull secrets: what a kubelet reads from `.dockerconfigjson` and `.dockercfg`, and its complaints.
//!
//! Only `username`, `password`, `email` and `auth` count, and `auth` wins. A secret of another type or
//! without its key is skipped without a word; one that cannot be read fails the pull with a raw Go error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::runtime::Credential;
use crate::runtime::go;

/// One secret's entries: registry as written, and credential.
pub(crate) type Entries = Vec<(String, Credential)>;

/// The entries of a Secret object; none for one that is not a pull secret.
pub(crate) fn entries(secret: &Value) -> Result<Entries, String> {
    let kind = secret
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (key, wrapped) = match kind {
        "kubernetes.io/dockerconfigjson" => (".dockerconfigjson", true),
        "kubernetes.io/dockercfg" => (".dockercfg", false),
        _ => return Ok(Vec::new()),
    };
    let Some(data) = secret
        .get("data")
        .and_then(|d| d.get(key))
        .and_then(Value::as_str)
    else {
        return Ok(Vec::new());
    };
    let Ok(text) = STANDARD.decode(data) else {
        return Ok(Vec::new());
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(problem) = go::json_error(&text) {
        return Err(problem);
    }
    let value: Value = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    if !wrapped {
        return config(&value, "", "credentialprovider.DockerConfig");
    }
    match &value {
        Value::Object(fields) => match fields.get("auths") {
            None => Ok(Vec::new()),
            Some(auths) => config(
                auths,
                "DockerConfigJSON.auths",
                "credentialprovider.DockerConfig",
            ),
        },
        Value::Null => Ok(Vec::new()),
        other => Err(mismatch(other, "", "credentialprovider.DockerConfigJSON")),
    }
}

fn config(value: &Value, field: &str, of: &str) -> Result<Entries, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Object(auths) => auths
            .iter()
            .map(|(registry, entry)| Ok((registry.clone(), credential(entry)?)))
            .collect(),
        other => Err(mismatch(other, field, of)),
    }
}

fn credential(entry: &Value) -> Result<Credential, String> {
    let fields = match entry {
        Value::Object(fields) => fields,
        Value::Null => return Ok(Credential::default()),
        other => {
            return Err(mismatch(
                other,
                "",
                "credentialprovider.dockerConfigEntryWithAuth",
            ));
        }
    };
    let text = |name: &str| match fields.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(mismatch(
            other,
            &format!("dockerConfigEntryWithAuth.{name}"),
            "string",
        )),
    };
    let (mut username, mut secret) = (text("username")?, text("password")?);
    text("email")?;
    let auth = text("auth")?;
    if !auth.is_empty() {
        (username, secret) = decode_auth(&auth)?;
    }
    Ok(Credential { username, secret })
}

/// `base64(user:password)`, padded or not, cut at the first colon.
fn decode_auth(auth: &str) -> Result<(String, String), String> {
    let bytes = go_base64(auth)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match text.split_once(':') {
        Some((user, password)) => Ok((user.to_owned(), password.to_owned())),
        None => Err(
            "unable to parse auth field, must be formatted as base64(username:password)".to_owned(),
        ),
    }
}

/// Go's decoder: newlines are skipped, padding decides between its two alphabets, and the error names
/// the first byte that is wrong.
fn go_base64(text: &str) -> Result<Vec<u8>, String> {
    let padded = text.trim().ends_with('=');
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    let mut count = 0_usize;
    let illegal = |at: usize| Err(format!("illegal base64 data at input byte {at}"));
    let mut end = None;
    for (at, c) in text.bytes().enumerate() {
        let value = match c {
            b'\r' | b'\n' => continue,
            b'=' if padded && count % 4 >= 2 => {
                end.get_or_insert(at);
                count += 1;
                continue;
            }
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return illegal(at),
        };
        if end.is_some() {
            return illegal(at);
        }
        count += 1;
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    let complete = if padded {
        count.is_multiple_of(4)
    } else {
        count % 4 != 1
    };
    if complete {
        Ok(bytes)
    } else {
        illegal(text.len() - count % 4)
    }
}

fn mismatch(value: &Value, field: &str, of: &str) -> String {
    let what = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if field.is_empty() {
        format!("json: cannot unmarshal {what} into Go value of type {of}")
    } else {
        format!("json: cannot unmarshal {what} into Go struct field {field} of type {of}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(text: &str) -> Value {
        json!({ "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": STANDARD.encode(text) } })
    }

    #[test]
    fn secrets_that_can_be_read() {
        let user = Credential {
            username: "u".into(),
            secret: "p:q".into(),
        };
        let table = [
            (
                r#"{"auths":{"r.example":{"username":"u","password":"p:q"}}}"#,
                vec![("r.example".into(), user.clone())],
            ),
            (
                r#"{"auths":{"r.example":{"username":"x","password":"y","auth":"dTpwOnE="}}}"#,
                vec![("r.example".into(), user.clone())],
            ),
            (
                r#"{"auths":{"r.example":{"auth":"dTpwOnE"}}}"#,
                vec![("r.example".into(), user)],
            ),
            (
                r#"{"auths":{"r.example":{}}}"#,
                vec![("r.example".into(), Credential::default())],
            ),
            (r#"{"credHelpers":{"r.example":"x"}}"#, vec![]),
        ];
        for (text, want) in table {
            assert_eq!(entries(&secret(text)), Ok(want), "for {text}");
        }
        let opaque = json!({ "type": "Opaque", "data": { ".dockerconfigjson": "e30=" } });
        assert_eq!(entries(&opaque), Ok(vec![]));
    }

    #[test]
    fn secrets_that_fail_the_pull() {
        let table = [
            (
                r#"{"auths":{"r":{"auth":"!"}}}"#,
                "illegal base64 data at input byte 0",
            ),
            (
                r#"{"auths":{"r":{"auth":"dXNlcg=="}}}"#,
                "unable to parse auth field, must be formatted as base64(username:password)",
            ),
            (
                r#"{"auths":[1]}"#,
                "json: cannot unmarshal array into Go struct field DockerConfigJSON.auths of type credentialprovider.DockerConfig",
            ),
            (r#"{"auths":"#, "unexpected end of JSON input"),
        ];
        for (text, want) in table {
            assert_eq!(entries(&secret(text)), Err(want.to_owned()), "for {text}");
        }
    }
}
