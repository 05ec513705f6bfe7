//! Who may do what: everything, less a list of denials. Enough to play a user who may not list
//! events, and to answer `kubectl auth can-i`.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::store::ApiError;

/// Something a user may not do. A part left out denies any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    /// `list`, `get`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: Option<String>,
    /// `events`, `pods/log`.
    pub resource: Option<String>,
    /// The namespace it holds in.
    pub namespace: Option<String>,
}

impl Denial {
    /// Denies a verb on a resource in all namespaces.
    pub fn of(verb: &str, resource: &str) -> Self {
        Self {
            verb: Some(verb.into()),
            resource: Some(resource.into()),
            namespace: None,
        }
    }

    /// Denies every verb on a resource.
    pub fn all_of(resource: &str) -> Self {
        Self {
            resource: Some(resource.into()),
            ..Self::default()
        }
    }

    fn matches(&self, attempt: &Attempt) -> bool {
        let fits = |rule: &Option<String>, value: &str| rule.as_deref().is_none_or(|r| r == value);
        fits(&self.verb, &attempt.verb)
            && fits(&self.resource, &attempt.resource_and_subresource())
            && fits(&self.namespace, &attempt.namespace)
    }
}

/// The rights of a user. Cheap to clone, all clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Access {
    user: Option<Arc<str>>,
    denials: Arc<Mutex<Vec<Denial>>>,
}

/// What someone wants to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Attempt {
    pub(super) verb: String,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) subresource: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Attempt {
    fn resource_and_subresource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The 403 as the real server words it.
    fn refusal(&self, user: &str) -> ApiError {
        let resource = self.resource_and_subresource();
        let qualified = if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        };
        let subject = if self.name.is_empty() {
            qualified
        } else {
            format!("{qualified} {:?}", self.name)
        };
        let scope = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", self.namespace)
        };
        let mut details = json!({ "kind": self.resource });
        if let Some(details) = details.as_object_mut() {
            if !self.group.is_empty() {
                details.insert("group".into(), self.group.clone().into());
            }
            if !self.name.is_empty() {
                details.insert("name".into(), self.name.clone().into());
            }
        }
        ApiError {
            code: 403,
            reason: "Forbidden",
            message: format!(
                "{subject} is forbidden: User {user:?} cannot {} resource {resource:?} in API group {:?} {scope}",
                self.verb, self.group
            ),
            details: Some(details),
        }
    }
}

impl Access {
    /// The rights of a named user, who may do everything until something is denied.
    pub fn of_user(user: &str) -> Self {
        Self {
            user: Some(user.into()),
            ..Self::default()
        }
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("kubernetes-admin")
    }

    /// Denies something from now on.
    pub fn deny(&self, denial: Denial) {
        self.denials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(denial);
    }

    /// Allows everything again.
    pub fn allow_all(&self) {
        self.denials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn denies(&self, attempt: &Attempt) -> bool {
        let denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
        denials.iter().any(|denial| denial.matches(attempt))
    }

    pub(super) fn check(&self, attempt: &Attempt) -> Result<(), ApiError> {
        if self.denies(attempt) {
            return Err(attempt.refusal(self.user()));
        }
        Ok(())
    }

    /// Answers a `SelfSubjectAccessReview`.
    pub(super) fn review(&self, mut review: Value) -> Result<Value, ApiError> {
        let spec = review.get("spec");
        let attributes = spec.and_then(|spec| spec.get("resourceAttributes"));
        let other = spec.and_then(|spec| spec.get("nonResourceAttributes"));
        if attributes.is_some() == other.is_some() {
            return Err(ApiError::plain(
                422,
                "Invalid",
                "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: \
                 spec.resourceAttributes: Invalid value: null: exactly one of \
                 nonResourceAttributes or resourceAttributes must be specified",
            ));
        }
        let text = |field: &str| {
            let value = attributes.and_then(|attributes| attributes.get(field));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let attempt = Attempt {
            verb: text("verb"),
            group: text("group"),
            resource: text("resource"),
            subresource: text("subresource"),
            namespace: text("namespace"),
            name: text("name"),
        };
        let allowed = attributes.is_none() || !self.denies(&attempt);
        if let Some(review) = review.as_object_mut() {
            review.insert("kind".into(), "SelfSubjectAccessReview".into());
            review.insert("apiVersion".into(), "authorization.k8s.io/v1".into());
            let status = if allowed {
                json!({ "allowed": true })
            } else {
                json!({ "allowed": false, "reason": "" })
            };
            review.insert("status".into(), status);
        }
        Ok(review)
    }

    /// Answers a `SelfSubjectRulesReview`: all verbs on everything, as far as rules can say it.
    pub(super) fn rules() -> Value {
        json!({
            "kind": "SelfSubjectRulesReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {},
            "status": {
                "resourceRules": [{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }],
                "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
                "incomplete": true
            }
        })
    }

    /// Answers a `SelfSubjectReview` (`kubectl auth whoami`).
    pub(super) fn whoami(&self) -> Value {
        json!({
            "kind": "SelfSubjectReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {},
            "status": { "userInfo": {
                "username": self.user(),
                "groups": ["system:authenticated"]
            } }
        })
    }
}
