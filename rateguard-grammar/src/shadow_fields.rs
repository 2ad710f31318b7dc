//! Reads the shadow mode of a limit from the fields `shadow`, `candidate` and `rollout`. In shadow mode, quotas
//! count requests but are not enforced.

use std::ops::RangeInclusive;

use crate::{
    Quotas,
    located::{FieldError, Located},
};

/// The shadow mode of a limit, in which some or all of its quotas count requests but are not enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShadowSpec {
    /// The whole limit is in shadow mode.
    Whole,
    /// The limit has candidate quotas, which count requests in addition to the enforced quotas. The number is a
    /// percentage of all keys, from 0 to 100. For these keys, the guard enforces the candidate quotas.
    Candidate(Quotas, u8),
}

/// The fields that specify the shadow mode, in a macro attribute or in a policies file. `L` is the type of a
/// location in the user's source text.
#[derive(Clone, Debug)]
pub struct ShadowFields<L> {
    /// Whether the whole limit is in shadow mode.
    pub shadow: Option<Located<bool, L>>,
    /// The candidate quotas, which count requests in addition to the enforced quotas.
    pub candidate: Option<Located<Quotas, L>>,
    /// A percentage of all keys. For these keys, the guard enforces the candidate quotas.
    pub rollout: Option<Located<u8, L>>,
}

// `#[derive(Default)]` would require `L: Default`, but the compiler's `Span` does not implement `Default`.
impl<L> Default for ShadowFields<L> {
    fn default() -> Self {
        Self { shadow: None, candidate: None, rollout: None }
    }
}

impl<L: Copy> ShadowFields<L> {
    /// The valid values for `rollout`, in percent.
    pub const ROLLOUTS: RangeInclusive<u8> = 0..=100;
    /// The message for a value of `shadow` that is not a boolean.
    pub const EXPECTED_SHADOW: &str =
        "expected true or false, without quotes; for a candidate, write `candidate = \"3/minute\"`";
    /// The message for a value of `rollout` that is not in [`ROLLOUTS`](Self::ROLLOUTS).
    pub const EXPECTED_ROLLOUT: &str =
        "expected a whole number of percent from 0 to 100, such as `rollout = 10`";

    /// Returns the names and the locations of the fields that are present.
    pub fn present(&self) -> impl Iterator<Item = (&'static str, L)> {
        [
            ("shadow", self.shadow.map(|it| it.location)),
            ("candidate", self.candidate.as_ref().map(|it| it.location)),
            ("rollout", self.rollout.map(|it| it.location)),
        ]
        .into_iter()
        .filter_map(|(name, location)| Some((name, location?)))
    }

    /// Returns the shadow mode that the fields specify. The result is `None` if the fields specify no shadow mode.
    ///
    /// # Errors
    ///
    /// [`FieldError`] if the whole limit is in shadow mode and also has candidate quotas, or if the limit has a
    /// rollout but no candidate quotas.
    pub fn spec(&self) -> Result<Option<ShadowSpec>, FieldError<L>> {
        let is_whole = self.shadow.is_some_and(|shadow| shadow.value);
        match (&self.candidate, self.rollout) {
            (Some(candidate), _) if is_whole => Err(FieldError::at(
                candidate.location,
                "`candidate` conflicts with `shadow = true`; remove one of them",
            )),
            (Some(candidate), rollout) => {
                let percent = rollout.map_or(0, |rollout| rollout.value);
                Ok(Some(ShadowSpec::Candidate(candidate.value.clone(), percent)))
            }
            (None, Some(rollout)) => Err(FieldError::at(
                rollout.location,
                "`rollout` requires a candidate rate, such as `candidate = \"3/minute\"`",
            )),
            (None, None) => Ok(is_whole.then_some(ShadowSpec::Whole)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the shadow mode for these values of the fields. The fields have the locations 1 to 3, in the order
    /// of the parameters.
    fn spec(
        shadow: Option<bool>,
        candidate: Option<&str>,
        rollout: Option<u8>,
    ) -> Result<Option<ShadowSpec>, (Option<u8>, String)> {
        let fields = ShadowFields {
            shadow: shadow.map(|value| Located { value, location: 1 }),
            candidate: candidate.map(|text| Located { value: text.parse().unwrap(), location: 2 }),
            rollout: rollout.map(|value| Located { value, location: 3 }),
        };
        fields.spec().map_err(|error| (error.location, error.message))
    }

    #[test]
    fn valid_fields_give_a_shadow_mode() {
        let candidate = |percent| Ok(Some(ShadowSpec::Candidate("3/m".parse().unwrap(), percent)));
        assert_eq!(spec(None, None, None), Ok(None));
        assert_eq!(spec(Some(false), None, None), Ok(None));
        assert_eq!(spec(Some(true), None, None), Ok(Some(ShadowSpec::Whole)));
        assert_eq!(spec(None, Some("3/m"), None), candidate(0));
        assert_eq!(spec(Some(false), Some("3/m"), Some(10)), candidate(10));
    }

    #[test]
    fn conflicting_fields_are_reported_at_the_wrong_field() {
        for (result, location, part) in [
            (spec(Some(true), Some("3/m"), None), 2, "conflicts with `shadow = true`"),
            (spec(Some(true), Some("3/m"), Some(10)), 2, "conflicts with `shadow = true`"),
            (spec(Some(true), None, Some(10)), 3, "requires a candidate rate"),
            (spec(None, None, Some(10)), 3, "`candidate = \"3/minute\"`"),
        ] {
            let (found, message) = result.unwrap_err();
            assert_eq!(found, Some(location), "{message}");
            assert!(message.contains(part), "{message}");
        }
    }
}
