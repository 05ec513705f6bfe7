//! The identity of a node in Azure: metadata service, then the registry's exchange.
//!
//! The same two steps as the kubelet's acr-credential-provider takes on an AKS node, made from the node's place.
//! What comes out is a credential for the token service; what was seen on the way is the evidence that tells a
//! missing role from a detached or ambiguous identity and from a blocked metadata service.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::NodeIdentity;
use super::ping::Ping;
use super::session::Session;
use crate::evidence::{Endpoint, Identity, Method, Role, Scheme, Seen, WhyWithheld};
use crate::keyring::{Credential, Secret};
use crate::reference::{Authority, Host};
use crate::stage::Stage;
use crate::wire::claims::Claims;
use crate::wire::http::Keep;
use crate::wire::{Excerpt, Url, UrlScheme, encode_query};

const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
const AUDIENCE: &str = "https://containerregistry.azure.net";
/// The user of a refresh token at the token service.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
const MAX_BODY: usize = 256 * 1024;

/// True for the hosts that the credential provider of AKS feels responsible for.
pub(super) fn is_azure_registry(registry: &Authority) -> bool {
    let Some(name) = registry.host().name() else {
        return false;
    };
    ["azurecr.io", "azurecr.cn", "azurecr.de", "azurecr.us"]
        .iter()
        .any(|suffix| {
            name.strip_suffix(suffix)
                .and_then(|head| head.strip_suffix('.'))
                .is_some_and(|head| {
                    !head.is_empty() && head.bytes().all(|byte| byte.is_ascii_alphanumeric())
                })
        })
}

impl Session<'_> {
    /// The node's credential for this registry; `None` if there is none, and the record says why.
    pub(super) async fn node_credential(&mut self, ping: &Ping) -> Option<Credential> {
        if let Some(token) = self.options.entra_token.clone() {
            return self.exchanged(ping, &token).await;
        }
        let client_id = match &self.options.node_identity {
            NodeIdentity::Unused => return None,
            NodeIdentity::Default => None,
            NodeIdentity::ClientId(id) => Some(id.clone()),
        };
        self.identity = Some(Identity::KubeletIdentity {
            client_id: client_id.clone(),
        });
        let (token, tenant) = self.identity_token(client_id).await?;
        let refresh = self.exchange(ping, &token, tenant.as_deref()).await?;
        Some(Credential::basic(NOBODY, refresh))
    }

    /// A token that was handed in takes the place of the metadata service's.
    async fn exchanged(&mut self, ping: &Ping, token: &Secret) -> Option<Credential> {
        let claims = Claims::read(token.expose()).unwrap_or_default();
        self.identity = Some(Identity::EntraToken);
        let tenant = claims.tenant.clone();
        let seen = Seen::IdentityToken {
            requested: None,
            client_id: claims.client_id,
            object_id: claims.object_id,
            tenant: claims.tenant,
            audience: claims.audience,
            expires: claims.expires,
        };
        self.note_about(Stage::Auth, None, Duration::ZERO, seen);
        let refresh = self.exchange(ping, token, tenant.as_deref()).await?;
        Some(Credential::basic(NOBODY, refresh))
    }

    async fn identity_token(
        &mut self,
        client_id: Option<Box<str>>,
    ) -> Option<(Secret, Option<Box<str>>)> {
        let mut query = vec![("api-version", "2018-02-01"), ("resource", AUDIENCE)];
        if let Some(id) = &client_id {
            query.push(("client_id", id));
        }
        let authority = Authority::new(Host::from_address(METADATA), None);
        let endpoint = Endpoint::new(Role::Metadata, authority.clone());
        let target = format!("/metadata/identity/oauth2/token?{}", encode_query(query));
        let url = Url::new(UrlScheme::Http, authority, &target);
        let outgoing = self
            .outgoing(Method::Get)
            .header(http::HeaderName::from_static("metadata"), "true");
        let started = Instant::now();
        let answer = self
            .send(
                Stage::Auth,
                Role::Metadata,
                &url,
                outgoing,
                Keep::Whole(MAX_BODY),
            )
            .await
            .ok()?;
        let token = text_field(&answer.body, "access_token").filter(|_| answer.status.is_success());
        let Some(token) = token else {
            let refusal = self.refusal(&answer);
            let seen = Seen::IdentityTokenRefused {
                requested: client_id,
                refusal,
            };
            self.note_about(Stage::Auth, Some(endpoint), started.elapsed(), seen);
            return None;
        };
        let claims = Claims::read(&token).unwrap_or_default();
        let seen = Seen::IdentityToken {
            requested: client_id,
            client_id: claims.client_id,
            object_id: claims.object_id,
            tenant: claims.tenant.clone(),
            audience: claims.audience,
            expires: claims.expires,
        };
        self.note_about(Stage::Auth, Some(endpoint), started.elapsed(), seen);
        Some((Secret::new(token), claims.tenant))
    }

    async fn exchange(
        &mut self,
        ping: &Ping,
        token: &Secret,
        tenant: Option<&str>,
    ) -> Option<Secret> {
        let challenge = ping
            .challenge
            .as_ref()
            .filter(|challenge| challenge.scheme == Scheme::Bearer);
        let realm = challenge.and_then(|challenge| Url::parse(challenge.get("realm")?));
        let service = challenge.and_then(|challenge| challenge.get("service"));
        let (Some(realm), Some(service)) = (realm, service.map(str::to_owned)) else {
            let text = format!(
                "no challenge that an Entra token answers, status {}",
                ping.status
            );
            let seen = Seen::ChallengeUnusable {
                text: Excerpt::new(&text),
            };
            self.note(Stage::Auth, Duration::ZERO, seen);
            return None;
        };
        // An Entra token opens more than this registry, so no allowance counts here.
        let why = match (realm.scheme(), realm.host().same_as(self.base().host())) {
            (UrlScheme::Http, _) if self.base().scheme() == UrlScheme::Https => {
                Some(WhyWithheld::PlainHttp)
            }
            (_, false) => Some(WhyWithheld::OtherHost),
            _ => None,
        };
        if let Some(why) = why {
            self.withhold(&realm, why);
            return None;
        }
        let url = realm.with_target("/oauth2/exchange");
        let mut form = vec![
            ("grant_type", "access_token_refresh_token"),
            ("service", service.as_str()),
        ];
        form.extend(tenant.map(|tenant| ("tenant", tenant)));
        form.extend([
            ("access_token", token.expose()),
            ("refresh_token", token.expose()),
        ]);
        let endpoint = Endpoint::new(Role::Exchange, url.authority().clone());
        let started = Instant::now();
        let answer = self
            .post_form(Stage::Token, Role::Exchange, &url, &form)
            .await
            .ok()?;
        let refresh =
            text_field(&answer.body, "refresh_token").filter(|_| answer.status.is_success());
        let seen = match &refresh {
            Some(refresh) => Seen::ExchangeGranted {
                expires: Claims::read(refresh).and_then(|claims| claims.expires),
            },
            None => Seen::ExchangeRefused {
                refusal: self.refusal(&answer),
            },
        };
        self.note_about(Stage::Token, Some(endpoint), started.elapsed(), seen);
        refresh.map(Secret::new)
    }
}

fn text_field(body: &[u8], name: &str) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    value
        .get(name)?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_azure_registries() {
        let table = [
            ("myacr.azurecr.io", true),
            ("myacr.azurecr.us", true),
            ("my-acr.azurecr.io", false),
            ("a.b.azurecr.io", false),
            ("azurecr.io", false),
            ("myacr.azurecr.io.evil.example", false),
        ];
        for (host, want) in table {
            assert_eq!(
                is_azure_registry(&Authority::parse(host).unwrap()),
                want,
                "for {host}"
            );
        }
    }
}
