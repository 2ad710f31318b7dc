//! The judge checks whether the results of an attack are within the limits. It also checks the victims, which are
//! clients that send requests within their limits during the attack.

use super::measure::Measurement;

/// The p99 latency of the victims under attack may be at most this many times their p99 latency before the attack.
/// This rule applies only with the option `--judge-latency`.
const MAX_LATENCY_RATIO: f64 = 3.0;

impl Measurement {
    /// The maximum number of requests of the attack that may pass. If the attack uses many addresses, no address
    /// exceeds its limit, so all requests may pass.
    #[must_use]
    pub fn maximum(&self) -> u64 {
        self.row.limit.maximum(self.tally.lasted).unwrap_or(self.tally.responses())
    }

    /// The number of requests without a decision, both of the attack and of the victims. Such a request passed or
    /// was rejected, depending on the failure mode.
    ///
    /// The guards count the checks without a decision, and the clients count the responses without rate limit
    /// headers. The two counts should be equal. If they differ, the higher count is used.
    #[must_use]
    pub fn unchecked(&self) -> u64 {
        let without_numbers = self.tally.undecided + self.attacked.unchecked;
        without_numbers.max(self.failures.open + self.failures.closed)
    }

    /// The p99 latency of the victims under attack, divided by their p99 latency before the attack.
    #[must_use]
    pub fn latency_ratio(&self) -> f64 {
        let [before, under] =
            [&self.baseline, &self.attacked].map(|it| it.percentile(99).as_secs_f64());
        under / before.max(1e-6)
    }

    /// Returns a message for each violation.
    #[must_use]
    pub fn violations(&self, is_latency_judged: bool) -> Vec<String> {
        let mut violations = Vec::new();
        let mut require = |is_right: bool, violation: String| {
            if !is_right {
                violations.push(format!("{}: {violation}", self.row));
            }
        };
        let (tally, attacked) = (&self.tally, &self.attacked);
        let maximum = self.maximum();
        require(
            tally.passed <= maximum,
            format!("{} requests passed, expected at most {maximum}", tally.passed),
        );
        let unchecked = self.unchecked();
        require(unchecked == 0, format!("{unchecked} requests had no decision"));
        if self.row.limit.is_many_addresses {
            require(
                tally.denied == 0,
                format!("{} requests of clients within their limits were denied", tally.denied),
            );
        }
        require(
            attacked.rejected == 0,
            format!("{} requests of victims within their limits were rejected", attacked.rejected),
        );
        require(
            attacked.lost == 0,
            format!("{} requests of victims had no response", attacked.lost),
        );
        require(
            tally.broken + tally.other == 0,
            format!(
                "{} connections ended and {} responses had an unexpected status",
                tally.broken, tally.other
            ),
        );
        require(
            self.baseline.is_clean(),
            "victims were rejected or unchecked before the attack".to_owned(),
        );
        let ratio = self.latency_ratio();
        require(
            !is_latency_judged || ratio <= MAX_LATENCY_RATIO,
            format!("the p99 latency of victims is {ratio:.1} times that of the baseline"),
        );
        violations
    }
}
