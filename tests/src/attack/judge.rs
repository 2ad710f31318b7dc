//! Whether what a row measured is what the limit allows.

use super::measure::Measured;

/// How many times its baseline the p99 latency of victims may be, if latency is judged.
const MAX_LATENCY_RATIO: f64 = 3.0;

impl Measured {
    /// The most that may pass; of an attack from many addresses everything that was answered.
    #[must_use]
    pub fn maximum(&self) -> u64 {
        self.row.limit.maximum(self.tally.lasted).unwrap_or(self.tally.answered())
    }

    /// Requests that were let pass or rejected without a decision, of attack and victims.
    ///
    /// The guards count them, and responses without numbers show them; both should be the same, so the higher one counts.
    #[must_use]
    pub fn unchecked(&self) -> u64 {
        let without_numbers = self.tally.undecided + self.attacked.unchecked;
        without_numbers.max(self.failures.open + self.failures.closed)
    }

    /// How much slower the slowest 1 % of the victims' requests became.
    #[must_use]
    pub fn latency_ratio(&self) -> f64 {
        let [before, under] =
            [&self.baseline, &self.attacked].map(|it| it.percentile(99).as_secs_f64());
        under / before.max(1e-6)
    }

    /// What must not be.
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
            format!("{} requests passed, and at most {maximum} may", tally.passed),
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
            attacked.refused == 0,
            format!("{} requests of victims within their limits were refused", attacked.refused),
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
            "victims were refused or unchecked before the attack".to_owned(),
        );
        let ratio = self.latency_ratio();
        require(
            !is_latency_judged || ratio <= MAX_LATENCY_RATIO,
            format!("the p99 latency of victims is {ratio:.1} times the one before the attack"),
        );
        violations
    }
}
