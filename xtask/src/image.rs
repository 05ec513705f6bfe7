//! `cargo xtask image`: fake-registry, or the checker, as a container image, without a base image or a daemon.
//!
//! A static binary (own target directory, so that its flags disturb no other build), users, an empty /tmp and for
//! the registry the machine's CA certificates become one layer; out comes an OCI image layout, and
//! the same as one tar that old versions of `docker load` take too. The checker trusts what the node trusts, and
//! brings no certificates. Same input, same bytes: names
//! are in order and no time is written down.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Nobody's: not root, and not a user of the machine.
const USER: u32 = 65532;
const BLOCK: usize = 512;
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What an image is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Program {
    /// The fake registry
    #[default]
    FakeRegistry,
    /// The checker, for `pullcheck ... --from nodes`
    Pullcheck,
}

impl Program {
    /// The package, its program and the file in the image.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FakeRegistry => "fake-registry",
            Self::Pullcheck => "pullcheck",
        }
    }

    /// What the image is called once it is loaded: by docker, and by containerd.
    fn names(self) -> (String, String) {
        let name = self.name();
        let version = version();
        match self {
            Self::FakeRegistry => (
                format!("{name}:{version}"),
                format!("docker.io/library/{name}:{version}"),
            ),
            // Under this name the checker looks for itself on nodes; no registry is asked for it.
            Self::Pullcheck => {
                let own = pullcheck::cluster::fleet::FleetSettings::IMAGE;
                (own.to_owned(), own.to_owned())
            }
        }
    }
}

/// Builds the container image of fake-registry, or of the checker
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Which program
    #[arg(value_enum, default_value_t)]
    program: Program,
    /// Where the layout goes; `target/image/PROGRAM` otherwise
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// A static binary that is there already, instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The CA certificates that go into the image; without it this machine's for fake-registry, none for the checker
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// How many builds at a time
    #[arg(long, short, value_name = "NUMBER")]
    jobs: Option<u32>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("cargo does not run")]
    Cargo(#[source] io::Error),
    #[error("the binary does not build")]
    Build,
    #[error("{} needs other files to run (it has a program interpreter)", .0.display())]
    NotStatic(PathBuf),
    #[error("{} is no program for Linux on x86-64", .0.display())]
    NotElf(PathBuf),
    #[error("{}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the layer")]
    Layer(#[source] io::Error),
    #[error("{name} does not fit into a tar")]
    TooLong { name: String },
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match make(arguments) {
        Ok(made) => {
            let mut out = io::stdout();
            let (layout, archive) = (made.layout.display(), made.archive.display());
            let _ = writeln!(
                out,
                "layout  {layout}\narchive {archive}\ndigest  {}",
                made.digest
            );
            let _ = writeln!(
                out,
                "\nload it: docker load -i {archive}\npush it: skopeo copy oci:{layout}:{} docker://…",
                version()
            );
            if arguments.program == Program::Pullcheck {
                let _ = writeln!(
                    out,
                    "on a node: ctr -n k8s.io images import {archive}\nuse it: pullcheck ... --from nodes --node-image {}",
                    arguments.program.names().1
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("image: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(next) = cause {
                eprint!(": {next}");
                cause = next.source();
            }
            eprintln!();
            ExitCode::from(2)
        }
    }
}

struct Made {
    layout: PathBuf,
    archive: PathBuf,
    digest: String,
}

fn make(arguments: &Arguments) -> Result<Made, ImageError> {
    let folder = target().join("image");
    let binary = match &arguments.binary {
        Some(path) => path.clone(),
        None => build(&folder, arguments.program, arguments.jobs, Profile::Release)?,
    };
    let content = read(&binary)?;
    check_static(&binary, &content)?;
    let certificates = match (&arguments.ca_file, arguments.program) {
        (Some(file), _) => read(file)?,
        (None, Program::FakeRegistry) => read(Path::new(CERTIFICATES))?,
        (None, Program::Pullcheck) => Vec::new(),
    };
    let output = arguments
        .output
        .clone()
        .unwrap_or_else(|| folder.join(arguments.program.name()));
    let layer = layer(
        arguments.program,
        &content,
        &certificates,
        Compression::best(),
    )?;
    write(&output, arguments.program, &layer)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// An image that is quick to make, for a cluster on this machine: not optimised, hardly compressed.
/// Gives the archive for `docker load` and the image's identifier, `sha256:…`.
pub(crate) fn quick(
    program: Program,
    binary: Option<&Path>,
) -> Result<(PathBuf, String), ImageError> {
    let folder = target().join("image");
    let binary = match binary {
        Some(path) => path.to_owned(),
        None => build(&folder, program, None, Profile::Dev)?,
    };
    let content = read(&binary)?;
    check_static(&binary, &content)?;
    let layer = layer(program, &content, &[], Compression::fast())?;
    let output = match program {
        Program::FakeRegistry => "quick".to_owned(),
        Program::Pullcheck => format!("quick-{}", program.name()),
    };
    let made = write(&folder.join(output), program, &layer)?;
    let id = digest(config(program, &layer).to_string().as_bytes());
    Ok((made.archive, id))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Dev,
    Release,
}

fn build(
    folder: &Path,
    program: Program,
    jobs: Option<u32>,
    profile: Profile,
) -> Result<PathBuf, ImageError> {
    let name = program.name();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root())
        // With an explicit target the flags do not reach build scripts and macros, which have to
        // be dynamic.
        .env(
            "RUSTFLAGS",
            "-C target-feature=+crt-static -C strip=symbols",
        )
        .args(["build", "--locked", "--package", name, "--bin", name])
        .args(["--target", TARGET, "--target-dir"])
        .arg(folder);
    if profile == Profile::Release {
        command.arg("--release");
    }
    if let Some(jobs) = jobs {
        command.args(["--jobs", &jobs.to_string()]);
    }
    let status = command.status().map_err(ImageError::Cargo)?;
    if !status.success() {
        return Err(ImageError::Build);
    }
    let output = match profile {
        Profile::Dev => "debug",
        Profile::Release => "release",
    };
    Ok(folder.join(TARGET).join(output).join(name))
}

fn read(path: &Path) -> Result<Vec<u8>, ImageError> {
    fs::read(path).map_err(|source| ImageError::File {
        path: path.to_owned(),
        source,
    })
}

/// Reads the program headers of an ELF file: one that names an interpreter is not static.
fn check_static(path: &Path, program: &[u8]) -> Result<(), ImageError> {
    const INTERPRETER: u32 = 3;
    const X86_64: u16 = 62;
    let not_elf = || ImageError::NotElf(path.to_owned());
    let half = |at: usize| {
        let bytes = program.get(at..at + 2)?;
        Some(u16::from_le_bytes(bytes.try_into().ok()?))
    };
    let is_64 = program.starts_with(b"\x7fELF\x02\x01") && half(18) == Some(X86_64);
    let table = program
        .get(32..40)
        .filter(|_| is_64)
        .and_then(|bytes| bytes.try_into().ok().map(u64::from_le_bytes))
        .and_then(|offset| usize::try_from(offset).ok())
        .ok_or_else(not_elf)?;
    let (size, count) = half(54).zip(half(56)).ok_or_else(not_elf)?;
    for number in 0..usize::from(count) {
        let at = table + number * usize::from(size);
        let kind = program.get(at..at + 4).ok_or_else(not_elf)?;
        if kind == INTERPRETER.to_le_bytes() {
            return Err(ImageError::NotStatic(path.to_owned()));
        }
    }
    Ok(())
}

/// A layer, compressed, and the digest of what it is when it is not.
struct Layer {
    gzip: Vec<u8>,
    diff_id: String,
}

fn layer(
    program: Program,
    content: &[u8],
    certificates: &[u8],
    effort: Compression,
) -> Result<Layer, ImageError> {
    let mut tar = Vec::new();
    let passwd = format!("root:x:0:0:root:/:/\nnonroot:x:{USER}:{USER}:nonroot:/:/\n");
    let group = format!("root:x:0:\nnonroot:x:{USER}:\n");
    folder(&mut tar, "etc/", 0o755)?;
    file(&mut tar, "etc/group", 0o644, group.as_bytes())?;
    file(&mut tar, "etc/passwd", 0o644, passwd.as_bytes())?;
    if program == Program::FakeRegistry || !certificates.is_empty() {
        folder(&mut tar, "etc/ssl/", 0o755)?;
        folder(&mut tar, "etc/ssl/certs/", 0o755)?;
        let name = CERTIFICATES.trim_start_matches('/');
        file(&mut tar, name, 0o644, certificates)?;
    }
    file(&mut tar, program.name(), 0o755, content)?;
    folder(&mut tar, "tmp/", 0o1777)?;
    tar.resize(tar.len() + 2 * BLOCK, 0);
    let mut gzip = GzEncoder::new(Vec::new(), effort);
    gzip.write_all(&tar).map_err(ImageError::Layer)?;
    Ok(Layer {
        gzip: gzip.finish().map_err(ImageError::Layer)?,
        diff_id: digest(&tar),
    })
}

fn folder(tar: &mut Vec<u8>, name: &str, mode: u32) -> Result<(), ImageError> {
    entry(tar, name, mode, b'5', &[])
}

fn file(tar: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) -> Result<(), ImageError> {
    entry(tar, name, mode, b'0', content)
}

/// One entry in the form that POSIX calls ustar: root's, of the first of January 1970.
fn entry(
    tar: &mut Vec<u8>,
    name: &str,
    mode: u32,
    kind: u8,
    content: &[u8],
) -> Result<(), ImageError> {
    let mut header = Vec::with_capacity(BLOCK);
    let mut put = |text: &str, width: usize| {
        header.extend_from_slice(text.as_bytes());
        header.resize(header.len() + width.saturating_sub(text.len()), 0);
    };
    put(name, 100);
    put(&format!("{mode:07o}"), 8);
    put(&format!("{:07o}", 0), 8);
    put(&format!("{:07o}", 0), 8);
    put(&format!("{:011o}", content.len()), 12);
    put(&format!("{:011o}", 0), 12);
    // The checksum, reckoned with spaces in its place.
    put("        ", 8);
    header.push(kind);
    header.resize(257, 0);
    header.extend_from_slice(b"ustar\x0000");
    header.resize(BLOCK, 0);
    if name.len() > 100 {
        return Err(ImageError::TooLong { name: name.into() });
    }
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    let sum = format!("{sum:06o}\0 ");
    for (place, byte) in header.iter_mut().skip(148).zip(sum.bytes()) {
        *place = byte;
    }
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

/// Where a layout keeps what has this digest.
fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn config(program: Program, layer: &Layer) -> Value {
    let name = program.name();
    let mut config = json!({ "User": format!("{USER}:{USER}") });
    let own = match program {
        Program::FakeRegistry => json!({
            "ExposedPorts": {"5000/tcp": {}},
            "Env": [
                "PATH=/",
                "FAKE_REGISTRY_LISTEN=0.0.0.0:5000",
                "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
            ],
            "Entrypoint": [format!("/{name}")],
            "Cmd": ["serve"],
        }),
        Program::Pullcheck => json!({
            "Env": ["PATH=/"],
            "Entrypoint": [format!("/{name}")],
            "Cmd": ["--help"],
        }),
    };
    let all = json!({
        "WorkingDir": "/tmp",
        "StopSignal": "SIGTERM",
        "Labels": {
            "org.opencontainers.image.title": name,
            "org.opencontainers.image.version": version(),
            "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        },
    });
    for more in [own, all] {
        if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
            config.extend(more);
        }
    }
    json!({
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created_by": "cargo xtask image", "comment": "static binary and CA certificates"}],
    })
}

fn write(output: &Path, program: Program, layer: &Layer) -> Result<Made, ImageError> {
    let gzip = &layer.gzip;
    let config = config(program, layer).to_string();
    let (of_docker, of_containerd) = program.names();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(config.as_bytes()),
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": digest(gzip),
            "size": gzip.len(),
        }],
    })
    .to_string();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(manifest.as_bytes()),
            "size": manifest.len(),
            "platform": {"architecture": "amd64", "os": "linux"},
            "annotations": {
                "org.opencontainers.image.ref.name": version(),
                "io.containerd.image.name": of_containerd,
            },
        }],
    })
    .to_string();
    // What `docker load` knew before it knew layouts.
    let legacy = json!([{
        "Config": blob(&digest(config.as_bytes())),
        "RepoTags": [of_docker],
        "Layers": [blob(&digest(gzip))],
    }])
    .to_string();
    let files: [(String, &[u8]); 6] = [
        (blob(&digest(config.as_bytes())), config.as_bytes()),
        (blob(&digest(manifest.as_bytes())), manifest.as_bytes()),
        (blob(&digest(gzip)), gzip),
        ("index.json".into(), index.as_bytes()),
        ("manifest.json".into(), legacy.as_bytes()),
        ("oci-layout".into(), b"{\"imageLayoutVersion\":\"1.0.0\"}"),
    ];
    let mut archive = Vec::new();
    folder(&mut archive, "blobs/", 0o755)?;
    folder(&mut archive, "blobs/sha256/", 0o755)?;
    clear(output)?;
    for (name, bytes) in &files {
        file(&mut archive, name, 0o644, bytes)?;
        // The layout itself has no use for it.
        if name != "manifest.json" {
            put(&output.join(name), bytes)?;
        }
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    let path = output.with_extension("tar");
    put(&path, &archive)?;
    Ok(Made {
        layout: output.to_owned(),
        archive: path,
        digest: digest(manifest.as_bytes()),
    })
}

/// Takes away the layout of an earlier run; a folder that is something else is left alone.
fn clear(output: &Path) -> Result<(), ImageError> {
    if !output.join("oci-layout").exists() {
        return Ok(());
    }
    fs::remove_dir_all(output.join("blobs")).map_err(|source| ImageError::File {
        path: output.to_owned(),
        source,
    })
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, bytes))
        .map_err(|source| ImageError::File {
            path: path.to_owned(),
            source,
        })
}

/// The file names of a folder, for tests and nobody else.
#[cfg(test)]
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    /// The smallest file that passes for a static program.
    fn program(interpreter: bool) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf.splice(..6, *b"\x7fELF\x02\x01");
        elf.splice(18..20, 62_u16.to_le_bytes());
        elf.splice(32..40, 64_u64.to_le_bytes());
        elf.splice(54..56, 56_u16.to_le_bytes());
        elf.splice(56..58, 1_u16.to_le_bytes());
        let kind: u32 = if interpreter { 3 } else { 1 };
        elf.splice(64..68, kind.to_le_bytes());
        elf
    }

    fn made(folder: &Path) -> Made {
        let registry = Program::FakeRegistry;
        let layer = layer(
            registry,
            &program(false),
            b"certificates",
            Compression::best(),
        )
        .unwrap();
        write(&folder.join("image"), registry, &layer).unwrap()
    }

    #[test]
    fn programs_that_are_static_and_not() {
        let path = Path::new("p");
        assert!(check_static(path, &program(false)).is_ok());
        let table: [(&str, Vec<u8>); 4] = [
            ("interpreter", program(true)),
            ("nothing", Vec::new()),
            ("cut", program(false).into_iter().take(60).collect()),
            ("text", b"#!/bin/sh\n".repeat(20)),
        ];
        for (what, bytes) in table {
            assert!(check_static(path, &bytes).is_err(), "{what}");
        }
        let own = std::env::current_exe().unwrap();
        let outcome = check_static(&own, &fs::read(&own).unwrap());
        assert!(
            matches!(outcome, Err(ImageError::NotStatic(_))),
            "tests are dynamic"
        );
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let first = made(folder.path());
        let archive = fs::read(&first.archive).unwrap();
        let second = made(folder.path());
        assert_eq!(first.digest, second.digest);
        assert_eq!(archive, fs::read(&second.archive).unwrap());
        assert_eq!(names(&first.layout.join("blobs/sha256")).len(), 3);
        for name in names(&first.layout.join("blobs/sha256")) {
            let bytes = fs::read(first.layout.join("blobs/sha256").join(&name)).unwrap();
            assert_eq!(digest(&bytes), format!("sha256:{name}"));
        }
    }

    #[test]
    fn tar_and_skopeo_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let made = made(folder.path());
        let run = |program: &str, arguments: &[&str]| -> Option<String> {
            let output = Command::new(program).args(arguments).output();
            if output.is_err() {
                assert!(std::env::var_os("CI").is_none(), "CI has to have {program}");
                eprintln!("skipped: {program} is not installed on this machine");
                return None;
            }
            let output = output.unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {error}");
            Some(String::from_utf8(output.stdout).unwrap())
        };
        let archive = made.archive.to_str().unwrap();
        if let Some(list) = run("tar", &["-tf", archive]) {
            assert!(list.contains("manifest.json"), "{list}");
        }
        let layout = format!("oci:{}:{}", made.layout.display(), version());
        let Some(text) = run("skopeo", &["inspect", &layout]) else {
            return;
        };
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found.get("Digest").unwrap(), &json!(made.digest));
        // The old form, and every digest on the way.
        let copy = format!(
            "docker-archive:{}",
            folder.path().join("copy.tar").display()
        );
        let from = format!("docker-archive:{archive}");
        for source in [layout.as_str(), from.as_str()] {
            let _ = fs::remove_file(folder.path().join("copy.tar"));
            run("skopeo", &["--insecure-policy", "copy", source, &copy]);
        }
        let unpacked = folder.path().join("unpacked");
        fs::create_dir(&unpacked).unwrap();
        let layers: Vec<PathBuf> = names(&made.layout.join("blobs/sha256"))
            .iter()
            .map(|name| made.layout.join("blobs/sha256").join(name))
            .filter(|path| fs::read(path).unwrap().starts_with(b"\x1f\x8b"))
            .collect();
        let layer = layers.first().unwrap().to_str().unwrap();
        run("tar", &["-xzf", layer, "-C", unpacked.to_str().unwrap()]);
        assert_eq!(names(&unpacked), ["etc", "fake-registry", "tmp"]);
        let inside = fs::read(unpacked.join("fake-registry")).unwrap();
        assert_eq!(inside, program(false));
    }

    #[test]
    fn the_checker_brings_no_certificates_and_the_name_that_nodes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let checker = Program::Pullcheck;
        let layer = layer(checker, &program(false), &[], Compression::best()).unwrap();
        let made = write(&folder.path().join("image"), checker, &layer).unwrap();
        let index = fs::read_to_string(made.layout.join("index.json")).unwrap();
        let wanted = format!("\"localhost/pullcheck:{}\"", version());
        assert!(index.contains(&wanted), "{index}");
        let config = config(checker, &layer);
        let entry = config.pointer("/config/Entrypoint");
        assert_eq!(entry, Some(&json!(["/pullcheck"])));
        assert!(!config.to_string().contains("FAKE_REGISTRY"), "{config}");
    }
}
