//! Computes the delays between attempts that fail, for example to connect, or to reach a store that has failed.

use std::time::Duration;

use crate::jitter::jittered;

/// An exponential backoff with jitter. The delay doubles after each attempt, up to a maximum. To start again with
/// the initial delay, create a new value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    max: Duration,
    /// The maximum random change of a delay, as a fraction of the delay.
    jitter: f64,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(initial: Duration, max: Duration, jitter: f64) -> Self {
        Self { max, jitter, next: initial }
    }

    /// Returns the delay before the next attempt, and doubles the delay for the attempt after that, up to the
    /// maximum.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (2 * delay).min(self.max);
        jittered(delay, self.jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_the_maximum() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(millis(20), millis(500), 0.0);
        for expected in [20, 40, 80, 160, 320, 500, 500] {
            assert_eq!(backoff.next_delay(), millis(expected));
        }
    }

    #[test]
    fn backoff_jitter_is_bounded_and_does_not_accumulate() {
        let millis = Duration::from_millis;
        let mut backoff = Backoff::new(millis(100), millis(400), 0.25);
        for expected in [100, 200, 400, 400] {
            let delay = backoff.next_delay();
            assert!(delay >= millis(expected * 3 / 4) && delay <= millis(expected * 5 / 4));
        }
    }
}
