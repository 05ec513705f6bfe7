//! The registry's refusals as docker/distribution's client understands them
//! (`registry/client/errors.go`, `registry/api/errcode`), which CRI-O tells them by.
//!
//! A body becomes values here; how a runtime words them is its own affair. containerd has an understanding
//! of its own (`super::session::registry_errors`).

use serde_json::Value;

use super::challenge::{self, Scheme};
use super::go;
use super::transport::{Client, Response};

/// What is read of an error's body.
const ERROR_BODY: usize = 64 << 10;
/// Errors of one body that are looked at.
const MOST_ERRORS: usize = 16;

/// A code that the client knows, and its default message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    name: &'static str,
    message: &'static str,
}

impl Code {
    /// As Go prints it: `manifest unknown`.
    pub(crate) fn text(self) -> String {
        self.name.to_ascii_lowercase().replace('_', " ")
    }

    /// Its default message.
    pub(crate) fn message(self) -> &'static str {
        self.message
    }

    /// The code of this name; what is not known is `UNKNOWN`.
    pub(crate) fn named(name: &str) -> Self {
        CODES
            .iter()
            .copied()
            .find(|c| c.name == name)
            .unwrap_or(UNKNOWN)
    }
}

const UNKNOWN: Code = Code {
    name: "UNKNOWN",
    message: "unknown error",
};

const CODES: [Code; 17] = [
    UNKNOWN,
    Code {
        name: "UNSUPPORTED",
        message: "The operation is unsupported.",
    },
    Code {
        name: "UNAUTHORIZED",
        message: "authentication required",
    },
    Code {
        name: "DENIED",
        message: "requested access to the resource is denied",
    },
    Code {
        name: "UNAVAILABLE",
        message: "service unavailable",
    },
    Code {
        name: "TOOMANYREQUESTS",
        message: "too many requests",
    },
    Code {
        name: "DIGEST_INVALID",
        message: "provided digest did not match uploaded content",
    },
    Code {
        name: "SIZE_INVALID",
        message: "provided length did not match content length",
    },
    Code {
        name: "NAME_INVALID",
        message: "invalid repository name",
    },
    Code {
        name: "TAG_INVALID",
        message: "manifest tag did not match URI",
    },
    Code {
        name: "NAME_UNKNOWN",
        message: "repository name not known to registry",
    },
    Code {
        name: "MANIFEST_UNKNOWN",
        message: "manifest unknown",
    },
    Code {
        name: "MANIFEST_INVALID",
        message: "manifest invalid",
    },
    Code {
        name: "MANIFEST_UNVERIFIED",
        message: "manifest failed signature verification",
    },
    Code {
        name: "MANIFEST_BLOB_UNKNOWN",
        message: "blob unknown to registry",
    },
    Code {
        name: "BLOB_UNKNOWN",
        message: "blob unknown to registry",
    },
    Code {
        name: "BLOB_UPLOAD_UNKNOWN",
        message: "blob upload unknown to registry",
    },
];

/// One thing that a registry complains of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// A code with nothing to add (`errcode.ErrorCode`).
    Code(Code),
    /// A code with a message (`errcode.Error`).
    Error(Code, String),
    /// A refusal in words that are not the registry's JSON.
    Unread {
        /// The status.
        status: u16,
        /// Go's words on the JSON.
        problem: String,
        /// The body.
        body: Vec<u8>,
    },
    /// Any other status: `503 Service Unavailable`.
    Status(String),
}

impl Complaint {
    /// As Go prints it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Code(code) => code.text(),
            Self::Error(code, message) => format!("{}: {message}", code.text()),
            Self::Unread {
                status,
                problem,
                body,
            } => format!(
                "error parsing HTTP {status} response body: {problem}: {}",
                go::quote(&String::from_utf8_lossy(body))
            ),
            Self::Status(line) => format!("received unexpected HTTP status: {line}"),
        }
    }
}

/// All complaints in one text (`errcode.Errors`).
pub(crate) fn all(complaints: &[Complaint]) -> String {
    match complaints {
        [] => "<nil>".to_owned(),
        [one] => one.text(),
        many => many.iter().fold("errors:\n".to_owned(), |text, one| {
            format!("{text}{}\n", one.text())
        }),
    }
}

/// `HandleErrorResponse`: what an answer that is no success complains of; one thing at least.
pub(crate) async fn complaints(response: Response, client: &Client) -> Vec<Complaint> {
    let (status, line) = (response.status, response.status_line.clone());
    if !(400..500).contains(&status) {
        response.body.discard(client).await;
        return vec![Complaint::Status(line)];
    }
    let mut found = Vec::new();
    if status == 401 {
        found.extend(of_challenge(&response));
    }
    let body = response
        .body
        .text(client, ERROR_BODY)
        .await
        .unwrap_or_default();
    let spoken = !found.is_empty();
    for complaint in of_body(status, &body) {
        found.push(match complaint {
            Complaint::Unread { .. } if status == 401 && !spoken => {
                let code = Code::named("UNAUTHORIZED");
                Complaint::Error(code, code.message.to_owned())
            }
            other => other,
        });
    }
    found
}

/// The OAuth error of a `Www-Authenticate` line.
fn of_challenge(response: &Response) -> Option<Complaint> {
    let challenges = challenge::parse(&response.headers);
    challenges
        .iter()
        .filter(|challenge| challenge.scheme == Scheme::Bearer)
        .find_map(|challenge| {
            let code = match challenge.parameters.get("error").map(String::as_str) {
                Some("invalid_token") => Code::named("UNAUTHORIZED"),
                Some("insufficient_scope") => Code::named("DENIED"),
                _ => return None,
            };
            let said = challenge.parameters.get("error_description");
            let said = said.filter(|said| !said.is_empty());
            Some(Complaint::Error(
                code,
                said.map_or(code.message, String::as_str).to_owned(),
            ))
        })
}

fn of_body(status: u16, body: &[u8]) -> Vec<Complaint> {
    let unread = |problem: &str| {
        vec![Complaint::Unread {
            status,
            problem: problem.to_owned(),
            body: body.to_vec(),
        }]
    };
    if let Some(problem) = go::json_error(body) {
        return unread(&problem);
    }
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    if let Some(details) = value.get("details").and_then(Value::as_str)
        && !details.is_empty()
    {
        let code = match status {
            401 => "UNAUTHORIZED",
            429 => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        return vec![Complaint::Error(Code::named(code), details.to_owned())];
    }
    let Some(list) = value.get("errors").and_then(Value::as_array) else {
        return unread("no error details found in HTTP response body");
    };
    let found: Vec<_> = list.iter().take(MOST_ERRORS).map(of_entry).collect();
    if found.is_empty() {
        return unread("no error details found in HTTP response body");
    }
    found
}

fn of_entry(entry: &Value) -> Complaint {
    let text = |field| entry.get(field).and_then(Value::as_str).unwrap_or_default();
    let (code, message) = (Code::named(text("code")), text("message"));
    let detail = entry.get("detail").is_some_and(|detail| !detail.is_null());
    if !detail && (message.is_empty() || message == code.message) {
        Complaint::Code(code)
    } else {
        Complaint::Error(code, message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_and_their_words() {
        let table = [
            (
                404,
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
                "manifest unknown",
            ),
            (
                404,
                r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
                "manifest unknown: manifest unknown",
            ),
            (
                403,
                r#"{"errors":[{"code":"DENIED","message":"client with IP"}]}"#,
                "denied: client with IP",
            ),
            (403, r#"{"errors":[{"code":"OTHER"}]}"#, "unknown"),
            (
                429,
                r#"{"details":"slow down"}"#,
                "toomanyrequests: slow down",
            ),
            (
                403,
                "<html>",
                "error parsing HTTP 403 response body: invalid character '<' looking for beginning of value: \"<html>\"",
            ),
            (
                404,
                "{}",
                "error parsing HTTP 404 response body: no error details found in HTTP response body: \"{}\"",
            ),
        ];
        for (status, body, want) in table {
            assert_eq!(all(&of_body(status, body.as_bytes())), want, "for {body}");
        }
        let two = [
            Complaint::Code(Code::named("DENIED")),
            Complaint::Status("500 x".into()),
        ];
        assert_eq!(
            all(&two),
            "errors:\ndenied\nreceived unexpected HTTP status: 500 x\n"
        );
    }
}
