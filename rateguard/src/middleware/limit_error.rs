//! The error that describes an invalid limit.

use std::{error::Error, fmt, panic::Location};

use crate::limit_name::LimitName;

/// The reason why a [`Limit`](crate::Limit) is invalid, or why a guard cannot use the limit.
/// [`RateLimit::try_new`](crate::RateLimit::try_new) returns this error.
///
/// The message contains the name of the limit, and the source file and line of its middleware. If one setting is
/// invalid, the message also contains the name of this setting.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitError {
    limit: String,
    is_named: bool,
    location: &'static Location<'static>,
    problem: LimitProblem,
}

/// The reason why a limit is invalid.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum LimitProblem {
    Setting(InvalidSetting),
    /// The limit uses a policy by name, and the guard has no policy with this name. The text contains the names of the
    /// policies that the guard has.
    UnknownPolicy {
        expected: String,
    },
    /// Another limit of the same middleware already has this name.
    DuplicateName,
    /// Each request has the same cost, and this cost is above the maximum cost that the quotas can ever allow.
    Cost {
        cost: u32,
        max: u32,
    },
    /// Each request has the cost 0, so the limit would allow every request.
    NoCost,
    /// Another limit of the guard has the same name. The text is the message of the
    /// [`NameConflict`](crate::error::NameConflict).
    NameConflict(String),
}

/// A setting whose value is invalid, with the error message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InvalidSetting {
    /// The name of the method that sets the value. `None` if the quotas are invalid.
    pub(super) setting: Option<&'static str>,
    pub(super) message: String,
}

impl LimitError {
    pub(super) fn new(
        limit: &str,
        is_named: bool,
        location: &'static Location<'static>,
        problem: LimitProblem,
    ) -> Self {
        Self { limit: limit.to_owned(), is_named, location, problem }
    }

    /// Returns the name of the invalid limit. If the program has set no name, this is the default name, such as `app`.
    #[must_use]
    pub fn limit(&self) -> &str {
        &self.limit
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit: name, location, .. } = self;
        let limit = LimitName { name: self.is_named.then_some(name), location };
        let (file, line) = (location.file(), location.line());
        match &self.problem {
            LimitProblem::Setting(InvalidSetting { setting: None, message }) => {
                write!(f, "{limit}: {message}")
            }
            LimitProblem::Setting(InvalidSetting { setting: Some(setting), message }) => {
                write!(f, "`{setting}` of {limit}: {message}")
            }
            LimitProblem::UnknownPolicy { expected } => write!(
                f,
                "the guard has no policy named `{name}`, which the middleware at {file}:{line} uses; {expected}. Add the policy with `RateGuard::builder().policy(…)`"
            ),
            LimitProblem::DuplicateName => write!(
                f,
                "two limits of the middleware at {file}:{line} are named `{name}`; give each its own name"
            ),
            LimitProblem::Cost { cost, max } => write!(
                f,
                "{limit} allows a maximum cost of {max}, but each request costs {cost}, so every request would be denied"
            ),
            LimitProblem::NoCost => write!(
                f,
                "`cost` of {limit}: expected at least 1, found 0; to exempt requests, use `skip`"
            ),
            LimitProblem::NameConflict(sentence) => f.write_str(sentence),
        }
    }
}

actix_rateguard_grammar::debug_as_display!(LimitError);

impl Error for LimitError {}
