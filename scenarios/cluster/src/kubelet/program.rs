//! A program that really runs in a container, where somebody knows what the container starts.
//!
//! It is a task beside the pod's worker; its output becomes the container's log, and the worker is woken when the
//! kubelet would notice its end.

use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::pod::{self, Container};
use super::worker::Mailbox;
use super::{Shared, lock};
use crate::program;
use crate::runtime::Image;
use crate::store::Kind;

/// A program that runs; it ends when nothing holds this any more.
#[derive(Clone)]
pub(super) struct Program {
    ended: Arc<Mutex<Option<(Instant, i32)>>>,
    _task: Arc<Task>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Program {
    /// Runs what the container starts; none where nobody knows it.
    pub(super) fn start(
        kubelet: &Arc<Shared>,
        mailbox: &Mailbox,
        pod: &Value,
        container: &Container,
        image: &Image,
    ) -> Option<Self> {
        let given = kubelet.programs.as_ref()?;
        let described = ["containers", "initContainers", "ephemeralContainers"]
            .into_iter()
            .flat_map(|field| pod::list(pod, &["spec", field]))
            .find(|one| pod::text(one, &["name"]) == container.name)?;
        let words = if container.command.is_empty() {
            image.command.clone()
        } else {
            container.command.clone()
        };
        let start = program::Start {
            image: container.image.clone(),
            words,
            environment: program::environment(pod, described),
            files: program::files(pod, described, |name| {
                let namespace = pod::namespace(pod);
                kubelet.store.get_shared(Kind::Secret, namespace, name)
            }),
            node: kubelet.name.clone(),
            host: kubelet.host.clone(),
        };
        let running = given.0.start(&start)?;
        let ended = Arc::new(Mutex::new(None));
        let (told, mailbox, shared) = (Arc::clone(&ended), mailbox.clone(), Arc::clone(kubelet));
        let (uid, name) = (pod::uid(pod).to_owned(), container.name.clone());
        let task = format!("program of {} in pod {uid}", kubelet.name);
        let work = async move {
            let outcome = running.await;
            shared.store.logs().keep(&uid, &name, outcome.output);
            let at = Instant::now();
            *lock(&told) = Some((at, outcome.code));
            sleep_until(shared.noticed(at)).await;
            mailbox.wake();
        };
        let work = kubelet.store.failures().watch(&task, work);
        Some(Self {
            ended,
            _task: Arc::new(Task(tokio::spawn(work).abort_handle())),
        })
    }

    /// When it ended, and how.
    pub(super) fn ended(&self) -> Option<(Instant, i32)> {
        *lock(&self.ended)
    }
}
