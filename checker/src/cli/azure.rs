//! Access to Azure: which cloud, and where the token for its Resource Manager comes from.
//!
//! A token comes from a file, or from signing in as the Azure SDKs do. The latter's crates are behind the feature
//! `azure-identity`, which packages are built with; the options are the same without it, and say so when used.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::error::CliError;
use super::request::{SECRET_LIMIT, read};
use crate::azure::Cloud;
use crate::keyring::Secret;
use crate::world::{Arm, FixedToken, TokenSource, World};

#[derive(Debug, Args)]
pub(super) struct AzureAccess {
    /// A file that holds a token for Azure Resource Manager; gives access to roles and registry settings.
    #[arg(
        long,
        value_name = "FILE",
        env = "PULLCHECK_ARM_TOKEN_FILE",
        group = "azure-token"
    )]
    pub(super) arm_token_file: Option<PathBuf>,
    /// Sign in to Azure instead, as the Azure SDKs do: with the CLI's account, a managed identity, AZURE_CLIENT_ID
    /// and the like; `auto` takes what is there.
    #[arg(
        long,
        value_name = "WAY",
        env = "PULLCHECK_AZURE_AUTH",
        value_enum,
        group = "azure-token",
        conflicts_with = "arm_token_file"
    )]
    azure_auth: Option<Auth>,
    /// Azure's cloud; without it that of the registry.
    #[arg(
        long,
        value_name = "CLOUD",
        env = "PULLCHECK_AZURE_CLOUD",
        value_enum,
        requires = "azure-token"
    )]
    azure_cloud: Option<CloudName>,
    /// Another Azure Resource Manager than the cloud's.
    #[arg(
        long,
        value_name = "URL",
        requires = "azure-token",
        conflicts_with = "azure_cloud",
        env = "PULLCHECK_ARM_ENDPOINT"
    )]
    arm_endpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Auth {
    /// Workload identity, client secret, the CLI, managed identity: the first that works.
    Auto,
    /// The account of `az login`.
    Cli,
    /// The identity of this machine; AZURE_CLIENT_ID says which, where there are several.
    ManagedIdentity,
    /// AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE.
    WorkloadIdentity,
    /// AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.
    ClientSecret,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CloudName {
    /// The public one.
    Public,
    /// Azure Government.
    UsGovernment,
    /// Azure in China.
    China,
}

impl AzureAccess {
    /// Adds access to Azure to a world, where the command line gives any.
    pub(super) fn add_to(&self, world: World) -> Result<World, CliError> {
        let source: Arc<dyn TokenSource> = match (&self.arm_token_file, self.azure_auth) {
            (Some(path), _) => {
                let token = String::from_utf8_lossy(&read(path, SECRET_LIMIT)?)
                    .trim()
                    .to_owned();
                Arc::new(FixedToken(Secret::new(token)))
            }
            (None, Some(way)) => sign_in(&world, way)?,
            (None, None) => return Ok(world),
        };
        let mut arm = Arm::new(source);
        if let Some(endpoint) = self.endpoint()? {
            arm = arm.with_endpoint(endpoint);
        }
        Ok(world.with_arm(arm))
    }

    fn endpoint(&self) -> Result<Option<http::Uri>, CliError> {
        if let Some(cloud) = self.azure_cloud {
            let cloud = match cloud {
                CloudName::Public => Cloud::Public,
                CloudName::UsGovernment => Cloud::UsGovernment,
                CloudName::China => Cloud::China,
            };
            return Ok(Some(http::Uri::from_static(cloud.resource_manager())));
        }
        let Some(text) = &self.arm_endpoint else {
            return Ok(None);
        };
        let wrong = || CliError::ArmEndpoint { text: text.clone() };
        let endpoint: http::Uri = text.parse().map_err(|_| wrong())?;
        let plain = endpoint
            .path_and_query()
            .is_none_or(|path| path.as_str() == "/");
        let written = matches!(endpoint.scheme_str(), Some("https" | "http"))
            && endpoint.host().is_some()
            && plain;
        written.then_some(Some(endpoint)).ok_or_else(wrong)
    }
}

#[cfg(feature = "azure-identity")]
fn sign_in(world: &World, way: Auth) -> Result<Arc<dyn TokenSource>, CliError> {
    use crate::azure::{SignIn, Variables, Way};
    let way = match way {
        Auth::Auto => Way::Auto,
        Auth::Cli => Way::Cli,
        Auth::ManagedIdentity => Way::ManagedIdentity,
        Auth::WorkloadIdentity => Way::WorkloadIdentity,
        Auth::ClientSecret => Way::ClientSecret,
    };
    let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let variables = Variables {
        tenant_id: text("AZURE_TENANT_ID"),
        client_id: text("AZURE_CLIENT_ID"),
        client_secret: text("AZURE_CLIENT_SECRET").map(Secret::new),
        token_file: text("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
        authority: text("AZURE_AUTHORITY_HOST"),
    };
    if let Some(variable) = variables.missing(way) {
        return Err(CliError::AzureVariable { variable });
    }
    Ok(Arc::new(SignIn::new(world, way, variables)))
}

#[cfg(not(feature = "azure-identity"))]
fn sign_in(_: &World, _: Auth) -> Result<Arc<dyn TokenSource>, CliError> {
    Err(CliError::NoAzureIdentity)
}
