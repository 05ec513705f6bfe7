//! The query of a request: every parameter the server heeds, read once and checked.

use percent_encoding::percent_decode_str;

use crate::store::ApiError;

/// What a request asks for beyond its path.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    pub(super) label_selector: String,
    pub(super) field_selector: String,
    pub(super) limit: Option<usize>,
    pub(super) continue_token: String,
    pub(super) resource_version: String,
    pub(super) version_match: String,
    pub(super) watch: bool,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) bookmarks: bool,
    pub(super) send_initial_events: Option<bool>,
    pub(super) dry_run: bool,
    pub(super) field_manager: String,
    pub(super) field_validation: String,
    pub(super) force: bool,
    pub(super) grace: Option<i64>,
    pub(super) propagation: Option<String>,
    pub(super) orphan_dependents: Option<bool>,
    pub(super) include_object: String,
    pub(super) container: String,
    pub(super) previous: bool,
    pub(super) limit_bytes: Option<usize>,
    pub(super) follow: bool,
}

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            query.set(name, value)?;
        }
        Ok(query)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        match name {
            "labelSelector" => self.label_selector = value,
            "fieldSelector" => self.field_selector = value,
            "limit" => self.limit = number(name, &value)?.filter(|limit| *limit > 0),
            "continue" => self.continue_token = value,
            "resourceVersion" => self.resource_version = value,
            "resourceVersionMatch" => self.version_match = value,
            "watch" => self.watch = flag(&value),
            "timeoutSeconds" => self.timeout_seconds = number(name, &value)?,
            "allowWatchBookmarks" => self.bookmarks = flag(&value),
            "sendInitialEvents" => self.send_initial_events = Some(flag(&value)),
            "dryRun" if value == "All" => self.dry_run = true,
            "dryRun" if value.is_empty() => {}
            "dryRun" => {
                return Err(ApiError::plain(
                    422,
                    "Invalid",
                    format!(
                        "PatchOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: {value:?}: supported values: \"All\""
                    ),
                ));
            }
            "fieldManager" => self.field_manager = value,
            "fieldValidation" => self.field_validation = value,
            "force" => self.force = flag(&value),
            "gracePeriodSeconds" => self.grace = number(name, &value)?,
            "propagationPolicy" => self.propagation = Some(value),
            "orphanDependents" => self.orphan_dependents = Some(flag(&value)),
            "includeObject" => self.include_object = value,
            "container" => self.container = value,
            "limitBytes" => self.limit_bytes = number(name, &value)?,
            "previous" => self.previous = flag(&value),
            "follow" => self.follow = flag(&value),
            _ => {}
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<Option<T>, ApiError> {
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| {
        ApiError::bad_request(format!(
            "strconv.ParseInt: parsing {value:?} ({name}): invalid syntax"
        ))
    })
}

/// As the real conversion has it: present and not plainly false is true.
fn flag(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "0")
}
