//! From typed arguments to a world and a checked request. Secrets come from files and standard input.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::args::{ClusterTarget, ImageTarget, ManifestsTarget, Network, WideTarget};
use super::error::CliError;
use crate::check::{MAX_FILE, Manifests, Request, Settings};
use crate::evidence::Platform;
use crate::keyring::Credential;
use crate::reference::Reference;
use crate::world::real::{
    SystemClock, SystemNet, SystemPrograms, proxies_of_environment, read_ca_file,
};
use crate::world::{Place, Trust, Vantage, World};

pub(super) const SECRET_LIMIT: u64 = 64 * 1024;

pub(super) async fn image(target: &ImageTarget) -> Result<(World, Request, Settings), CliError> {
    let reference =
        Reference::parse(&target.reference).map_err(|error| CliError::reference(&error))?;
    let mut settings = settings(&target.network)?;
    // Whoever names a user means that one alone.
    let own = target.username.is_none();
    target.credentials.read_into(&mut settings, own)?;
    settings.platform = target
        .platform
        .as_deref()
        .map(platform)
        .transpose()?
        .or_else(|| Some(own_platform()));
    let mut world = world(&target.network)?;
    if target.nodes.from.is_some() {
        let (kubeconfig, context) = (target.kubeconfig.as_deref(), target.context.as_deref());
        (world, _) = connected(world, kubeconfig, context).await?;
    }
    if let Some(user) = &target.username {
        let mut password = String::new();
        let read = std::io::stdin()
            .lock()
            .take(SECRET_LIMIT)
            .read_to_string(&mut password);
        read.map_err(|source| CliError::Stdin { source })?;
        settings.credential = Some(Credential::basic(
            user,
            password.trim_end_matches(['\r', '\n']),
        ));
    }
    Ok((world, Request::Image(reference), settings))
}

pub(super) async fn cluster(
    target: &ClusterTarget,
    request: impl FnOnce(String, String) -> Request,
) -> Result<(World, Request, Settings), CliError> {
    let (world, namespace, settings) = wide(&target.wide).await?;
    let namespace = target.namespace.clone().unwrap_or(namespace);
    Ok((world, request(namespace, target.name.clone()), settings))
}

/// A world with the cluster, the namespace of its context, and the settings.
pub(super) async fn wide(target: &WideTarget) -> Result<(World, String, Settings), CliError> {
    let mut settings = settings(&target.network)?;
    settings.no_probe = target.no_probe;
    target.credentials.read_into(&mut settings, false)?;
    let world = target.azure.add_to(world(&target.network)?)?;
    let (world, namespace) = connected(
        world,
        target.kubeconfig.as_deref(),
        target.context.as_deref(),
    )
    .await?;
    Ok((world, namespace, settings))
}

async fn connected(
    world: World,
    kubeconfig: Option<&Path>,
    context: Option<&str>,
) -> Result<(World, String), CliError> {
    // Kube's TLS takes the process's provider; ours is passed explicitly everywhere else.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connected = crate::cluster::connect(kubeconfig, context).await;
    let (client, namespace) = connected.map_err(|source| CliError::Cluster { source })?;
    Ok((world.with_cluster(client), namespace))
}

/// The manifests that were named, what to check them with, and for which platforms.
pub(super) async fn manifests(
    target: &ManifestsTarget,
) -> Result<(World, String, Manifests, Vec<Platform>, Settings), CliError> {
    let platforms = target
        .platform
        .iter()
        .map(|text| platform(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut settings = settings(&target.network)?;
    settings.platform = Some(own_platform());
    target.credentials.read_into(&mut settings, false)?;
    let mut world = target.azure.add_to(world(&target.network)?)?;
    let mut namespace = "default".to_owned();
    if target.nodes.from.is_some() && !target.with_cluster {
        return Err(CliError::NeedsCluster);
    }
    if target.with_cluster {
        (world, namespace) = connected(
            world,
            target.kubeconfig.as_deref(),
            target.context.as_deref(),
        )
        .await?;
    }
    let namespace = target.namespace.clone().unwrap_or(namespace);
    let mut all = Manifests::default();
    let mut subjects = Vec::new();
    for path in &target.files {
        let shown = if path.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        subjects.push(shown.clone());
        let files = if path.as_os_str() == "-" {
            let mut bytes = Vec::new();
            let read = std::io::stdin()
                .lock()
                .take(MAX_FILE as u64 + 1)
                .read_to_end(&mut bytes);
            read.map_err(|source| CliError::Stdin { source })?;
            vec![(shown, bytes)]
        } else {
            let mut files = Vec::new();
            for path in yaml_files(path)? {
                files.push((
                    path.display().to_string(),
                    read(&path, MAX_FILE as u64 + 1)?,
                ));
            }
            files
        };
        for (name, bytes) in files {
            let text = String::from_utf8_lossy(&bytes);
            all.add(&name, &text, &namespace)
                .map_err(|error| CliError::manifest(&name, &text, &error))?;
        }
    }
    let subject = format!("manifests {}", subjects.join(", "));
    Ok((world, subject, all, platforms, settings))
}

/// A file alone, or the YAML and JSON files below a folder in order of their names.
fn yaml_files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    const MOST: usize = 5000;
    let failed = |path: &Path, source| CliError::File {
        path: path.into(),
        source,
    };
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut folders, mut files) = (vec![path.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|error| failed(&folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(&folder, error))?;
            let kind = entry.file_type().map_err(|error| failed(&folder, error))?;
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| matches!(end.to_str(), Some("yaml" | "yml" | "json")))
            {
                files.push(path);
            }
            if files.len() + folders.len() > MOST {
                let error = std::io::Error::other(format!("more than {MOST} files"));
                return Err(failed(&folder, error));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn settings(network: &Network) -> Result<Settings, CliError> {
    let mut settings = Settings {
        plain_http: network.plain_http,
        ..Settings::default()
    };
    network.probing.read_into(
        &mut settings,
        network.hosts_dir.as_deref(),
        network.registries_conf.as_deref(),
    )?;
    Ok(settings)
}

fn world(network: &Network) -> Result<World, CliError> {
    let extra = network.ca.as_deref().map(read_ca_file).transpose();
    let extra = extra
        .map_err(|source| CliError::Ca { source })?
        .unwrap_or_default();
    let server = network.dns.as_deref().map(server).transpose()?;
    let net = SystemNet::new(server);
    let mut place = Place::new(
        Vantage::Workstation,
        Arc::new(net),
        Trust::Platform { extra },
    )
    .with_proxies(proxies_of_environment());
    if let Some(file) = &network.ca {
        place = place.trusted_from(&file.display().to_string());
    }
    place.client = network.probing.client()?;
    Ok(World::new(Arc::new(SystemClock), place).with_programs(Arc::new(SystemPrograms)))
}

pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let opened =
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    opened.map_err(|source| CliError::File {
        path: path.into(),
        source,
    })?;
    Ok(bytes)
}

fn server(text: &str) -> Result<SocketAddr, CliError> {
    let alone = || {
        text.parse::<IpAddr>()
            .ok()
            .map(|address| SocketAddr::new(address, 53))
    };
    text.parse()
        .ok()
        .or_else(alone)
        .ok_or_else(|| CliError::Dns { text: text.into() })
}

fn platform(text: &str) -> Result<Platform, CliError> {
    let parts: Vec<&str> = text.split('/').collect();
    let named = |part: &str| {
        !part.is_empty()
            && part.len() < 32
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    match parts.as_slice() {
        [os, architecture] if named(os) && named(architecture) => {
            Ok(Platform::new(os, architecture))
        }
        [os, architecture, variant] if named(os) && named(architecture) && named(variant) => {
            Ok(Platform {
                variant: Some((*variant).into()),
                ..Platform::new(os, architecture)
            })
        }
        _ => Err(CliError::Platform { text: text.into() }),
    }
}

/// What this machine would choose, in Go's words; images are for Linux wherever the tool runs.
fn own_platform() -> Platform {
    Platform::linux(crate::nodes::architecture())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms() {
        for (text, want) in [
            ("linux/arm64", Some("linux/arm64")),
            ("linux/arm/v7", Some("linux/arm/v7")),
        ] {
            assert_eq!(
                platform(text).ok().map(|one| one.to_string()).as_deref(),
                want
            );
        }
        for text in ["", "linux", "linux/", "Linux/AMD64", "a/b/c/d"] {
            assert!(platform(text).is_err(), "for {text:?}");
        }
    }

    #[test]
    fn dns_servers() {
        assert_eq!(
            server("10.0.0.10").ok().map(|at| at.to_string()).as_deref(),
            Some("10.0.0.10:53")
        );
        assert_eq!(
            server("[::1]:5353")
                .ok()
                .map(|at| at.to_string())
                .as_deref(),
            Some("[::1]:5353")
        );
        assert!(server("dns.example").is_err());
    }
}
