//! containerd's own numbers of a pull: how often it asks, how much at once, what unpacking costs. Pure, and
//! shared with whoever plays pulls without moving bytes.

use std::time::Duration;

/// Requests in one exchange, repetitions included (`remotes/docker/resolver.go`, `retryRequest`).
pub const MOST_REQUESTS: usize = 6;
/// `max_concurrent_downloads`, for one image.
pub const PARALLEL_LAYERS: usize = 3;

/// Whether a status is answered by asking again, at once and without a look at `Retry-After`, as long as
/// there are [`MOST_REQUESTS`].
#[inline]
pub fn repeats_at_once(status: u16) -> bool {
    matches!(status, 408 | 429)
}

/// What unpacking a layer of so many compressed bytes takes: a fixed part and a part by size, in the range
/// of what was observed.
#[inline]
pub fn unpacking(bytes: u64) -> Duration {
    const FIXED: Duration = Duration::from_millis(20);
    const A_MIB: Duration = Duration::from_millis(15);
    FIXED + A_MIB * u32::try_from(bytes >> 20).unwrap_or(u32::MAX)
}
