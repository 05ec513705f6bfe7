//! The `az` of an embedded cluster, as a program: `pull_scenarios::az` through the cluster's gateway.
//!
//! It speaks to nothing but the simulated network. Here are the way there, and the forms in which it
//! prints; the commands are those that scenarios carry out.

mod manager;
mod print;

use std::path::PathBuf;
use std::process::ExitCode;

use pull_scenarios::az::{self, AzError, Words};

use self::manager::{Gateway, Settings};

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

/// How a command ends that was not carried out.
fn code(error: &AzError) -> u8 {
    match error {
        AzError::Usage(_) | AzError::Unknown(_) | AzError::Query(_) => USAGE,
        AzError::NotFound(_) | AzError::Refused { status: 404, .. } => NOT_THERE,
        AzError::Refused { .. } | AzError::NoAnswer(_) => REFUSED,
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
            ExitCode::from(code(&error))
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
        let manager = Gateway::new(settings);
        az::carry_out(&manager, &words).await
    })?;
    print::print(found, &words)
}
