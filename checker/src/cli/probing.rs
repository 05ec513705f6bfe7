//! How a probe is made: as which runtime, how deep, with which certificates and mirrors.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::error::CliError;
use crate::check::Settings;
use crate::mirrors::{self, MirrorFileError, Mirrors};
use crate::probe::{Depth, Habits};
use crate::world::ClientCertificate;
use crate::world::real::read_client_certificate;

#[derive(Debug, Default, Args)]
pub(super) struct Probing {
    /// Ask as this runtime does; without it as containerd, or as the mirrors' file tells.
    #[arg(long = "as", value_enum, value_name = "RUNTIME")]
    pub(super) runtime: Option<Runtime>,
    /// How far to go.
    #[arg(long, value_enum, value_name = "DEPTH")]
    pub(super) depth: Option<Deep>,
    /// The client certificate (PEM) to show to the registry.
    #[arg(long, value_name = "FILE")]
    pub(super) cert: Option<PathBuf>,
    /// Its key (PEM); without it, it stands in the file of --cert.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(super) key: Option<PathBuf>,
    /// Certificates by host, as docker has them in /etc/docker/certs.d and CRI-O in /etc/containers/certs.d.
    #[arg(long, value_name = "DIR")]
    pub(super) certs_dir: Option<PathBuf>,
    /// The mirrors and insecure registries of docker: its `daemon.json`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hosts_dir", "registries_conf"])]
    pub(super) daemon_json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Runtime {
    Containerd,
    Docker,
    #[value(name = "cri-o", alias = "crio")]
    CriO,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Deep {
    /// To the registry's `/v2/`.
    Ping,
    /// To the manifest of the platform.
    Manifest,
    /// To every layer, and one byte of the smallest.
    Blobs,
    /// Every layer to its last byte, digests verified.
    Full,
}

impl Probing {
    /// Reads the files. `hosts` and `registries` are the mirrors of containerd and of CRI-O.
    pub(super) fn read_into(
        &self,
        settings: &mut Settings,
        hosts: Option<&Path>,
        registries: Option<&Path>,
    ) -> Result<(), CliError> {
        let told = match (hosts, registries, &self.daemon_json) {
            (Some(_), ..) => Some(Runtime::Containerd),
            (_, Some(_), _) => Some(Runtime::CriO),
            (_, _, Some(_)) => Some(Runtime::Docker),
            _ => None,
        };
        if let (Some(wanted), Some(told)) = (self.runtime, told)
            && wanted != told
        {
            return Err(CliError::RuntimesDiffer);
        }
        settings.habits = match self.runtime.or(told).unwrap_or(Runtime::Containerd) {
            Runtime::Containerd => Habits::Containerd,
            Runtime::Docker => Habits::Docker,
            Runtime::CriO => Habits::CriO,
        };
        if self.runtime.is_some() {
            settings.user_agent = Some(settings.habits.user_agent().into());
        }
        settings.depth = self.depth.map(|depth| match depth {
            Deep::Ping => Depth::Ping,
            Deep::Manifest => Depth::Manifest,
            Deep::Blobs => Depth::Blobs,
            Deep::Full => Depth::Full,
        });
        let read = self.mirrors(hosts, registries);
        settings.mirrors = read.map_err(|source| CliError::Mirrors { source })?;
        Ok(())
    }

    fn mirrors(
        &self,
        hosts: Option<&Path>,
        registries: Option<&Path>,
    ) -> Result<Mirrors, MirrorFileError> {
        let mirrors = match (hosts, registries, &self.daemon_json) {
            (Some(folder), ..) => mirrors::hosts_folder(folder)?,
            (_, Some(file), _) => mirrors::registries_conf(file)?,
            (_, _, Some(file)) => mirrors::daemon_json(file)?,
            _ => Mirrors::default(),
        };
        match &self.certs_dir {
            Some(folder) => mirrors::certs_folder(mirrors, folder),
            None => Ok(mirrors),
        }
    }

    /// The certificate to show to the registry.
    pub(super) fn client(&self) -> Result<Option<ClientCertificate>, CliError> {
        let Some(certificate) = &self.cert else {
            return Ok(None);
        };
        let key = self.key.as_ref().unwrap_or(certificate);
        let read = read_client_certificate(certificate, key);
        read.map(Some).map_err(|source| CliError::Client { source })
    }
}
