//! Who wants to see a full pull go on: a progress bar, or nobody.

use std::fmt;
use std::sync::Arc;

/// How far one layer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which layer, from 1.
    pub layer: usize,
    /// How many there are.
    pub layers: usize,
    /// Bytes of it that were read.
    pub read: u64,
    /// Its size.
    pub size: u64,
}

/// Told of each part of a layer as it is read; nobody by default.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<dyn Fn(Progress) + Send + Sync>>);

impl Watch {
    /// Tells a function.
    pub fn new(told: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(super) fn tell(&self, progress: Progress) {
        if let Some(told) = &self.0 {
            told(progress);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({})", self.0.is_some())
    }
}
