//! The servers that are compared, and how each is set up.
//!
//! Every configuration is as a careful operator would have it: no access log, content in memory
//! where the server can, connections kept. What differs from the package's default is said in
//! `configuration`, which stands under the table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use super::content::{self, Image};

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[non_exhaustive]
pub enum Peer {
    /// This workspace's.
    FakeRegistry,
    /// The same, with its content in a directory.
    FakeRegistryDirectory,
    /// The distribution project's, with its memory store.
    DockerRegistry,
    /// Static files.
    Nginx,
    /// Static files, with descriptors kept open.
    NginxCached,
    /// go-containerregistry's, in memory.
    Crane,
    /// One body for every request, on hyper: the limit.
    Bare,
}

/// Where programs of this workspace are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `fake-registry`, release build.
    pub fake_registry: PathBuf,
    /// `bare-server`, release build.
    pub bare_server: PathBuf,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FakeRegistry => "fake-registry",
            Self::FakeRegistryDirectory => "fake-registry, on disk",
            Self::DockerRegistry => "docker-registry",
            Self::Nginx => "nginx",
            Self::NginxCached => "nginx, open_file_cache",
            Self::Crane => "crane registry",
            Self::Bare => "bare hyper",
        }
    }

    pub(crate) fn configuration(self) -> &'static str {
        match self {
            // `cargo xtask bench` builds both with the feature, or neither.
            Self::FakeRegistry if cfg!(feature = "mimalloc") => {
                "memory store, journal on, no fault rules, no authentication; allocator mimalloc"
            }
            Self::FakeRegistry => "memory store, journal on, no fault rules, no authentication",
            Self::FakeRegistryDirectory => "as fake-registry, content in a directory, synced",
            Self::DockerRegistry => {
                "memory store, memory cache of descriptors, no access log, log level error"
            }
            Self::Nginx => {
                "the same bytes as files, one worker a core, sendfile and tcp_nopush on, no access log, no limit of requests a connection"
            }
            Self::NginxCached => "as nginx, with open_file_cache of 1000 entries for 60 s",
            Self::Crane => "memory store, its log discarded",
            Self::Bare if cfg!(feature = "mimalloc") => {
                "one constant body, one thread; allocator mimalloc"
            }
            Self::Bare => "one constant body, one thread",
        }
    }

    /// Whether the kernel copies file content to the socket, which no server does that checks or
    /// changes bytes on their way.
    pub(crate) fn sendfile(self) -> bool {
        matches!(self, Self::Nginx | Self::NginxCached)
    }

    /// Neither somebody else's registry nor the limit.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::FakeRegistry | Self::FakeRegistryDirectory)
    }

    pub(crate) fn takes_pushes(self) -> bool {
        self.is_ours() || matches!(self, Self::DockerRegistry | Self::Crane)
    }

    /// Whether it serves content by path, so that answers can be checked for being the right ones.
    pub(crate) fn has_paths(self) -> bool {
        self != Self::Bare
    }

    pub(crate) fn how_to_install(self) -> &'static str {
        match self {
            Self::FakeRegistry | Self::FakeRegistryDirectory | Self::Bare => {
                "it is built by `cargo xtask bench registry`"
            }
            Self::DockerRegistry => "apt-get install docker-registry",
            Self::Nginx | Self::NginxCached => "apt-get install nginx-light",
            Self::Crane => {
                "`fake-registry/tests/witness/prepare crane` prints where it is; have its folder on PATH"
            }
        }
    }

    /// The program, if there is one.
    pub(crate) fn find(self, programs: &Programs) -> Option<PathBuf> {
        match self {
            Self::FakeRegistry | Self::FakeRegistryDirectory => {
                Some(programs.fake_registry.clone()).filter(|p| p.is_file())
            }
            Self::Bare => Some(programs.bare_server.clone()).filter(|p| p.is_file()),
            Self::DockerRegistry => on_path("docker-registry"),
            Self::Nginx | Self::NginxCached => on_path("nginx"),
            Self::Crane => on_path("crane"),
        }
    }

    /// What the program says of its version.
    pub(crate) fn version(self, program: &Path) -> String {
        let argument = match self {
            Self::Nginx | Self::NginxCached => "-v",
            Self::Crane => "version",
            Self::FakeRegistry | Self::FakeRegistryDirectory | Self::DockerRegistry => "--version",
            Self::Bare => return env!("CARGO_PKG_VERSION").to_owned(),
        };
        let Ok(output) = Command::new(program).arg(argument).output() else {
            return "unknown".to_owned();
        };
        // nginx answers on standard error.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().next().unwrap_or_default();
        // Debian's crane says that it cannot tell.
        if line.starts_with("could not") {
            return "unknown".to_owned();
        }
        let word = line.rsplit([' ', '/']).next().unwrap_or_default();
        word.to_owned()
    }

    /// Writes what the program needs into its folder; gives its arguments.
    pub(crate) fn prepare(
        self,
        folder: &Path,
        addresses: &[SocketAddr],
        image: &Image,
    ) -> io::Result<Vec<String>> {
        let address = addresses.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        Ok(match self {
            Self::FakeRegistry => vec!["serve".into(), "--listen".into(), address.to_string()],
            Self::FakeRegistryDirectory => vec![
                "serve".into(),
                "--listen".into(),
                address.to_string(),
                "--directory".into(),
                text(folder.join("store")),
            ],
            Self::DockerRegistry => {
                let file = folder.join("config.yml");
                fs::write(&file, docker_registry_config(*address))?;
                vec!["serve".into(), text(file)]
            }
            Self::Nginx | Self::NginxCached => {
                let file = folder.join("nginx.conf");
                fs::write(&file, nginx_config(*address, self == Self::NginxCached))?;
                write_files(&folder.join("files"), image)?;
                vec![
                    "-p".into(),
                    text(folder.to_owned()),
                    "-e".into(),
                    "stderr".into(),
                    "-c".into(),
                    text(file),
                ]
            }
            Self::Crane => ["registry", "serve", "--address", &address.to_string()]
                .map(str::to_owned)
                .to_vec(),
            Self::Bare => {
                let layers = image.blobs.iter().skip(1);
                let bodies = std::iter::once(&image.manifest).chain(layers);
                let mut arguments = Vec::new();
                for (position, (address, body)) in addresses.iter().zip(bodies).enumerate() {
                    let file = folder.join(format!("body{position}"));
                    fs::write(&file, &body.bytes)?;
                    arguments.push(address.to_string());
                    arguments.push(text(file));
                }
                arguments
            }
        })
    }
}

pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    // Debian has servers outside of the path of ordinary users.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn docker_registry_config(address: SocketAddr) -> String {
    format!(
        "version: 0.1\n\
         log: {{ level: error, accesslog: {{ disabled: true }} }}\n\
         storage:\n  \
           inmemory:\n  \
           cache: {{ blobdescriptor: inmemory }}\n  \
           maintenance: {{ uploadpurging: {{ enabled: false }} }}\n\
         http: {{ addr: '{address}' }}\n"
    )
}

fn nginx_config(address: SocketAddr, cached: bool) -> String {
    // As root, nginx would give its workers to an account that cannot read our folder.
    let user = if rustix::process::geteuid().is_root() {
        "user root root;"
    } else {
        ""
    };
    let cache = if cached {
        "open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;"
    } else {
        ""
    };
    format!(
        "daemon off; {user} worker_processes auto; pid nginx.pid; error_log stderr crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;\n\
         access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {cache}\n\
         default_type {};\n\
         server {{ listen {address}; root files; }}\n\
         }}\n",
        content::MANIFEST_TYPE
    )
}

fn write_files(root: &Path, image: &Image) -> io::Result<()> {
    let repository = root.join("v2").join(&image.repository);
    let (manifests, blobs) = (repository.join("manifests"), repository.join("blobs"));
    fs::create_dir_all(&manifests)?;
    fs::create_dir_all(&blobs)?;
    fs::write(manifests.join(content::TAG), &image.manifest.bytes)?;
    for blob in &image.blobs {
        fs::write(blobs.join(&blob.digest), &blob.bytes)?;
    }
    Ok(())
}
