//! What came of a storm.

use std::time::Duration;

use serde::Serialize;

/// One second at the registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Second {
    /// Requests that it answered, sign-in included.
    pub answered: u32,
    /// Requests that it refused with 429.
    pub refused: u32,
}

/// What came of it. Times count from the beginning of the rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Storm {
    /// Nodes in all.
    pub nodes: u32,
    /// When each node on which everything runs in the end was done, in order.
    pub done: Vec<Duration>,
    /// Requests that reached the registry.
    pub requests: u64,
    /// Of these, sign-in: challenges, tokens, exchanges.
    pub sign_in: u64,
    /// Of these, refused with 429.
    pub refused: u64,
    /// Requests that reached the mirrors.
    pub mirrored: u64,
    /// Pulls that failed, each a line of `ErrImagePull`.
    pub failed_pulls: u64,
    /// Of these, refused by the kubelet's own rate limit.
    pub over_qps: u64,
    /// Nodes on which a pull failed at least once.
    pub nodes_hit: u32,
    /// The most failures of one pull.
    pub most_failures: u32,
    /// Events that the simulation worked through.
    pub events: u64,
    /// The registry, second by second.
    pub seconds: Vec<Second>,
}

impl Storm {
    /// Nodes on which everything runs in the end.
    pub fn running(&self) -> u32 {
        u32::try_from(self.done.len()).unwrap_or(u32::MAX)
    }

    /// When this part of all nodes was done; none if they never were. `part` from 0 to 1.
    pub fn after(&self, part: f64) -> Option<Duration> {
        let count = (f64::from(self.nodes) * part.clamp(0.0, 1.0)).ceil() as usize;
        self.done.get(count.saturating_sub(1)).copied()
    }

    /// The busiest second, and which it was.
    pub fn peak(&self) -> (u64, Second) {
        let total = |second: &Second| u64::from(second.answered) + u64::from(second.refused);
        let mut peak = (0, Second::default());
        for (n, second) in (0..).zip(&self.seconds) {
            if total(second) > total(&peak.1) {
                peak = (n, *second);
            }
        }
        peak
    }

    /// How long anything happened.
    pub fn length(&self) -> Duration {
        let seconds = Duration::from_secs(self.seconds.len() as u64);
        self.done.last().copied().unwrap_or_default().max(seconds)
    }

    /// Its course in at most so many equal steps of whole seconds, for a picture.
    pub fn course(&self, steps: usize) -> Vec<Step> {
        let length = self.length().as_secs() + 1;
        let width = length.div_ceil(steps.max(1) as u64).max(1);
        let mut course: Vec<Step> = (0..length.div_ceil(width))
            .map(|n| Step {
                from: n * width,
                width,
                ..Step::default()
            })
            .collect();
        for (n, second) in (0_u64..).zip(&self.seconds) {
            if let Some(step) = course.get_mut((n / width) as usize) {
                step.answered += u64::from(second.answered);
                step.refused += u64::from(second.refused);
            }
        }
        let mut done = self.done.iter().peekable();
        let mut running = 0;
        for step in &mut course {
            while done
                .next_if(|at| at.as_secs() < step.from + width)
                .is_some()
            {
                running += 1;
            }
            step.running = running;
        }
        course
    }
}

/// A stretch of a storm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its first second.
    pub from: u64,
    /// Its length in seconds.
    pub width: u64,
    /// Requests answered in it.
    pub answered: u64,
    /// Requests refused in it.
    pub refused: u64,
    /// Nodes done by its end.
    pub running: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storm() -> Storm {
        let second = |answered, refused| Second { answered, refused };
        Storm {
            nodes: 4,
            done: [1, 2, 9].map(Duration::from_secs).to_vec(),
            requests: 9,
            sign_in: 0,
            refused: 3,
            mirrored: 0,
            failed_pulls: 1,
            over_qps: 0,
            nodes_hit: 1,
            most_failures: 1,
            events: 0,
            seconds: vec![second(2, 0), second(1, 3), second(3, 0)],
        }
    }

    #[test]
    fn parts_and_peaks() {
        let storm = storm();
        assert_eq!(storm.after(0.5), Some(Duration::from_secs(2)));
        assert_eq!(storm.after(0.75), Some(Duration::from_secs(9)));
        assert_eq!(storm.after(1.0), None, "one of four never ran");
        assert_eq!(
            storm.peak(),
            (
                1,
                Second {
                    answered: 1,
                    refused: 3
                }
            )
        );
    }

    #[test]
    fn a_course_loses_nothing() {
        for steps in [1, 2, 3, 100] {
            let course = storm().course(steps);
            assert!(course.len() <= steps.max(10));
            let sum = |f: fn(&Step) -> u64| course.iter().map(f).sum::<u64>();
            assert_eq!((sum(|s| s.answered), sum(|s| s.refused)), (6, 3));
            assert_eq!(course.last().map(|s| s.running), Some(3));
        }
    }
}
