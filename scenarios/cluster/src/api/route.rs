//! The path of a request: which resource, which object, which part of it.

use percent_encoding::percent_decode_str;

use crate::store::{ApiError, Kind};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/api`, `/apis`, `/api/v1`, `/apis/G`, `/apis/G/V`.
    Discovery(Vec<String>),
    /// `/version`.
    Version,
    /// `/healthz`, `/livez`, `/readyz`.
    Health,
    /// `/openapi/…`, less the prefix.
    OpenApi(Vec<String>),
    /// A review that is answered and never stored: its plural.
    Review(String),
    /// Objects.
    Objects(Target),
    /// Nothing the server knows.
    Unknown,
}

/// Objects or one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: Kind,
    /// Reached as `events.k8s.io/v1`, the other encoding of events.
    pub(super) as_events_v1: bool,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

impl Target {
    /// The namespace, empty for none.
    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// The name, for verbs that need one.
    pub(super) fn name(&self) -> Result<&str, ApiError> {
        self.name
            .as_deref()
            .ok_or_else(ApiError::method_not_allowed)
    }

    pub(super) fn group(&self) -> &'static str {
        if self.as_events_v1 {
            "events.k8s.io"
        } else {
            self.kind.wire().group
        }
    }

    pub(super) fn api_version(&self) -> String {
        if self.as_events_v1 {
            "events.k8s.io/v1".into()
        } else {
            self.kind.api_version()
        }
    }
}

impl Route {
    pub(super) fn parse(path: &str) -> Self {
        let parts: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let texts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match texts.as_slice() {
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["openapi", rest @ ..] => Self::OpenApi(owned(rest)),
            ["api" | "apis"] | ["api", "v1"] | ["apis", _] | ["apis", _, _] => {
                Self::Discovery(parts)
            }
            ["api", "v1", rest @ ..] => Self::objects("", "v1", rest),
            [
                "apis",
                "authorization.k8s.io" | "authentication.k8s.io",
                "v1",
                review,
            ] => Self::Review((*review).to_owned()),
            ["apis", group, version, rest @ ..] => Self::objects(group, version, rest),
            _ => Self::Unknown,
        }
    }

    fn objects(group: &str, version: &str, rest: &[&str]) -> Self {
        let found = match rest {
            // The subresources of namespaces look like resources in one.
            ["namespaces", name, sub @ ("status" | "finalize")] => {
                Self::target(group, version, "namespaces", None, Some(name), Some(sub))
            }
            ["namespaces", namespace, plural, rest @ ..] => {
                let (name, sub) = match rest {
                    [] => (None, None),
                    [name] => (Some(name), None),
                    [name, sub] => (Some(name), Some(sub)),
                    _ => return Self::Unknown,
                };
                Self::target(group, version, plural, Some(namespace), name, sub)
            }
            [plural] => Self::target(group, version, plural, None, None, None),
            [plural, name] => Self::target(group, version, plural, None, Some(name), None),
            [plural, name, sub] => {
                Self::target(group, version, plural, None, Some(name), Some(sub))
            }
            _ => None,
        };
        found.map_or(Self::Unknown, Self::Objects)
    }

    fn target(
        group: &str,
        version: &str,
        plural: &str,
        namespace: Option<&&str>,
        name: Option<&&str>,
        subresource: Option<&&str>,
    ) -> Option<Target> {
        let as_events_v1 = group == "events.k8s.io" && plural == "events";
        let kind = if as_events_v1 {
            Kind::Event
        } else {
            Kind::find(group, plural)?
        };
        if version != kind.wire().version {
            return None;
        }
        let namespaced = kind.namespaced();
        // One object of a namespaced kind has a namespace; other kinds have none.
        if (namespaced && namespace.is_none() && name.is_some())
            || (!namespaced && namespace.is_some())
        {
            return None;
        }
        let owned = |text: Option<&&str>| text.map(|text| (*text).to_owned());
        Some(Target {
            kind,
            as_events_v1,
            namespace: owned(namespace),
            name: owned(name),
            subresource: owned(subresource),
        })
    }
}

fn owned(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_lead_where_kubernetes_has_them() {
        let target = |path: &str| match Route::parse(path) {
            Route::Objects(target) => format!(
                "{} {} {} {}",
                target.kind.resource(),
                target.namespace.as_deref().unwrap_or("-"),
                target.name.as_deref().unwrap_or("-"),
                target.subresource.as_deref().unwrap_or("-")
            ),
            other => format!("{other:?}"),
        };
        let table = [
            ("/api/v1/pods", "pods - - -"),
            ("/api/v1/namespaces/a/pods", "pods a - -"),
            ("/api/v1/namespaces/a/pods/p%2Dx/log", "pods a p-x log"),
            ("/api/v1/namespaces/a", "namespaces - a -"),
            ("/api/v1/namespaces/a/status", "namespaces - a status"),
            ("/api/v1/nodes/n/status", "nodes - n status"),
            (
                "/apis/apps/v1/namespaces/a/deployments/d/scale",
                "deployments.apps a d scale",
            ),
            ("/apis/events.k8s.io/v1/namespaces/a/events", "events a - -"),
            ("/apis/apps/v1beta1/deployments", "Unknown"),
            ("/api/v1/pods/p", "Unknown"),
            ("/api/v1/namespaces/a/nodes/n", "Unknown"),
            ("/api/v1/unicorns", "Unknown"),
            ("/", "Unknown"),
            ("/version", "Version"),
        ];
        for (path, want) in table {
            assert_eq!(target(path), want, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in any::<String>()) {
            let _ = Route::parse(&path);
        }
    }
}
