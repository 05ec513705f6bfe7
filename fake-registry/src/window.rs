//! Requests counted in whole windows of time: the step that every quota here takes.
//!
//! A registry's buckets and the fault script's quotas share it, and so does whoever asks what a
//! quota does to a crowd without sending a byte. Pure: the time is handed in.

use std::time::Duration;

/// What was let through in the current window. All zero is a window nobody has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    number: u64,
    used: u64,
}

impl Window {
    /// Whether one more request is too many at `elapsed`: then the whole seconds, at least one, until
    /// the next window opens. Windows are `length` seconds long (at least one) and start at zero.
    #[inline]
    pub fn refuses(&self, limit: u64, length: u64, elapsed: Duration) -> Option<u64> {
        let length = length.max(1);
        let (number, into) = (elapsed.as_secs() / length, elapsed.as_secs() % length);
        let used = if self.number == number { self.used } else { 0 };
        (used >= limit).then(|| length - into)
    }

    /// Whether the window that was counted in has ended by `elapsed`.
    pub fn is_over(&self, length: u64, elapsed: Duration) -> bool {
        self.number != elapsed.as_secs() / length.max(1)
    }

    /// Counts a request that was let through at `elapsed`.
    #[inline]
    pub fn count(&mut self, length: u64, elapsed: Duration) {
        let number = elapsed.as_secs() / length.max(1);
        if self.number != number {
            *self = Self { number, used: 0 };
        }
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_until_the_next_whole_window() {
        let (mut window, s) = (Window::default(), Duration::from_secs);
        for _ in 0..3 {
            assert_eq!(window.refuses(3, 60, s(10)), None);
            window.count(60, s(10));
        }
        assert_eq!(window.refuses(3, 60, s(10)), Some(50));
        assert_eq!(window.refuses(3, 60, s(59)), Some(1));
        assert_eq!(window.refuses(3, 60, s(60)), None);
        assert_eq!(window.refuses(0, 60, s(60)), Some(60));
        assert_eq!(
            window.refuses(1, 0, s(7)),
            None,
            "a window lasts a second at least"
        );
    }
}
