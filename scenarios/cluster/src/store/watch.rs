//! Watching a kind: every change after a version, in order, none lost and none twice.

use std::sync::Arc;

use serde_json::Value;

use super::{Kind, Store};

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It came into being.
    Added,
    /// It changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One change. The object of a deletion is its last state, with the version of the deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub action: Action,
    /// The object after the change.
    pub object: Arc<Value>,
    /// The object before the change; none when it was added.
    pub previous: Option<Arc<Value>>,
    /// The resource version of the change.
    pub version: u64,
}

/// The watcher asked for changes that are no longer kept; it has to list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("changes up to {oldest} are no longer kept, {wanted} was asked for")]
pub struct Lagged {
    /// The version after which changes were asked for.
    pub wanted: u64,
    /// The oldest version from which a watch can start.
    pub oldest: u64,
}

/// A running watch. Changes are read from the store's history, so a slow reader costs nothing.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    kind: Kind,
    position: u64,
}

impl Watch {
    pub(super) fn new(store: Store, kind: Kind, position: u64) -> Self {
        Self {
            store,
            kind,
            position,
        }
    }

    /// The version up to which everything was handed out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next change; waits until there is one. Safe to cancel.
    pub async fn next(&mut self) -> Result<Change, Lagged> {
        let bell = self.store.bell(self.kind);
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            // Listen before looking, so that a change in between is not missed.
            rung.as_mut().enable();
            if let Some(change) = self.try_next()? {
                return Ok(change);
            }
            rung.await;
        }
    }

    /// The next change if there is one already.
    pub fn try_next(&mut self) -> Result<Option<Change>, Lagged> {
        let next = self.store.change_after(self.kind, self.position)?;
        if let Some(change) = &next {
            self.position = change.version;
        }
        Ok(next)
    }

    /// Says that everything up to `version` of the store was seen, when nothing of this kind is
    /// waiting. A bookmark may then carry that version.
    pub fn catch_up(&mut self) -> Option<u64> {
        let version = self.store.version();
        match self.store.change_after(self.kind, self.position) {
            Ok(None) => {
                self.position = self.position.max(version);
                Some(self.position)
            }
            _ => None,
        }
    }
}
