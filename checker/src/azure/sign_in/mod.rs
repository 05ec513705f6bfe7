//! Signing in to Azure as the Azure SDKs do, for a token of Resource Manager.
//!
//! The protocols are `azure_identity`'s: the account of the Azure CLI, a managed identity, a workload identity, a
//! client secret. What they send goes over the workstation's place (its names, proxies and authorities) and the CLI
//! runs as every other program does, so that the seams hold. [`Way::Auto`] takes what the environment is prepared
//! for, and says of each way that gave nothing why. Tokens are `Secret`s; nothing is written to disk.

mod az;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret as AzureSecret, TokenCredential};
use azure_core::http::{ClientOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use futures::future::BoxFuture;
use tokio::time::timeout;

use super::Cloud;
use crate::keyring::Secret;
use crate::wire::Excerpt;
use crate::world::{Place, Programs, TokenSource, TokenSourceError, WallClock, World};

/// For a request to Entra or the metadata service, retries included.
const DEADLINE: Duration = Duration::from_secs(30);
/// For the Azure CLI, which is slow to start.
const CLI_DEADLINE: Duration = Duration::from_mins(1);
/// For a metadata service that may not be there.
const GUESS_DEADLINE: Duration = Duration::from_secs(5);

/// How to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// The first that the environment is prepared for: workload identity, client secret, CLI, managed identity.
    Auto,
    /// The account that `az login` signed in.
    Cli,
    /// The identity of the machine that this runs on.
    ManagedIdentity,
    /// A token of a service account, exchanged at Entra.
    WorkloadIdentity,
    /// An application's secret.
    ClientSecret,
}

impl Way {
    /// Its word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cli => "cli",
            Self::ManagedIdentity => "managed-identity",
            Self::WorkloadIdentity => "workload-identity",
            Self::ClientSecret => "client-secret",
        }
    }
}

/// What the environment says, by the names that the Azure SDKs agreed on.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// `AZURE_TENANT_ID`
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`: the application, or which of a machine's identities.
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`
    pub client_secret: Option<Secret>,
    /// `AZURE_FEDERATED_TOKEN_FILE`
    pub token_file: Option<PathBuf>,
    /// `AZURE_AUTHORITY_HOST`; that of the cloud unless set.
    pub authority: Option<String>,
}

impl Variables {
    /// The first variable that a way cannot do without and that is not there.
    pub fn missing(&self, way: Way) -> Option<&'static str> {
        let wanted = match way {
            Way::WorkloadIdentity => ("AZURE_FEDERATED_TOKEN_FILE", self.token_file.is_some()),
            Way::ClientSecret => ("AZURE_CLIENT_SECRET", self.client_secret.is_some()),
            Way::Auto | Way::Cli | Way::ManagedIdentity => return None,
        };
        [
            ("AZURE_TENANT_ID", self.tenant_id.is_some()),
            ("AZURE_CLIENT_ID", self.client_id.is_some()),
            wanted,
        ]
        .into_iter()
        .find_map(|(name, there)| (!there).then_some(name))
    }
}

/// Signs in when a token is wanted.
#[derive(Clone)]
pub struct SignIn {
    way: Way,
    variables: Variables,
    place: Place,
    clock: Arc<dyn WallClock>,
    programs: Arc<dyn Programs>,
}

impl SignIn {
    /// Over the workstation's network and with the programs of `world`.
    pub fn new(world: &World, way: Way, variables: Variables) -> Self {
        Self {
            way,
            variables,
            place: world.workstation.clone(),
            clock: Arc::clone(&world.clock),
            programs: Arc::clone(&world.programs),
        }
    }

    /// The ways that are tried, in order.
    fn ways(&self) -> Vec<Way> {
        if self.way != Way::Auto {
            return vec![self.way];
        }
        let all = [
            Way::WorkloadIdentity,
            Way::ClientSecret,
            Way::Cli,
            Way::ManagedIdentity,
        ];
        all.into_iter()
            .filter(|way| self.variables.missing(*way).is_none())
            .collect()
    }

    fn client(&self, cloud: Cloud) -> ClientOptions {
        let transport = transport::OverPlace::new(&self.place, &self.clock);
        let configuration = match (&self.variables.authority, cloud) {
            (Some(authority), _) => {
                let mut custom = CustomConfiguration::default();
                custom.authority_host.clone_from(authority);
                CloudConfiguration::Custom(custom)
            }
            (None, Cloud::Public) => CloudConfiguration::AzurePublic,
            (None, Cloud::UsGovernment) => CloudConfiguration::AzureGovernment,
            (None, Cloud::China) => CloudConfiguration::AzureChina,
        };
        ClientOptions {
            transport: Some(Transport::new(Arc::new(transport))),
            cloud: Some(Arc::new(configuration)),
            ..ClientOptions::default()
        }
    }

    fn credential(&self, way: Way, cloud: Cloud) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let of = &self.variables;
        let client_options = self.client(cloud);
        Ok(match way {
            Way::Cli | Way::Auto => AzureCliCredential::new(Some(AzureCliCredentialOptions {
                tenant_id: of.tenant_id.clone(),
                executor: Some(Arc::new(az::Through::new(&self.programs, CLI_DEADLINE))),
                ..AzureCliCredentialOptions::default()
            }))?,
            Way::ManagedIdentity => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: of.client_id.clone().map(UserAssignedId::ClientId),
                    client_options,
                }))?
            }
            Way::WorkloadIdentity => {
                WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions { client_options },
                    client_id: of.client_id.clone(),
                    tenant_id: of.tenant_id.clone(),
                    token_file_path: of.token_file.clone(),
                }))?
            }
            Way::ClientSecret => {
                let secret = of.client_secret.as_ref().map(Secret::expose);
                ClientSecretCredential::new(
                    of.tenant_id.as_deref().unwrap_or_default(),
                    of.client_id.clone().unwrap_or_default(),
                    AzureSecret::new(secret.unwrap_or_default().to_owned()),
                    Some(ClientSecretCredentialOptions { client_options }),
                )?
            }
        })
    }

    async fn by(&self, way: Way, resource: &str) -> Result<Secret, String> {
        // Entra's words name what is missing or wrong; whatever else an answer may hold is taken out.
        let words = |error: azure_core::Error| Excerpt::new(&error.to_string()).as_str().to_owned();
        let cloud = Cloud::of_audience(resource).unwrap_or(Cloud::Public);
        let credential = self.credential(way, cloud).map_err(words)?;
        let scope = format!("{}/.default", resource.trim_end_matches('/'));
        let deadline = match way {
            Way::Cli => CLI_DEADLINE,
            Way::ManagedIdentity if self.way == Way::Auto => GUESS_DEADLINE,
            _ => DEADLINE,
        };
        let asked = timeout(deadline, credential.get_token(&[&scope], None)).await;
        let token = asked
            .map_err(|_| format!("no answer in {} s", deadline.as_secs()))?
            .map_err(words)?;
        Ok(Secret::new(token.token.secret().to_owned()))
    }
}

impl TokenSource for SignIn {
    fn token<'a>(&'a self, resource: &'a str) -> BoxFuture<'a, Result<Secret, TokenSourceError>> {
        Box::pin(async move {
            let mut tried = Vec::new();
            for way in self.ways() {
                match self.by(way, resource).await {
                    Ok(token) => return Ok(token),
                    Err(why) => tried.push((way, why)),
                }
            }
            Err(match tried.as_slice() {
                [(way, why)] => TokenSourceError {
                    source_name: way.word().into(),
                    text: why.clone(),
                },
                _ => TokenSourceError {
                    source_name: self.way.word().into(),
                    text: tried
                        .iter()
                        .map(|(way, why)| format!("{}: {why}", way.word()))
                        .collect::<Vec<_>>()
                        .join("; "),
                },
            })
        })
    }
}
