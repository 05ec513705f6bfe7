//! What the command line says when it cannot go on. Here alone errors become prose.

use std::io;
use std::path::PathBuf;

use miette::{Diagnostic, NamedSource, SourceSpan};

use crate::check::ManifestError;
use crate::cluster::ConnectError;
use crate::keyring::read::CredentialFileError;
use crate::mirrors::MirrorFileError;
use crate::reference::ReferenceError;
use crate::world::real::{CaFileError, ClientFileError};

/// Why pullcheck could not run.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub(super) enum CliError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Reference(Box<NoReference>),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Manifest(Box<BadManifest>),
    #[error("`{text}` is not a platform")]
    #[diagnostic(
        code(pullcheck::platform),
        help("write OS/ARCH or OS/ARCH/VARIANT, as linux/arm64")
    )]
    Platform { text: String },
    #[error("`{text}` is not the address of a DNS server")]
    #[diagnostic(
        code(pullcheck::dns),
        help("write ADDRESS or ADDRESS:PORT, as 10.0.0.10:53")
    )]
    Dns { text: String },
    #[error("`{text}` is not the address of Azure Resource Manager")]
    #[diagnostic(
        code(pullcheck::arm),
        help("write https://HOST, as {}", crate::azure::Cloud::Public.resource_manager())
    )]
    ArmEndpoint { text: String },
    #[cfg(feature = "azure-identity")]
    #[error("--azure-auth needs the variable {variable}")]
    #[diagnostic(
        code(pullcheck::azure),
        help(
            "the variables are those of the Azure SDKs: AZURE_TENANT_ID, AZURE_CLIENT_ID and one for the credential"
        )
    )]
    AzureVariable { variable: &'static str },
    #[cfg(not(feature = "azure-identity"))]
    #[error("this pullcheck was built without signing in to Azure")]
    #[diagnostic(
        code(pullcheck::azure),
        help(
            "build it with `--features azure-identity`, or give a token: az account get-access-token \
             --resource https://management.azure.com --query accessToken --output tsv > arm-token, \
             and --arm-token-file arm-token"
        )
    )]
    NoAzureIdentity,
    #[error("{} cannot be read", path.display())]
    #[diagnostic(code(pullcheck::file))]
    File { path: PathBuf, source: io::Error },
    #[error("the authorities of --ca cannot be used")]
    #[diagnostic(code(pullcheck::ca))]
    Ca { source: CaFileError },
    #[error("the client certificate of --cert cannot be used")]
    #[diagnostic(code(pullcheck::client))]
    Client { source: ClientFileError },
    #[error("--as names another runtime than the mirrors' file belongs to")]
    #[diagnostic(
        code(pullcheck::runtime),
        help("--hosts-dir is containerd's, --registries-conf CRI-O's, --daemon-json docker's")
    )]
    RuntimesDiffer,
    #[error("the mirrors cannot be read")]
    #[diagnostic(
        code(pullcheck::mirrors),
        help(
            "--hosts-dir takes containerd's certs.d, --registries-conf the file of CRI-O and podman"
        )
    )]
    Mirrors { source: MirrorFileError },
    #[error("--from nodes needs --with-cluster here")]
    #[diagnostic(code(pullcheck::nodes))]
    NeedsCluster,
    #[error("this is no order for a node's probe")]
    #[diagnostic(
        code(pullcheck::order),
        help("`pullcheck ... --from nodes` writes it, into the pods that it makes")
    )]
    Order { source: crate::nodes::OrderError },
    #[error("nothing was measured from nodes")]
    #[diagnostic(code(pullcheck::bench))]
    NodeBench {
        source: crate::nodes::LoadError,
        #[help]
        help: Option<String>,
    },
    #[error("nothing was measured")]
    #[diagnostic(
        code(pullcheck::bench),
        help(
            "`pullcheck image REF` says why an image cannot be had; --allow-public is for a public registry of your own"
        )
    )]
    Bench {
        source: Box<crate::bench::BenchError>,
    },
    #[error("the credentials cannot be read")]
    #[diagnostic(
        code(pullcheck::credentials),
        help(
            "--docker-config takes docker's config.json, --credential-provider-config what the kubelet's --image-credential-provider-config takes"
        )
    )]
    Credentials { source: CredentialFileError },
    #[error("no cluster can be reached")]
    #[diagnostic(
        code(pullcheck::kubeconfig),
        help("`pullcheck image REF` and `pullcheck explain MESSAGE` need no cluster")
    )]
    Cluster { source: ConnectError },
    #[error("there is no cause `{id}`")]
    #[diagnostic(code(pullcheck::cause))]
    NoCause {
        id: String,
        #[help]
        help: String,
    },
    #[error("only reports can be written as junit, html or github")]
    #[diagnostic(
        code(pullcheck::output),
        help("use --output text or --output json here")
    )]
    Form,
    #[error("the lines cannot be read or written")]
    #[diagnostic(code(pullcheck::jsonl))]
    Lines { source: io::Error },
    #[error("standard input cannot be read")]
    #[diagnostic(code(pullcheck::stdin))]
    Stdin { source: io::Error },
    #[error("standard output cannot be written")]
    #[diagnostic(code(pullcheck::stdout))]
    Stdout { source: io::Error },
    #[error("the runtime cannot be started")]
    #[diagnostic(code(pullcheck::runtime))]
    Runtime { source: io::Error },
    #[error("interrupted")]
    #[diagnostic(code(pullcheck::interrupted))]
    Interrupted,
}

/// A text that is not an image reference, shown with the place.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("this is not an image reference: {rule}")]
#[diagnostic(code(pullcheck::reference))]
pub(super) struct NoReference {
    rule: String,
    #[help]
    help: Option<String>,
    #[source_code]
    text: NamedSource<String>,
    #[label("here")]
    at: SourceSpan,
}

/// A manifest that cannot be read, shown with the place.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{file} cannot be read as manifests: {text}")]
#[diagnostic(code(pullcheck::manifests))]
pub(super) struct BadManifest {
    file: String,
    text: String,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("here")]
    at: Option<SourceSpan>,
}

impl CliError {
    /// The line that is wrong, with the one before it. Of the rest nothing is shown: a manifest may
    /// hold secrets.
    pub(super) fn manifest(file: &str, text: &str, error: &ManifestError) -> Self {
        let (shown, at) = match error {
            ManifestError::Yaml { line, column, .. } => {
                let number = line.saturating_sub(1);
                let words: String = text
                    .lines()
                    .nth(number)
                    .unwrap_or_default()
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .take(200)
                    .collect();
                // A value is not shown, its key is enough to find the place.
                let key = words.find(": ").map_or(words.len(), |at| at + 1);
                let words = words.get(..key).unwrap_or_default().to_owned();
                let column = words
                    .char_indices()
                    .nth(column.saturating_sub(1))
                    .map_or(words.len(), |(at, _)| at);
                let start = column.min(words.len().saturating_sub(1));
                let length = usize::from(!words.is_empty());
                (words, Some((start, length).into()))
            }
            ManifestError::TooLarge { .. } | ManifestError::TooMany { .. } => (String::new(), None),
        };
        let place = match error {
            ManifestError::Yaml { line, column, .. } => format!("{file}:{line}:{column}"),
            _ => file.to_owned(),
        };
        Self::Manifest(Box::new(BadManifest {
            file: place,
            text: error.to_string(),
            source_code: NamedSource::new(file, shown),
            at,
        }))
    }

    /// The rule, the place, and a correction where there is one. The text is shown escaped.
    pub(super) fn reference(error: &ReferenceError) -> Self {
        let mut shown = String::new();
        let mut start = None;
        for (at, character) in error.text().char_indices().take(200) {
            if at >= error.offset() && start.is_none() {
                start = Some(shown.len());
            }
            if character.is_control() {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
        }
        let start = start.unwrap_or(shown.len());
        let length = usize::from(start < shown.len());
        Self::Reference(Box::new(NoReference {
            rule: error.to_string(),
            help: error
                .correction()
                .map(|text| format!("did you mean `{text}`?")),
            text: NamedSource::new("image", shown),
            at: (start, length).into(),
        }))
    }
}
