//! Where credentials come from besides pull secrets: docker's configuration, a kubelet's providers, Entra.
//!
//! Every secret comes from a file or from a program that such a file names. What is given on the command line and
//! cannot be read is an error; the configuration that docker would find by itself counts as none when it cannot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::error::CliError;
use crate::check::Settings;
use crate::keyring::read::{credential_providers, docker_config};
use crate::keyring::{DockerConfig, Secret};

#[derive(Debug, Default, Args)]
pub(super) struct Credentials {
    /// Docker's configuration, FILE or the folder of config.json; its helpers are run.
    #[arg(long, value_name = "PATH")]
    pub(super) docker_config: Option<PathBuf>,
    /// A kubelet's configuration of credential providers, FILE or folder; those that fit are run.
    #[arg(long, value_name = "PATH", requires = "credential_provider_bin_dir")]
    pub(super) credential_provider_config: Option<PathBuf>,
    /// The folder of the providers' programs.
    #[arg(long, value_name = "DIR", requires = "credential_provider_config")]
    pub(super) credential_provider_bin_dir: Option<PathBuf>,
    /// A file that holds an Entra token; it is exchanged at a registry of Azure, as a node's identity is.
    #[arg(long, value_name = "FILE")]
    pub(super) entra_token_file: Option<PathBuf>,
    /// Use no credential at all.
    #[arg(
        long,
        conflicts_with_all = ["docker_config", "credential_provider_config", "entra_token_file"]
    )]
    pub(super) anonymous: bool,
}

impl Credentials {
    /// Reads the files. `own` says that the user's own docker configuration counts without being named: a check of
    /// an image from here asks as docker would, one of pods does not.
    pub(super) fn read_into(&self, settings: &mut Settings, own: bool) -> Result<(), CliError> {
        if self.anonymous {
            return Ok(());
        }
        settings.docker_config = match &self.docker_config {
            Some(path) => {
                Some(docker_config(path).map_err(|source| CliError::Credentials { source })?)
            }
            None if own => own_docker_config(),
            None => None,
        };
        if let (Some(config), Some(programs)) = (
            &self.credential_provider_config,
            &self.credential_provider_bin_dir,
        ) {
            let providers = credential_providers(config, programs);
            let providers = providers.map_err(|source| CliError::Credentials { source })?;
            settings.providers = Some(Arc::new(providers));
        }
        if let Some(path) = &self.entra_token_file {
            let bytes = super::request::read(path, super::request::SECRET_LIMIT)?;
            let token = String::from_utf8_lossy(&bytes).trim().to_owned();
            settings.entra_token = Some(Secret::new(token));
        }
        Ok(())
    }
}

/// `DOCKER_CONFIG`, else `~/.docker`; nothing where there is none. One that cannot be read counts as none, as it
/// does for docker, which then goes on without credentials.
fn own_docker_config() -> Option<DockerConfig> {
    let folder = std::env::var_os("DOCKER_CONFIG")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".docker")))?;
    docker_config(&folder).ok()
}
