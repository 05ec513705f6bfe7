//! From a challenge to an `Authorization` header, as containerd goes that way.
//!
//! With a credential the token service is asked by POST, and by GET with Basic where it does not know POST;
//! without one by GET. The scope is the repository's own joined with what the challenge wants. A credential goes
//! only to hosts that may have it, and never from HTTPS to plain HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::Value;
use tokio::time::Instant;

use super::Habits;
use super::session::{Authorization, Session, Step, Stop};
use crate::evidence::{Endpoint, Method, Role, Scheme, Seen, WhyWithheld};
use crate::keyring::{Credential, Secret};
use crate::stage::Stage;
use crate::wire::challenge::Challenge;
use crate::wire::claims::Claims;
use crate::wire::http::{Answer, Keep};
use crate::wire::{Excerpt, Url, encode_query};

const MAX_TOKEN_BODY: usize = 256 * 1024;

impl Session<'_> {
    /// Records a challenge.
    pub(super) fn note_challenge(&mut self, challenge: &Challenge) {
        let seen = Seen::Challenged {
            scheme: challenge.scheme.clone(),
            realm: challenge.excerpt("realm"),
            service: challenge.excerpt("service"),
            scope: challenge.excerpt("scope"),
            error: challenge.excerpt("error"),
        };
        self.note(Stage::Auth, std::time::Duration::ZERO, seen);
    }

    /// Answers a challenge with a credential, or as nobody.
    pub(super) async fn authorise(
        &mut self,
        challenge: &Challenge,
        credential: Option<&Credential>,
    ) -> Step<Authorization> {
        match &challenge.scheme {
            Scheme::Bearer => self
                .token(challenge, credential)
                .await
                .map(Authorization::Bearer),
            Scheme::Basic => {
                match credential.filter(|credential| !credential.password.is_empty()) {
                    Some(credential) => Ok(Authorization::Basic(basic(credential))),
                    None => Err(Stop(Stage::Auth)),
                }
            }
            Scheme::Other(name) => {
                let seen = Seen::ChallengeUnusable { text: name.clone() };
                self.note(Stage::Auth, std::time::Duration::ZERO, seen);
                Err(Stop(Stage::Auth))
            }
        }
    }

    async fn token(
        &mut self,
        challenge: &Challenge,
        credential: Option<&Credential>,
    ) -> Step<Secret> {
        let realm = challenge.get("realm").unwrap_or_default();
        let Some(realm) = self.base().join(realm).filter(|_| realm.contains("://")) else {
            let text = if realm.is_empty() {
                "no realm".to_owned()
            } else {
                format!("realm {realm}")
            };
            let seen = Seen::ChallengeUnusable {
                text: Excerpt::new(&text),
            };
            self.note(Stage::Auth, std::time::Duration::ZERO, seen);
            return Err(Stop(Stage::Auth));
        };
        if credential.is_some()
            && let Err(why) = self.may_have_credential(&realm)
        {
            return Err(self.withhold(&realm, why));
        }
        let scope = scope(
            self.reference.repository(),
            challenge.get("scope").unwrap_or_default(),
        );
        let service = challenge.get("service").unwrap_or_default().to_owned();
        loop {
            let started = Instant::now();
            let (method, answer) = self
                .token_answer(&realm, &service, &scope, credential)
                .await?;
            let endpoint = Endpoint::new(Role::TokenService, realm.authority().clone());
            let (seen, token) = if answer.status.is_success() {
                read_token(&answer, &scope)
            } else {
                let refusal = self.refusal(&answer);
                (
                    Seen::TokenRefused {
                        method,
                        scope: scope.clone().into(),
                        refusal,
                    },
                    None,
                )
            };
            self.note_about(Stage::Token, Some(endpoint), started.elapsed(), seen);
            if let Some(token) = token {
                return Ok(token);
            }
            if !self.wait_for(&answer, Stage::Token).await {
                return Err(Stop(Stage::Token));
            }
        }
    }

    pub(super) fn withhold(&mut self, realm: &Url, why: WhyWithheld) -> Stop {
        let endpoint = Endpoint::new(Role::TokenService, realm.authority().clone());
        let seen = Seen::CredentialWithheld {
            from: realm.authority().clone(),
            why,
        };
        self.note_about(
            Stage::Token,
            Some(endpoint),
            std::time::Duration::ZERO,
            seen,
        );
        Stop(Stage::Token)
    }

    async fn token_answer(
        &mut self,
        realm: &Url,
        service: &str,
        scope: &str,
        credential: Option<&Credential>,
    ) -> Step<(Method, Answer)> {
        let habits = self.options.habits;
        // docker and CRI-O ask by POST with an identity token alone.
        let posted = credential
            .filter(|credential| habits == Habits::Containerd || credential.password.is_empty());
        if let Some(credential) = posted {
            let mut form = vec![
                ("client_id", habits.client_id()),
                ("service", service),
                ("scope", scope),
            ];
            match &credential.identity_token {
                Some(token) if credential.password.is_empty() => {
                    form.extend([
                        ("grant_type", "refresh_token"),
                        ("refresh_token", token.expose()),
                    ]);
                }
                _ => form.extend([
                    ("grant_type", "password"),
                    ("username", &*credential.username),
                    ("password", credential.password.expose()),
                ]),
            }
            let answer = self
                .post_form(Stage::Token, Role::TokenService, realm, &form)
                .await?;
            let no_post = matches!(answer.status.as_u16(), 400 | 401 | 404)
                || (answer.status.as_u16() == 405 && !credential.username.is_empty());
            // Without a password there is nothing that Basic could carry.
            if !no_post || credential.password.is_empty() {
                return Ok((Method::Post, answer));
            }
        }
        let mut query: Vec<(&str, &str)> = Vec::new();
        if habits != Habits::Containerd
            && let Some(user) = credential.map(|credential| &*credential.username)
        {
            query.push(("account", user));
        }
        query.extend(
            scope
                .split(' ')
                .filter(|scope| !scope.is_empty())
                .map(|scope| ("scope", scope)),
        );
        if !service.is_empty() {
            query.push(("service", service));
        }
        let joint = if realm.target().contains('?') {
            '&'
        } else {
            '?'
        };
        let url = realm.with_target(&format!("{}{joint}{}", realm.target(), encode_query(query)));
        let mut outgoing = self
            .outgoing(Method::Get)
            .header(ACCEPT, "application/json");
        if let Some(credential) = credential {
            outgoing = outgoing.secret_header(
                AUTHORIZATION,
                &format!("Basic {}", basic(credential).expose()),
            );
        }
        let answer = self
            .send(
                Stage::Token,
                Role::TokenService,
                &url,
                outgoing,
                Keep::Whole(MAX_TOKEN_BODY),
            )
            .await?;
        Ok((Method::Get, answer))
    }

    /// Sends a form.
    pub(super) async fn post_form(
        &mut self,
        stage: Stage,
        role: Role,
        url: &Url,
        form: &[(&str, &str)],
    ) -> Step<Answer> {
        let body = encode_query(form.iter().copied());
        let outgoing = self
            .outgoing(Method::Post)
            .header(ACCEPT, "application/json")
            .body("application/x-www-form-urlencoded", body);
        self.send(stage, role, url, outgoing, Keep::Whole(MAX_TOKEN_BODY))
            .await
    }
}

fn basic(credential: &Credential) -> Secret {
    let pair = format!("{}:{}", credential.username, credential.password.expose());
    Secret::new(STANDARD.encode(pair))
}

/// The repository's own scope and those of the challenge, sorted, each once.
fn scope(repository: &str, wanted: &str) -> String {
    let own = format!("repository:{repository}:pull");
    let mut scopes: Vec<&str> = wanted.split_ascii_whitespace().take(32).collect();
    scopes.push(&own);
    scopes.sort_unstable();
    scopes.dedup();
    scopes.join(" ")
}

fn read_token(answer: &Answer, scope: &str) -> (Seen, Option<Secret>) {
    let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let Some(value) = value.filter(Value::is_object) else {
        return (
            Seen::TokenUnreadable {
                text: Excerpt::from_bytes(&answer.body),
            },
            None,
        );
    };
    let token = ["token", "access_token"]
        .iter()
        .find_map(|name| value.get(*name)?.as_str().filter(|it| !it.is_empty()));
    let Some(token) = token else {
        let names: Vec<&str> = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .take(16)
            .collect();
        let text = format!(
            "neither `token` nor `access_token`, only: {}",
            names.join(", ")
        );
        return (
            Seen::TokenUnreadable {
                text: Excerpt::new(&text),
            },
            None,
        );
    };
    let granted = Claims::read(token).and_then(|claims| claims.access);
    let expires_in = value.get("expires_in").and_then(Value::as_u64);
    (
        Seen::TokenGranted {
            scope: scope.into(),
            granted,
            expires_in,
        },
        Some(Secret::new(token)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_joined_and_sorted() {
        let table = [
            ("", "repository:a/b:pull"),
            ("repository:a/b:pull", "repository:a/b:pull"),
            (
                "repository:z:pull registry:catalog:*",
                "registry:catalog:* repository:a/b:pull repository:z:pull",
            ),
        ];
        for (wanted, joined) in table {
            assert_eq!(scope("a/b", wanted), joined, "for {wanted:?}");
        }
    }
}
