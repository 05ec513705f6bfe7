//! The `az` of an embedded cluster: the reads that lead to a cause, and the remedies that the checker
//! prints, sent to the simulated Azure Resource Manager through the gateway.
//!
//! It is no Azure CLI: what it does not know it says, and it speaks to nothing but the simulated
//! network. It speaks the wire protocol itself, so that a wrong remedy fails as it would fail in Azure.

mod commands;
mod manager;
mod print;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use self::manager::{Manager, Settings};
use self::words::Words;

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
/// As the real one ends when a resource is not there.
const NOT_THERE: u8 = 3;

/// Carries out an Azure command in the simulated Azure of an embedded cluster.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What the cluster left for us
    #[arg(long)]
    settings: PathBuf,
    /// The command line after `az`
    #[arg(last = true)]
    words: Vec<String>,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
enum AzError {
    #[error("{0}")]
    Usage(String),
    #[error("`az {0}` is none of the commands that the embedded cluster knows:\n{known}", known = commands::KNOWN.join("\n"))]
    Unknown(String),
    #[error("({code}) {message}")]
    Refused {
        status: u16,
        code: String,
        message: String,
    },
    #[error("{0}")]
    NotFound(String),
    #[error("no answer from the simulated Azure: {0}; is the cluster still up?")]
    NoAnswer(String),
    #[error("{0}")]
    Query(String),
}

impl AzError {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Unknown(_) | Self::Query(_) => USAGE,
            Self::NotFound(_) | Self::Refused { status: 404, .. } => NOT_THERE,
            Self::Refused { .. } | Self::NoAnswer(_) => REFUSED,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match try_run(arguments) {
        Ok(text) => {
            use std::io::Write as _;
            // A closed pipe wants no more.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ERROR: {error}");
            ExitCode::from(error.code())
        }
    }
}

fn try_run(arguments: &Arguments) -> Result<String, AzError> {
    let words = Words::read(&arguments.words)?;
    let settings = Settings::read(&arguments.settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| AzError::NoAnswer(error.to_string()))?;
    let found = runtime.block_on(async {
        let manager = Manager::new(settings);
        commands::carry_out(&manager, &words).await
    })?;
    print::print(found, &words)
}
