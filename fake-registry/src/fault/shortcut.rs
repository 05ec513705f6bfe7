//! Faults that have a name because clients meet them in the wild: challenges that are odd, and
//! token endpoints that answer without a token.

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// A `WWW-Authenticate` that is not what a client hopes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Challenge {
    /// 401 without any challenge.
    None,
    /// `Basic`, where a token service might be expected.
    Basic,
    /// `Basic` and `Bearer`, in two headers.
    Several,
    /// `Basic` and `Bearer` in one header, separated by a comma.
    Joined,
    /// `Bearer` without a realm.
    MissingRealm,
    /// `Bearer` with an empty realm.
    EmptyRealm,
    /// `Bearer` with a realm that is a path and no address.
    RelativeRealm,
    /// `Bearer` with a realm that nobody answers at.
    DeadRealm,
    /// A quote that never ends.
    Malformed,
    /// `Negotiate`, as a proxy of a company asks for it.
    Negotiate,
}

impl Challenge {
    /// The header values; `origin` is how the client reached us.
    pub(crate) fn values(self, origin: &str) -> Vec<String> {
        let basic = "Basic realm=\"registry\"".to_owned();
        let bearer = format!("Bearer realm=\"{origin}/token\",service=\"registry\"");
        match self {
            Self::None => Vec::new(),
            Self::Basic => vec![basic],
            Self::Several => vec![basic, bearer],
            Self::Joined => vec![format!("{basic}, {bearer}")],
            Self::MissingRealm => vec!["Bearer service=\"registry\"".to_owned()],
            Self::EmptyRealm => vec!["Bearer realm=\"\",service=\"registry\"".to_owned()],
            Self::RelativeRealm => vec!["Bearer realm=\"/token\",service=\"registry\"".to_owned()],
            Self::DeadRealm => {
                vec![
                    "Bearer realm=\"https://tokens.invalid/token\",service=\"registry\"".to_owned(),
                ]
            }
            Self::Malformed => vec![format!("Bearer realm=\"{origin}/token,service=registry")],
            Self::Negotiate => vec!["Negotiate".to_owned()],
        }
    }
}

/// What a token endpoint answers instead of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TokenFault {
    /// 401: the credential is not taken.
    Refused,
    /// 200 without a token in it.
    Missing,
    /// 200 with an empty token.
    Empty,
    /// 200 with JSON that breaks off.
    BadJson,
    /// 200 with a token that no registry takes.
    Forged,
}

impl TokenFault {
    pub(crate) fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Refused => (
                StatusCode::UNAUTHORIZED,
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}"#,
            ),
            Self::Missing => (StatusCode::OK, r#"{"expires_in":300}"#),
            Self::Empty => (StatusCode::OK, r#"{"token":"","expires_in":300}"#),
            Self::BadJson => (StatusCode::OK, r#"{"token":"#),
            Self::Forged => (
                StatusCode::OK,
                r#"{"token":"not-a-token","expires_in":300}"#,
            ),
        }
    }
}
