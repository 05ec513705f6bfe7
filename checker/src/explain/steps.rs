//! Counts the work of one explanation, in tests only.
//!
//! Every pass over the text says how many bytes or items it looked at. A test holds the sum to a
//! multiple of the text's length, which no clock can do reliably. Outside of tests this is nothing.

#[cfg(test)]
thread_local! {
    static TAKEN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A pass looked at `count` bytes or items.
#[inline]
pub(super) fn spend(count: usize) {
    #[cfg(test)]
    TAKEN.with(|taken| taken.set(taken.get() + count));
    #[cfg(not(test))]
    let _ = count;
}

/// The steps that `work` takes.
#[cfg(test)]
pub(super) fn count(work: impl FnOnce()) -> usize {
    let before = TAKEN.with(std::cell::Cell::get);
    work();
    TAKEN.with(std::cell::Cell::get) - before
}
