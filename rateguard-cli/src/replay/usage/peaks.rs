//! The distribution of the highest use of each key, and the limits that would deny a share of the keys.

/// The highest use of a quota by each key, sorted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peaks {
    sorted: Vec<u64>,
    /// The number of keys whose value is an upper bound.
    pub(crate) upper_bounds: u64,
}

impl Peaks {
    pub(crate) fn new(values: impl Iterator<Item = (u64, bool)>) -> Self {
        let mut peaks = Self::default();
        for (value, is_upper_bound) in values {
            peaks.sorted.push(value);
            peaks.upper_bounds += u64::from(is_upper_bound);
        }
        peaks.sorted.sort_unstable();
        peaks
    }

    pub(crate) fn sorted(&self) -> &[u64] {
        &self.sorted
    }

    /// Returns the smallest value that at least this percentage of the keys does not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> u64 {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied().unwrap_or(0)
    }

    /// Returns the smallest limit that at most `per_mille` of 1,000 keys exceed in a window.
    pub(crate) fn limit_for(&self, per_mille: usize) -> u64 {
        let exceeding = self.sorted.len() * per_mille / 1_000;
        let index = self.sorted.len().checked_sub(exceeding + 1);
        index.and_then(|index| self.sorted.get(index)).copied().unwrap_or(0)
    }

    /// Returns the number of keys that exceed this limit in a window.
    pub(crate) fn exceeding(&self, limit: u64) -> u64 {
        (self.sorted.len() - self.sorted.partition_point(|value| *value <= limit)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_keys() {
        let peaks = Peaks::new((1..=1_000).map(|value| (value, false)));
        assert_eq!([50, 90, 99, 100].map(|it| peaks.percentile(it)), [500, 900, 990, 1_000]);
        assert_eq!((peaks.exceeding(990), peaks.exceeding(1_000)), (10, 0));
        let one = Peaks::new([(7, true)].into_iter());
        assert_eq!((one.percentile(50), one.upper_bounds), (7, 1));
        assert_eq!((Peaks::default().percentile(50), Peaks::default().limit_for(10)), (0, 0));
    }

    #[test]
    fn limit_is_the_smallest_that_the_share_allows() {
        for count in [1, 2, 99, 100, 999, 1_000, 1_001, 2_500] {
            let peaks = Peaks::new((0..count).map(|value| (value / 3 + 1, false)));
            for per_mille in [0, 1, 10] {
                let limit = peaks.limit_for(per_mille);
                let allowed = |limit| peaks.exceeding(limit) * 1_000 <= count * per_mille as u64;
                assert!(allowed(limit), "{count} {per_mille}");
                assert!(limit == 0 || !allowed(limit - 1), "{count} {per_mille}");
            }
        }
    }
}
