//! Several watches as one: a batch of changes of some kinds, in the order they happened.

use std::pin::Pin;
use std::sync::Arc;

use futures::future::select_all;

use crate::store::{Change, Kind, Store, Watch};

/// What a feed brings.
#[derive(Debug)]
pub(super) enum Batch {
    /// Changes, oldest first.
    Changes(Vec<(Kind, Change)>),
    /// History was cut: everything has to be looked at again.
    Everything,
}

/// Changes of some kinds from now on.
#[derive(Debug)]
pub(super) struct Feed {
    store: Store,
    watches: Vec<(Kind, Watch)>,
}

impl Feed {
    pub(super) fn new(store: Store, kinds: &[Kind]) -> Self {
        let version = store.version();
        let watches = kinds
            .iter()
            .map(|kind| (*kind, store.watch(*kind, version)))
            .collect();
        Self { store, watches }
    }

    /// The next batch; waits until there is something. Safe to cancel.
    pub(super) async fn next(&mut self) -> Batch {
        let bells: Vec<_> = self
            .watches
            .iter()
            .map(|(kind, _)| self.store.bell(*kind))
            .collect();
        loop {
            // Listen before looking, so that a change in between is not missed.
            let mut rung: Vec<Pin<Box<_>>> = bells
                .iter()
                .map(|bell| Box::pin(Arc::clone(bell).notified_owned()))
                .collect();
            for rung in &mut rung {
                rung.as_mut().enable();
            }
            if let Some(batch) = self.take() {
                return batch;
            }
            if rung.is_empty() {
                return futures::future::pending().await;
            }
            select_all(rung).await;
        }
    }

    fn take(&mut self) -> Option<Batch> {
        let mut changes = Vec::new();
        let mut lagged = false;
        for (kind, watch) in &mut self.watches {
            loop {
                match watch.try_next() {
                    Ok(Some(change)) => changes.push((*kind, change)),
                    Ok(None) => break,
                    Err(_) => {
                        lagged = true;
                        break;
                    }
                }
            }
        }
        if lagged {
            let version = self.store.version();
            for (kind, watch) in &mut self.watches {
                *watch = self.store.watch(*kind, version);
            }
            return Some(Batch::Everything);
        }
        changes.sort_by_key(|(_, change)| change.version);
        (!changes.is_empty()).then_some(Batch::Changes(changes))
    }
}
