//! Tasks of the simulation that panicked.
//!
//! Tokio keeps a panic inside its task, so a simulated kubelet could die and the play go on without
//! it. Every task of the cluster runs under [`Failures::watch`], which keeps what the panic said; a
//! play asks [`crate::cluster::Cluster::failures`] and fails.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::sync::Notify;

/// More panics than this are counted by the first ones.
const KEPT: usize = 32;

/// A task that panicked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{task} panicked: {message}")]
pub struct Failure {
    /// Which task: `kubelet of node-1`, `the API server`.
    pub task: String,
    /// What the panic said.
    pub message: String,
}

/// The panics of a simulation. Cheap to clone, all clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Failures {
    list: Arc<Mutex<Vec<Failure>>>,
    bell: Arc<Notify>,
}

impl Failures {
    /// Those so far, oldest first.
    pub fn list(&self) -> Vec<Failure> {
        self.lock().clone()
    }

    /// The first one; waits until there is one. Safe to cancel.
    pub async fn first(&self) -> Failure {
        loop {
            let rung = self.bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            if let Some(failure) = self.lock().first() {
                return failure.clone();
            }
            rung.await;
        }
    }

    /// Runs a task to its end; `None` when it panicked, which is then in the list.
    pub fn watch<F: Future + Send>(
        &self,
        task: &str,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send + use<F> {
        let (failures, task) = (self.clone(), task.to_owned());
        async move {
            match AssertUnwindSafe(future).catch_unwind().await {
                Ok(output) => Some(output),
                Err(panic) => {
                    failures.add(task, said(panic.as_ref()));
                    None
                }
            }
        }
    }

    fn add(&self, task: String, message: String) {
        let mut list = self.lock();
        if list.len() < KEPT {
            list.push(Failure { task, message });
        }
        drop(list);
        self.bell.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Failure>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_kept_and_told() {
        let failures = Failures::default();
        let fine = tokio::spawn(failures.watch("one", async { 5 }));
        let bad = tokio::spawn(failures.watch("two", async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            assert_eq!(1, 2, "sums");
        }));
        assert_eq!(failures.first().await.task, "two");
        assert_eq!(fine.await.ok(), Some(Some(5)));
        assert_eq!(bad.await.ok(), Some(None));
        let list = failures.list();
        assert_eq!(list.len(), 1);
        assert!(list[0].to_string().starts_with("two panicked: "));
        assert!(list[0].message.contains("sums"));
    }
}
