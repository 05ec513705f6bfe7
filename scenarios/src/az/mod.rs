//! The `az` of the simulated Azure: the reads that lead to a cause, and the remedies that the checker
//! prints, as requests to Azure Resource Manager.
//!
//! It is no Azure CLI: what it does not know it says. The requests go through [`Manager`], so that the
//! same commands serve a terminal beside a running cluster and a scenario that carries out a remedy; a
//! wrong remedy fails as it would fail in Azure.

mod commands;
mod words;

use http::Method;
use serde_json::Value;

pub use commands::carry_out;
pub use words::Words;

/// The host that the token is for.
pub const HOST: &str = "management.azure.com";
/// Items of a list that are read.
const MOST_ITEMS: usize = 10_000;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AzError {
    /// The line is not one of this command's.
    #[error("{0}")]
    Usage(String),
    /// The command is none that is known here.
    #[error("`az {0}` is none of the commands that the embedded cluster knows:\n{known}", known = commands::KNOWN.join("\n"))]
    Unknown(String),
    /// Azure refuses.
    #[error("({code}) {message}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Azure's code.
        code: String,
        /// Azure's words.
        message: String,
    },
    /// What is named is not there.
    #[error("{0}")]
    NotFound(String),
    /// Nobody answered.
    #[error("no answer from the simulated Azure: {0}; is the cluster still up?")]
    NoAnswer(String),
    /// What is to be shown cannot be chosen so.
    #[error("{0}")]
    Query(String),
}

impl AzError {
    /// What an answer that is no success means.
    pub fn refused(status: http::StatusCode, answer: &Value) -> Self {
        let said = |path: &str| {
            let text = answer.pointer(path).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        Self::Refused {
            status: status.as_u16(),
            code: said("/error/code"),
            message: said("/error/message"),
        }
    }
}

/// Azure Resource Manager, as someone reaches it who is signed in.
pub trait Manager {
    /// The token of that person.
    fn token(&self) -> Result<String, AzError>;

    /// Sends a request; the JSON of a success.
    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> impl Future<Output = Result<Value, AzError>>;
}

async fn get(azure: &impl Manager, path: &str) -> Result<Value, AzError> {
    azure.send(Method::GET, path, None).await
}

/// All items of a list, page by page.
async fn list(azure: &impl Manager, path: &str) -> Result<Vec<Value>, AzError> {
    let mut items = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next.take() {
        let mut page = get(azure, &path).await?;
        if let Some(Value::Array(more)) = page.get_mut("value").map(Value::take) {
            items.extend(more);
        }
        let link = page
            .get("nextLink")
            .and_then(Value::as_str)
            .unwrap_or_default();
        // A link that leads elsewhere is not followed: the token is for this host.
        next = link
            .strip_prefix(&format!("https://{HOST}"))
            .map(str::to_owned);
        if items.len() > MOST_ITEMS {
            break;
        }
    }
    Ok(items)
}
