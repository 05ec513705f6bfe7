//! When the kubelet looks at a pod again (`pod_workers.go`, `util/queue/work_queue.go`), and what the
//! steps around a pull take. Pure: the chance is handed in.

use std::time::Duration;

use crate::clock::Generator;

/// How long until a pod's next sync is due: `10 s * (1 … 1.5)` after a failure, `60 s * (1 … 1.5)` after
/// a success. The kubelet looks at what is due once a second ([`whole_seconds`]).
#[inline]
pub fn sync_delay(chance: &mut Generator, failed: bool) -> Duration {
    chance.jitter(Duration::from_secs(if failed { 10 } else { 60 }), 0.5)
}

/// The first look at or after `since`, for someone who looks once a second from zero on.
#[inline]
pub fn whole_seconds(since: Duration) -> Duration {
    let up = u64::from(since.subsec_nanos() > 0);
    Duration::from_secs(since.as_secs() + up)
}

/// A time of which a part is chance, in milliseconds: `from`, and less than `more` on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    from: u64,
    more: u64,
}

impl Spread {
    /// One such time.
    #[inline]
    pub fn draw(self, chance: &mut Generator) -> Duration {
        Duration::from_millis(self.from + chance.below(self.more))
    }
}

/// A new pod, until its sandbox needs the pause image.
pub const NETWORK: Spread = spread(200, 300);
/// From the pause image to a sandbox.
pub const SANDBOX: Spread = spread(50, 100);
/// From an image to a created container.
pub const CREATE: Spread = spread(10, 20);
/// From a created container to a started one.
pub const START: Spread = spread(50, 60);
/// Stopping a container whose definition changed.
pub(super) const STOP: Spread = spread(100, 200);
/// Stopping all of a pod.
pub(super) const TERMINATE: Spread = spread(100, 300);

const fn spread(from: u64, more: u64) -> Spread {
    Spread { from, more }
}
