//! The loop every controller runs in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::feed::{Batch, Feed};
use crate::store::{Change, Kind, Store};

/// Namespace and name.
pub(super) type Key = (String, String);

/// A controller: which changes concern which of its objects, and how one object is brought closer
/// to what it should be.
pub(super) trait Controller: Send + 'static {
    /// The kinds it watches.
    fn kinds(&self) -> &'static [Kind];

    /// The objects a change concerns.
    fn concerned(&mut self, kind: Kind, change: &Change) -> Vec<Key>;

    /// All its objects, for the start and for when history was cut.
    fn everything(&mut self) -> Vec<Key>;

    /// Brings one object closer to what it should be; says when to look at it again.
    fn sync(&mut self, key: &Key) -> Option<Duration>;
}

/// Runs a controller for ever.
pub(super) async fn run(store: Store, mut controller: impl Controller) {
    let mut feed = Feed::new(store, controller.kinds());
    let mut marked: BTreeSet<Key> = controller.everything().into_iter().collect();
    let mut later: BTreeMap<Key, Instant> = BTreeMap::new();
    loop {
        while let Some(key) = marked.pop_first() {
            later.remove(&key);
            if let Some(delay) = controller.sync(&key) {
                later.insert(key, Instant::now() + delay);
            }
        }
        let due = later.values().min().copied();
        let wake = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => futures::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            batch = feed.next() => match batch {
                Batch::Changes(changes) => {
                    for (kind, change) in &changes {
                        marked.extend(controller.concerned(*kind, change));
                    }
                }
                Batch::Everything => marked.extend(controller.everything()),
            },
            () = wake => {
                let now = Instant::now();
                marked.extend(
                    later
                        .iter()
                        .filter(|(_, due)| **due <= now)
                        .map(|(key, _)| key.clone()),
                );
            }
        }
    }
}
