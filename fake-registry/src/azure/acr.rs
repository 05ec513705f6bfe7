//! Azure Container Registry at its login server: challenge, exchange, tokens, network rules.
//!
//! An Entra token becomes a refresh token at `/oauth2/exchange`, a refresh token (or an admin
//! password, a repository-scoped token, a service principal's secret) an access token at
//! `/oauth2/token`. Refusals have the registry's own words and a correlation id each.

use http::{HeaderMap, Method, StatusCode, header};
use serde_json::{Value, json};

use super::state::{Acr, State};
use super::{ACR_AUDIENCE, read_entra_token};
use crate::auth::accounts::equal;
use crate::auth::jwt::claim;
use crate::auth::token::Signer;
use crate::auth::{
    Caller, Complaint, Credential, Identity, Rights, Scope, bearer_challenge, unauthorized,
};
use crate::core::{Call, Core};
use crate::message::{Refusal, Reply, json_reply, param, params};
use std::time::Duration;

/// The user name that goes with a refresh token as password.
const NO_USER: &str = "00000000-0000-0000-0000-000000000000";
const ISSUER: &str = "Azure Container Registry";
const REFRESH: Duration = Duration::from_hours(3);
const ACCESS: Duration = Duration::from_mins(75);

/// Who stands behind a credential.
enum Account {
    Anonymous,
    Entra {
        object_id: String,
        snapshot: Vec<String>,
    },
    Admin,
    Token(String),
}

pub(crate) struct Acrs<'a> {
    pub(crate) core: &'a Core,
    pub(crate) state: &'a State,
    pub(crate) acr: &'a Acr,
    pub(crate) call: &'a Call<'a>,
}

impl Acrs<'_> {
    fn signer(&self) -> Signer<'_> {
        Signer {
            keys: &self.core.keys,
            clock: self.core.clock,
            random: &self.core.random,
            issuer: ISSUER,
        }
    }

    fn correlated(&self, text: &str) -> String {
        format!("{text} CorrelationId: {}", self.core.random.guid())
    }

    fn unauthorized_text(&self) -> String {
        self.correlated(
            "authentication required, visit https://aka.ms/acr/authorization for more information.",
        )
    }

    fn refused(&self) -> Box<Refusal> {
        unauthorized(self.unauthorized_text(), &[])
    }

    /// 403 for clients that the network rules keep out, on every path.
    pub(crate) fn check_network(&self) -> Result<(), Box<Refusal>> {
        let client = self.call.connection.peer.ip();
        if self.acr.admits(client) {
            return Ok(());
        }
        let text = format!(
            "client with IP '{}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.",
            client.to_canonical()
        );
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "DENIED",
            self.correlated(&text),
        ))
    }

    /// Lets a request to `/v2/` through, or challenges it.
    pub(crate) fn admit(&self, needed: &[Scope]) -> Result<Caller, Box<Refusal>> {
        let challenge = |complaint| {
            let realm = format!(
                "{}://{}/oauth2/token",
                self.call.connection.scheme(),
                self.call.authority
            );
            bearer_challenge(
                &realm,
                &self.acr.login_server,
                needed,
                complaint,
                self.unauthorized_text(),
            )
        };
        match Credential::of(self.call.headers) {
            Credential::None | Credential::Unreadable => Err(challenge(Complaint::None)),
            Credential::Bearer(token) => {
                let caller = self.signer().access(&token, &self.acr.login_server);
                let caller = caller.map_err(|_| challenge(Complaint::InvalidToken))?;
                if needed.iter().all(|scope| caller.rights.covers(scope)) {
                    Ok(caller)
                } else {
                    Err(challenge(Complaint::InsufficientScope))
                }
            }
            Credential::Basic { user, password } => {
                // An access token can be sent as a password too.
                if user == NO_USER
                    && let Ok(caller) = self.signer().access(&password, &self.acr.login_server)
                {
                    let enough = needed.iter().all(|scope| caller.rights.covers(scope));
                    return if enough {
                        Ok(caller)
                    } else {
                        Err(challenge(Complaint::InsufficientScope))
                    };
                }
                let account = self
                    .account(&user, &password)
                    .ok_or_else(|| challenge(Complaint::None))?;
                let granted = self.granted(&account, needed);
                if granted == needed {
                    Ok(Caller {
                        identity: account.identity(),
                        rights: Rights::of_scopes(granted),
                    })
                } else {
                    Err(challenge(Complaint::InsufficientScope))
                }
            }
        }
    }

    /// `POST /oauth2/exchange`
    pub(crate) fn exchange(&self, form: &str) -> Result<Reply, Box<Refusal>> {
        if *self.call.method != Method::POST {
            return Err(not_allowed("POST"));
        }
        let value = |key: &str| param(form, key).unwrap_or_default();
        self.check_service(form)?;
        let token = match value("grant_type").as_str() {
            "access_token" => value("access_token"),
            // What the kubelet's credential provider sends: the access token as refresh token too.
            "access_token_refresh_token" => Some(value("access_token"))
                .filter(|text| !text.is_empty())
                .unwrap_or_else(|| value("refresh_token")),
            "refresh_token" => value("refresh_token"),
            other => return Err(bad_request(&format!("unsupported grant_type: {other:?}"))),
        };
        let mut audiences = vec![ACR_AUDIENCE];
        if self.acr.spec.arm_audience {
            audiences.extend(self.state.cloud.audiences());
        }
        let claims = read_entra_token(
            &self.core.keys,
            self.core.clock,
            self.state,
            &token,
            &audiences,
        )
        .map_err(|_| self.refused())?;
        let object_id = claim(&claims, "oid");
        if !self.state.may_exchange(self.acr, object_id) {
            return Err(self.refused());
        }
        Ok(json_reply(
            StatusCode::OK,
            &json!({"refresh_token": self.refresh_token(object_id)}),
        ))
    }

    fn refresh_token(&self, object_id: &str) -> String {
        // What legacy roles allow at this moment; conditions cannot be kept in a list of actions.
        let actions: Vec<&str> = if self.acr.spec.abac {
            Vec::new()
        } else {
            let any = Scope::repository("", &[]);
            ["pull", "push", "delete"]
                .into_iter()
                .filter(|action| self.state.may(self.acr, object_id, &any, action))
                .collect()
        };
        let extra = json!({
            "version": "1.0", "tenant": self.state.tenant_id, "oid": object_id,
            "permissions": {"actions": actions, "notActions": []},
        });
        self.signer().mint(
            "refresh_token",
            object_id,
            &self.acr.login_server,
            REFRESH,
            extra,
        )
    }

    /// `GET` and `POST /oauth2/token`
    pub(crate) fn token(&self, form: &str) -> Result<Reply, Box<Refusal>> {
        let (account, text) = match *self.call.method {
            Method::GET => (self.account_of_headers(self.call.headers)?, self.call.query),
            Method::POST => (self.account_of_form(form)?, form),
            _ => return Err(not_allowed("GET, POST")),
        };
        self.check_service(text)?;
        let asked = Scope::parse_all(params(text, "scope"));
        let granted = self.granted(&account, &asked);
        let nothing = granted.is_empty() && !asked.is_empty();
        if nothing || (matches!(account, Account::Anonymous) && !self.acr.spec.anonymous_pull) {
            return Err(self.refused());
        }
        let subject = match account.identity() {
            Identity::Anonymous => String::new(),
            Identity::Named(name) => name,
        };
        let token = self
            .signer()
            .mint_access(&subject, &self.acr.login_server, ACCESS, &granted);
        Ok(json_reply(StatusCode::OK, &json!({"access_token": token})))
    }

    /// A service other than the login server is somebody else's.
    fn check_service(&self, text: &str) -> Result<(), Box<Refusal>> {
        match param(text, "service") {
            Some(service) if !service.eq_ignore_ascii_case(&self.acr.login_server) => {
                Err(self.refused())
            }
            _ => Ok(()),
        }
    }

    fn account_of_headers(&self, headers: &HeaderMap) -> Result<Account, Box<Refusal>> {
        match Credential::of(headers) {
            Credential::None => Ok(Account::Anonymous),
            Credential::Basic { user, password } => {
                self.account(&user, &password).ok_or_else(|| self.refused())
            }
            Credential::Bearer(_) | Credential::Unreadable => Err(self.refused()),
        }
    }

    fn account_of_form(&self, form: &str) -> Result<Account, Box<Refusal>> {
        let value = |key: &str| param(form, key).unwrap_or_default();
        let account = match value("grant_type").as_str() {
            "refresh_token" => self.account_of_refresh_token(&value("refresh_token")),
            "password" => self.account(&value("username"), &value("password")),
            other => return Err(bad_request(&format!("unsupported grant_type: {other:?}"))),
        };
        account.ok_or_else(|| self.refused())
    }

    fn account(&self, user: &str, password: &str) -> Option<Account> {
        if user == NO_USER || user.is_empty() {
            return self.account_of_refresh_token(password);
        }
        let same = |secret: &str| equal(secret.as_bytes(), password.as_bytes());
        let now = self.core.clock.now();
        if user.eq_ignore_ascii_case(&self.acr.spec.name) {
            let valid = self.acr.spec.admin_user
                && self.acr.admin_passwords.iter().any(|secret| same(secret));
            return valid.then_some(Account::Admin);
        }
        if let Some(token) = self.acr.token(user) {
            let valid = token.enabled
                && token.expires.is_none_or(|until| now < until)
                && same(&token.password.0);
            return valid.then(|| Account::Token(user.to_owned()));
        }
        let who = self
            .state
            .principals
            .values()
            .find(|who| who.client_id.eq_ignore_ascii_case(user))?;
        let (secret, expires) = who.secret.as_ref()?;
        let valid = same(secret)
            && expires.is_none_or(|until| now < until)
            && self.state.may_exchange(self.acr, &who.object_id);
        valid.then(|| Account::Entra {
            object_id: who.object_id.clone(),
            snapshot: Vec::new(),
        })
    }

    fn account_of_refresh_token(&self, token: &str) -> Option<Account> {
        let claims = self
            .signer()
            .read(token, "refresh_token", &self.acr.login_server)
            .ok()?;
        let issued = claims
            .get("iat")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        let age = self.core.clock.now().as_second() - issued;
        let lagging = age < self.state.grant_lag.as_secs().cast_signed();
        let actions = claims
            .get("permissions")
            .and_then(|permissions| permissions.get("actions")?.as_array())
            .filter(|_| lagging);
        let snapshot = actions
            .into_iter()
            .flatten()
            .filter_map(|action| action.as_str().map(str::to_owned))
            .collect();
        Some(Account::Entra {
            object_id: claim(&claims, "oid").to_owned(),
            snapshot,
        })
    }

    /// What an account may do of what is asked for.
    fn granted(&self, account: &Account, asked: &[Scope]) -> Vec<Scope> {
        let may = |scope: &Scope, action: &str| match account {
            Account::Anonymous => {
                self.acr.spec.anonymous_pull
                    && scope.kind == "repository"
                    && matches!(action, "pull" | "metadata_read")
            }
            Account::Admin => true,
            Account::Token(name) => self.acr.token_may(name, scope, action),
            Account::Entra {
                object_id,
                snapshot,
            } => {
                self.state.may(self.acr, object_id, scope, action)
                    || (scope.kind == "repository" && snapshot.iter().any(|kept| kept == action))
            }
        };
        asked
            .iter()
            .map(|scope| Scope {
                actions: scope
                    .actions
                    .iter()
                    .filter(|action| may(scope, action))
                    .cloned()
                    .collect(),
                ..scope.clone()
            })
            .filter(|scope| !scope.actions.is_empty())
            .collect()
    }
}

impl Account {
    fn identity(&self) -> Identity {
        match self {
            Self::Anonymous => Identity::Anonymous,
            Self::Entra { object_id, .. } => Identity::Named(object_id.clone()),
            Self::Admin => Identity::Named("admin".into()),
            Self::Token(name) => Identity::Named(format!("token:{name}")),
        }
    }
}

fn not_allowed(allow: &str) -> Box<Refusal> {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED",
        "The operation is unsupported.",
    )
    .header(header::ALLOW, allow)
}

fn bad_request(message: &str) -> Box<Refusal> {
    Refusal::new(StatusCode::BAD_REQUEST, "UNSUPPORTED", message)
}
