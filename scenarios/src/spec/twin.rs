//! The look-alike of a scenario: the same words, another cause.

use serde::Deserialize;
use serde_saphyr::Spanned;

/// Another scenario of the catalogue that looks the same at first.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Twin {
    /// Its id.
    pub scenario: Spanned<String>,
    /// Words that both show, in a status or an event.
    pub words: String,
    /// Why this one is the nearest, where the other names a third one as its own twin.
    #[serde(default)]
    pub because: Option<String>,
}
