//! `Microsoft.Authorization`: role assignments, role definitions, deny assignments.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ArmError, Outcome, Request, not_allowed};
use crate::azure::condition::Condition;
use crate::azure::roles::Role;
use crate::azure::state::{Assignment, State};
use crate::message::{empty_reply, json_reply, param};

const READ: &str = "Microsoft.Authorization/roleAssignments/read";
const WRITE: &str = "Microsoft.Authorization/roleAssignments/write";
const DELETE: &str = "Microsoft.Authorization/roleAssignments/delete";

pub(super) fn answer(request: &Request<'_>, scope: &str, rest: &str) -> Outcome {
    let mut parts = rest.split('/');
    let (kind, name, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    if more.is_some() {
        return Err(invalid_path());
    }
    check_scope(request, scope)?;
    let kind = kind.to_ascii_lowercase();
    match (kind.as_str(), name, request.call.method.as_str()) {
        ("roleassignments", None, "GET") => list(request, scope, false),
        ("denyassignments", None, "GET") => list(request, scope, true),
        ("roleassignments", Some(name), "GET") => get(request, scope, name),
        ("roleassignments", Some(name), "PUT") => put(request, scope, name),
        ("roleassignments", Some(name), "DELETE") => delete(request, scope, name),
        ("roledefinitions", None, "GET") => definitions(request, scope),
        ("roledefinitions", Some(name), "GET") => definition(request, scope, name),
        ("roleassignments" | "denyassignments" | "roledefinitions", _, _) => {
            Err(not_allowed(request.call.method))
        }
        _ => Err(invalid_path()),
    }
}

fn invalid_path() -> ArmError {
    ArmError::new(
        StatusCode::NOT_FOUND,
        "InvalidResourceType",
        "The resource type could not be found in the namespace 'Microsoft.Authorization' for the api version.",
    )
}

/// Scopes in a subscription that does not exist are an error of their own.
fn check_scope(request: &Request<'_>, scope: &str) -> Result<(), ArmError> {
    let state = request.azure.read();
    super::resources::subscription_of(scope).map_or(Ok(()), |id| {
        super::resources::known_subscription(&state, id)
    })
}

/// What `$filter` selects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    at_scope: bool,
    principal: Option<String>,
    assigned_to: Option<String>,
    role_name: Option<String>,
}

impl Filter {
    /// `atScope()`, `principalId eq '…'`, `assignedTo('…')`, `roleName eq '…'`, joined by `and`.
    fn parse(text: &str) -> Result<Self, ArmError> {
        let mut filter = Self::default();
        let unsupported = || {
            ArmError::bad_request(
                "UnsupportedQuery",
                format!(
                    "The filter '{text}' is not supported. Supported filters are either 'atScope()' or 'principalId eq '{{value}}' or assignedTo('{{value}}')'."
                ),
            )
        };
        for term in split_and(text) {
            let term = term.trim();
            let quoted = |rest: &str| {
                rest.trim()
                    .strip_prefix('\'')
                    .and_then(|rest| rest.strip_suffix('\''))
                    .map(str::to_owned)
            };
            if term.eq_ignore_ascii_case("atScope()") {
                filter.at_scope = true;
            } else if let Some(rest) = strip_word(term, "assignedTo(") {
                filter.assigned_to = Some(
                    rest.strip_suffix(')')
                        .and_then(quoted)
                        .ok_or_else(unsupported)?,
                );
            } else if let Some(rest) = strip_word(term, "principalId eq ") {
                filter.principal = Some(quoted(rest).ok_or_else(unsupported)?);
            } else if let Some(rest) = strip_word(term, "roleName eq ") {
                filter.role_name = Some(quoted(rest).ok_or_else(unsupported)?);
            } else if !term.is_empty() {
                return Err(unsupported());
            }
        }
        Ok(filter)
    }

    fn of(request: &Request<'_>) -> Result<Self, ArmError> {
        param(request.call.query, "$filter")
            .map_or_else(|| Ok(Self::default()), |text| Self::parse(&text))
    }
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

fn split_and(text: &str) -> Vec<&str> {
    let lower = text.to_ascii_lowercase();
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(at) = lower.get(start..).and_then(|rest| rest.find(" and ")) {
        parts.extend(text.get(start..start + at));
        start += at + " and ".len();
    }
    parts.extend(text.get(start..));
    parts
}

fn list(request: &Request<'_>, scope: &str, deny: bool) -> Outcome {
    let filter = Filter::of(request)?;
    let state = request.azure.read();
    request.need(
        &state,
        scope,
        if deny {
            "Microsoft.Authorization/denyAssignments/read"
        } else {
            READ
        },
    )?;
    let members = filter
        .assigned_to
        .as_deref()
        .map(|id| state.memberships(&id.to_ascii_lowercase()));
    let selected = state.assignments.iter().filter(|found| {
        let above = state.is_at_or_above(&found.scope, scope);
        let below = !filter.at_scope && state.is_at_or_above(scope, &found.scope);
        found.deny == deny
            && (above || below)
            && filter
                .principal
                .as_ref()
                .is_none_or(|id| id.eq_ignore_ascii_case(&found.principal))
            && members
                .as_ref()
                .is_none_or(|ids| ids.contains(&found.principal))
    });
    let items = selected.map(|found| to_json(&state, found)).collect();
    Ok(request.page(&state, items))
}

fn to_json(state: &State, found: &Assignment) -> Value {
    let time = found
        .created
        .strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
        .to_string();
    let (condition, version) = found
        .condition
        .as_ref()
        .map_or((None, None), |(text, _)| (Some(text), Some("2.0")));
    let subscription =
        super::resources::subscription_of(&found.scope).unwrap_or(&state.subscription);
    if found.deny {
        let role = state.role(&found.role);
        return json!({
            "id": found.id(), "name": found.name, "type": "Microsoft.Authorization/denyAssignments",
            "properties": {
                "denyAssignmentName": format!("deny {}", role.map_or("", |role| role.name.as_str())),
                "scope": found.scope,
                "principals": [{"id": found.principal, "type": found.kind}],
                "excludePrincipals": [],
                "permissions": [{
                    "actions": role.map(|role| &role.actions), "notActions": role.map(|role| &role.not_actions),
                    "dataActions": role.map(|role| &role.data_actions), "notDataActions": [],
                }],
                "doNotApplyToChildScopes": false, "isSystemProtected": false,
            },
        });
    }
    json!({
        "id": found.id(),
        "name": found.name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{}", found.role),
            "principalId": found.principal,
            "principalType": found.kind,
            "scope": found.scope,
            "condition": condition,
            "conditionVersion": version,
            "createdOn": time,
            "updatedOn": time,
            "createdBy": null,
            "updatedBy": null,
            "delegatedManagedIdentityResourceId": null,
            "description": null,
        },
    })
}

fn get(request: &Request<'_>, scope: &str, name: &str) -> Outcome {
    let state = request.azure.read();
    request.need(&state, scope, READ)?;
    let found = state.assignments.iter().find(|found| found.is(scope, name));
    let found = found.ok_or_else(|| {
        ArmError::new(
            StatusCode::NOT_FOUND,
            "RoleAssignmentNotFound",
            format!("The role assignment '{name}' is not found."),
        )
    })?;
    Ok(json_reply(StatusCode::OK, &to_json(&state, found)))
}

impl Assignment {
    fn is(&self, scope: &str, name: &str) -> bool {
        !self.deny
            && self.name.eq_ignore_ascii_case(name)
            && self
                .scope
                .trim_end_matches('/')
                .eq_ignore_ascii_case(scope.trim_end_matches('/'))
    }
}

fn put(request: &Request<'_>, scope: &str, name: &str) -> Outcome {
    let properties = request.body.get("properties").unwrap_or(&Value::Null);
    let text = |key: &str| {
        properties
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let mut state = request.azure.write();
    request.need(&state, scope, WRITE)?;
    if !is_guid(name) {
        return Err(ArmError::bad_request(
            "InvalidRoleAssignmentId",
            format!(
                "The role assignment ID '{name}' is not valid. The role assignment ID must be a GUID."
            ),
        ));
    }
    let definition = text("roleDefinitionId");
    let role = state
        .role(definition)
        .map(|role| role.id.clone())
        .ok_or_else(|| {
            let id = definition.rsplit('/').next().unwrap_or_default();
            ArmError::bad_request(
                "RoleDefinitionDoesNotExist",
                format!("The specified role definition with ID '{id}' does not exist."),
            )
        })?;
    let principal = text("principalId").to_ascii_lowercase();
    let Some(who) = state.principals.get(&principal) else {
        return Err(ArmError::bad_request(
            "PrincipalNotFound",
            format!(
                "Principal {} does not exist in the directory {}. Check that you have the correct principal ID. If you are creating this principal and then immediately assigning a role, this error might be related to a replication delay. In this case, set the role assignment principalType property to a value, such as ServicePrincipal, User, or Group.",
                principal.replace('-', ""),
                state.tenant_id
            ),
        ));
    };
    let stated = text("principalType");
    if !stated.is_empty() && stated != who.kind {
        return Err(ArmError::bad_request(
            "UnmatchedPrincipalType",
            format!(
                "The PrincipalId '{}' has type '{}' , which is different from specified PrinciaplType '{stated}'.",
                principal.replace('-', ""),
                who.kind
            ),
        ));
    }
    let kind = who.kind.to_owned();
    let condition = match text("condition") {
        "" => None,
        condition => Some((
            condition.to_owned(),
            Condition::parse(condition).map_err(|error| {
                ArmError::bad_request(
                    "InvalidCondition",
                    format!("The condition is not valid: {error}."),
                )
            })?,
        )),
    };
    let same = |found: &&Assignment| {
        !found.deny
            && found.principal == principal
            && found.role == role
            && found.scope.eq_ignore_ascii_case(scope)
    };
    let existing = state
        .assignments
        .iter()
        .position(|found| found.is(scope, name));
    if let Some(other) = state.assignments.iter().find(same)
        && !other.name.eq_ignore_ascii_case(name)
    {
        return Err(ArmError::new(
            StatusCode::CONFLICT,
            "RoleAssignmentExists",
            format!(
                "The role assignment already exists. The ID of the conflicting role assignment is {}.",
                other.name.replace('-', "")
            ),
        ));
    }
    let now = request.core.clock.now();
    if let Some(position) = existing {
        let unchanged = state
            .assignments
            .get(position)
            .is_some_and(|found| same(&found));
        if !unchanged {
            return Err(ArmError::bad_request(
                "RoleAssignmentUpdateNotPermitted",
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
            ));
        }
        if let Some(found) = state.assignments.get_mut(position) {
            found.condition = condition;
        }
        let body = state
            .assignments
            .get(position)
            .map(|found| to_json(&state, found));
        return Ok(json_reply(StatusCode::OK, &body.unwrap_or_default()));
    }
    let assignment = Assignment {
        name: name.to_ascii_lowercase(),
        scope: scope.to_owned(),
        role,
        principal,
        kind,
        condition,
        deny: false,
        created: now,
    };
    let body = to_json(&state, &assignment);
    state.assignments.push(assignment);
    Ok(json_reply(StatusCode::CREATED, &body))
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| {
            if matches!(at, 8 | 13 | 18 | 23) {
                b == b'-'
            } else {
                b.is_ascii_hexdigit()
            }
        })
}

fn delete(request: &Request<'_>, scope: &str, name: &str) -> Outcome {
    let mut state = request.azure.write();
    request.need(&state, scope, DELETE)?;
    let Some(position) = state
        .assignments
        .iter()
        .position(|found| found.is(scope, name))
    else {
        return Ok(empty_reply(StatusCode::NO_CONTENT));
    };
    let gone = state.assignments.remove(position);
    Ok(json_reply(StatusCode::OK, &to_json(&state, &gone)))
}

fn definitions(request: &Request<'_>, scope: &str) -> Outcome {
    let filter = Filter::of(request)?;
    let state = request.azure.read();
    request.need(
        &state,
        scope,
        "Microsoft.Authorization/roleDefinitions/read",
    )?;
    let subscription = super::resources::subscription_of(scope);
    let wanted = |role: &&Role| {
        filter
            .role_name
            .as_ref()
            .is_none_or(|name| role.name.eq_ignore_ascii_case(name))
    };
    let items = state
        .roles
        .iter()
        .filter(wanted)
        .map(|role| role.to_json(subscription))
        .collect();
    Ok(request.page(&state, items))
}

fn definition(request: &Request<'_>, scope: &str, name: &str) -> Outcome {
    let state = request.azure.read();
    // Definitions at the root are everybody's to read.
    if *request.call.method != Method::GET || scope != "/" {
        request.need(
            &state,
            scope,
            "Microsoft.Authorization/roleDefinitions/read",
        )?;
    }
    let role = state
        .roles
        .iter()
        .find(|role| role.id.eq_ignore_ascii_case(name));
    let role = role.ok_or_else(|| {
        ArmError::new(
            StatusCode::NOT_FOUND,
            "RoleDefinitionDoesNotExist",
            format!("The specified role definition with ID '{name}' does not exist."),
        )
    })?;
    Ok(json_reply(
        StatusCode::OK,
        &role.to_json(super::resources::subscription_of(scope)),
    ))
}
