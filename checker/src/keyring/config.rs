//! Docker configurations: the inner map of a pull secret, and `config.json`.
//!
//! Two readers with different habits. The kubelet reads only user name, password and `auth`, takes field names
//! in any case, and gives the whole secret up at the first malformed entry. The docker client also knows identity
//! tokens and helpers. No error says anything of a value.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value};

use super::Credential;
use super::secret::Secret;

/// Larger than any secret that Kubernetes stores.
const MAX_CONFIG: usize = 1024 * 1024;
const MAX_ENTRIES: usize = 4096;

/// Why a configuration cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not JSON.
    #[error("not JSON (line {line}, column {column})")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A field has another type than it must have.
    #[error("`{field}` is not {wanted}")]
    Type {
        /// Which field.
        field: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// `auth` is not base64.
    #[error("`auth` of `{key}` is not base64")]
    NotBase64 {
        /// Of which entry.
        key: String,
    },
    /// `auth` holds no colon.
    #[error("`auth` of `{key}` is not base64 of `username:password`")]
    NoColon {
        /// Of which entry.
        key: String,
    },
    /// Larger than is read.
    #[error("larger than 1 MiB or more than {MAX_ENTRIES} entries")]
    TooLarge,
}

/// One entry: its key as written, what it holds, and what in it a kubelet does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) credential: Credential,
    pub(super) not_read: Option<&'static str>,
}

/// A user's `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DockerConfig {
    pub(super) entries: Vec<Entry>,
    pub(super) helpers: Vec<(String, String)>,
    pub(super) store: Option<String>,
}

/// The whole of `.dockerconfigjson`, as the kubelet reads it.
pub(super) fn docker_config_json(
    body: &[u8],
) -> Result<(Vec<Entry>, Vec<&'static str>), ConfigError> {
    let root = object(parse(body)?, "the configuration")?;
    let ignored = ["credsStore", "credHelpers"]
        .into_iter()
        .filter(|name| root.get(*name).is_some_and(is_filled))
        .collect();
    let entries = match field(&root, "auths") {
        None | Some(Value::Null) => Vec::new(),
        Some(auths) => entries(object(auths.clone(), "auths")?)?,
    };
    Ok((entries, ignored))
}

/// The whole of `.dockercfg`: the inner map alone.
pub(super) fn dockercfg(body: &[u8]) -> Result<Vec<Entry>, ConfigError> {
    match parse(body)? {
        Value::Null => Ok(Vec::new()),
        root => entries(object(root, "the configuration")?),
    }
}

/// The type whose form a secret has though its type is the other one: its reader then finds no key of a host.
pub(super) fn other_form(kind: &str, entries: &[Entry], body: &[u8]) -> Option<&'static str> {
    let root = object(parse(body).ok()?, "").ok()?;
    if kind == "kubernetes.io/dockercfg" {
        let nested = root.contains_key("auths") && entries.len() == root.len();
        return nested.then_some("kubernetes.io/dockerconfigjson");
    }
    let holds_one = |value: &Value| {
        let names = ["auth", "username", "password"];
        let object = value.as_object();
        object.is_some_and(|one| names.iter().any(|name| one.contains_key(*name)))
    };
    (entries.is_empty() && root.values().any(holds_one)).then_some("kubernetes.io/dockercfg")
}

/// A user's configuration, with what the docker client knows besides.
pub(super) fn user_config(body: &[u8]) -> Result<DockerConfig, ConfigError> {
    let root = object(parse(body)?, "the configuration")?;
    let entries = match root.get("auths") {
        None | Some(Value::Null) => Vec::new(),
        Some(auths) => entries(object(auths.clone(), "auths")?)?,
    };
    let helpers = match root.get("credHelpers") {
        Some(Value::Object(helpers)) => helpers
            .iter()
            .take(MAX_ENTRIES)
            .filter_map(|(host, helper)| Some((host.clone(), helper.as_str()?.to_owned())))
            .collect(),
        _ => Vec::new(),
    };
    let store = root
        .get("credsStore")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .map(str::to_owned);
    Ok(DockerConfig {
        entries,
        helpers,
        store,
    })
}

fn parse(body: &[u8]) -> Result<Value, ConfigError> {
    if body.len() > MAX_CONFIG {
        return Err(ConfigError::TooLarge);
    }
    serde_json::from_slice(body).map_err(|error| ConfigError::NotJson {
        line: error.line(),
        column: error.column(),
    })
}

fn object(value: Value, name: &str) -> Result<Map<String, Value>, ConfigError> {
    match value {
        Value::Object(map) if map.len() <= MAX_ENTRIES => Ok(map),
        Value::Object(_) => Err(ConfigError::TooLarge),
        _ => Err(ConfigError::Type {
            field: name.to_owned(),
            wanted: "an object",
        }),
    }
}

/// Go's JSON reader takes a field in any case, an exact one first.
fn field<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).or_else(|| {
        map.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

fn entries(map: Map<String, Value>) -> Result<Vec<Entry>, ConfigError> {
    map.into_iter()
        .map(|(key, value)| entry(key, value))
        .collect()
}

fn entry(key: String, value: Value) -> Result<Entry, ConfigError> {
    let fields = match value {
        Value::Null => Map::new(),
        value => object(value, &key)?,
    };
    let text = |name: &str| match field(&fields, name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(ConfigError::Type {
            field: format!("{key}.{name}"),
            wanted: "a text",
        }),
    };
    let (mut username, mut password) = (text("username")?, text("password")?);
    let auth = text("auth")?;
    if !auth.is_empty() {
        (username, password) = decode(&key, &auth)?;
    }
    let identity = text("identitytoken").unwrap_or_default();
    let not_read = ["identitytoken", "registrytoken"].into_iter().find(|name| {
        fields
            .get(*name)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    });
    let credential = Credential {
        username: username.into(),
        password: Secret::new(password),
        identity_token: (!identity.is_empty()).then(|| Secret::new(identity)),
    };
    Ok(Entry {
        key,
        credential,
        not_read,
    })
}

fn decode(key: &str, auth: &str) -> Result<(String, String), ConfigError> {
    // Go strips line breaks inside base64, and nothing else.
    let field: String = auth
        .chars()
        .filter(|found| !matches!(found, '\r' | '\n'))
        .collect();
    let engine = if auth.trim().ends_with('=') {
        &STANDARD
    } else {
        &STANDARD_NO_PAD
    };
    let bytes = engine
        .decode(field.as_bytes())
        .map_err(|_| ConfigError::NotBase64 {
            key: key.to_owned(),
        })?;
    let text = String::from_utf8_lossy(&bytes);
    let (username, password) = text.split_once(':').ok_or_else(|| ConfigError::NoColon {
        key: key.to_owned(),
    })?;
    Ok((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn auth(text: &str) -> String {
        STANDARD.encode(text)
    }

    #[test]
    fn auth_wins_over_user_and_password() {
        let body = format!(
            r#"{{"AUTHS":{{"r.io":{{"username":"a","password":"b","auth":"{}"}}}}}}"#,
            auth("u:p:q")
        );
        let (entries, _) = docker_config_json(body.as_bytes()).unwrap();
        assert_eq!(&*entries[0].credential.username, "u");
        assert_eq!(entries[0].credential.password.expose(), "p:q");
        let unpadded = auth("user:pw").trim_end_matches('=').to_owned();
        let entries =
            dockercfg(format!(r#"{{"r.io":{{"auth":"{unpadded}"}}}}"#).as_bytes()).unwrap();
        assert_eq!(entries[0].credential.password.expose(), "pw");
    }

    #[test]
    fn what_makes_a_whole_secret_useless() {
        let no_colon = format!(r#"{{"auths":{{"r.io":{{"auth":"{}"}}}}}}"#, auth("nocolon"));
        let table = [
            ("{", ConfigError::NotJson { line: 1, column: 1 }),
            (
                "[]",
                ConfigError::Type {
                    field: "the configuration".into(),
                    wanted: "an object",
                },
            ),
            (
                r#"{"auths":[]}"#,
                ConfigError::Type {
                    field: "auths".into(),
                    wanted: "an object",
                },
            ),
            (
                r#"{"auths":{"r.io":{"auth":"!"}}}"#,
                ConfigError::NotBase64 { key: "r.io".into() },
            ),
            (
                r#"{"auths":{"r.io":{"username":1}}}"#,
                ConfigError::Type {
                    field: "r.io.username".into(),
                    wanted: "a text",
                },
            ),
            (
                no_colon.as_str(),
                ConfigError::NoColon { key: "r.io".into() },
            ),
        ];
        for (body, want) in table {
            assert_eq!(docker_config_json(body.as_bytes()), Err(want), "for {body}");
        }
        assert_eq!(docker_config_json(b"{}"), Ok((Vec::new(), Vec::new())));
        assert_eq!(
            docker_config_json(br#"{"auths":null,"credsStore":"x"}"#),
            Ok((Vec::new(), vec!["credsStore"]))
        );
    }

    #[test]
    fn a_users_configuration_has_more() {
        let body = br#"{"auths":{"r.io":{"identitytoken":"t"}},"credHelpers":{"e.io":"ecr-login"},"credsStore":"desktop"}"#;
        let config = user_config(body).unwrap();
        assert_eq!(config.entries[0].not_read, Some("identitytoken"));
        assert!(config.entries[0].credential.identity_token.is_some());
        assert_eq!(
            config.helpers,
            [("e.io".to_owned(), "ecr-login".to_owned())]
        );
        assert_eq!(config.store.as_deref(), Some("desktop"));
    }

    #[test]
    fn errors_hold_no_values() {
        let error = docker_config_json(br#"{"auths":{"r.io":{"auth":"aHVudGVyMg"}}}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(!format!("{error} {error:?}").contains("aHVudGVyMg"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (docker_config_json(&body), dockercfg(&body), user_config(&body));
        }
    }
}
