//! A sign of life on standard error while the check runs; on a terminal only.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::probe::Watch;

pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn start(quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner()
            .with_message("looking at the cluster, the network and the registry");
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(Some(bar))
    }

    /// Shows how far a full pull is, layer by layer.
    pub(super) fn watch(&self) -> Watch {
        let Some(bar) = self.0.clone() else {
            return Watch::default();
        };
        Watch::new(move |at| {
            let part = at
                .read
                .saturating_mul(100)
                .checked_div(at.size)
                .unwrap_or(100);
            bar.set_message(format!(
                "layer {} of {}: {part} % of {}",
                at.layer,
                at.layers,
                HumanBytes(at.size)
            ));
        })
    }

    pub(super) fn stop(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
