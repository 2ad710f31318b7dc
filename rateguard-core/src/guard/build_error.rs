//! The error that the builder of a guard returns.

use std::{error::Error, fmt};

use actix_rateguard_grammar::{NameError, escape_for_display, expected_one_of};
use actix_rateguard_headers::HeaderDialect;

use super::name_conflict::NameConflict;
#[cfg(feature = "config")]
use crate::config::PoliciesFileError;
use crate::{RateError, RedisUrlError, UpstashError, key::KeySecret};

/// The reason why [`RateGuardBuilder::build`](crate::RateGuardBuilder::build) failed.
#[non_exhaustive]
pub enum BuildError {
    /// The guard counts in Redis or at Upstash, but the program has set no prefix for the guard's keys.
    NoPrefix,
    /// The prefix for keys in Redis is not a valid name.
    Prefix(NameError),
    /// The deadline is shorter than 1 ms or longer than 60 s.
    Deadline,
    /// The maximum number of checks that can wait for the store at the same time is zero or above 4,294,967,295.
    MaxInFlight,
    /// The number of replicas is zero.
    Replicas,
    /// The maximum number of keys of the in-memory store is zero.
    MaxKeys,
    /// The guard has overrides, but its store has no documents, in which the guard could store them.
    Overrides,
    /// The secret for hashing keys is shorter than 16 bytes.
    Secret,
    /// Two policies have the same name.
    DuplicatePolicy {
        /// The name that both policies have.
        name: String,
    },
    /// A macro attribute uses a policy that this guard does not have.
    UnknownPolicy {
        /// The name of the missing policy.
        name: String,
        /// The file and line of the macro attribute.
        location: String,
        /// The names of the guard's policies.
        available: Vec<String>,
    },
    /// Two macro attributes, or a macro attribute and a policy of the guard, have the same name and different settings.
    NameConflict(NameConflict),
    /// The name of a plan is not valid.
    PlanName(NameError),
    /// The text of a plan is invalid.
    Plan {
        /// The name of the plan.
        name: String,
        /// The error in the text.
        error: RateError,
    },
    /// Two plans have the same name.
    DuplicatePlan {
        /// The name that both plans have.
        name: String,
    },
    /// A plan refers to another plan instead of quotas.
    NestedPlan {
        /// The name of the plan.
        name: String,
    },
    /// The policies file cannot be read or is invalid.
    #[cfg(feature = "config")]
    PoliciesFile(PoliciesFileError),
    /// The interval between two checks of the policies file is longer than zero, but shorter than 10 ms.
    PoliciesFileInterval,
    /// The maximum random time that is added to `Retry-After` is not a whole number of seconds, or is above 1 hour.
    RetryJitter,
    /// The maximum length of a request body from which a key is read is zero or above 1 MiB.
    MaxKeyBody,
    /// Two of the selected header dialects write the same header field with different meanings.
    Headers {
        /// The two dialects, in the order in which they were selected.
        dialects: [HeaderDialect; 2],
    },
    /// The Redis URL is invalid or not supported.
    Url(RedisUrlError),
    /// The URL or the token for Upstash is invalid, or the system has no certificate authorities.
    Upstash(UpstashError),
    /// The system could not start a thread that the guard needs for its connection or its policies file.
    Thread(std::io::Error),
}

/// The solution if an error concerns a macro attribute that does not belong to the guard.
const OTHER_GUARD: &str = "If another guard serves the attribute, set its `limiter` or call `for_attributes(false)` for this guard";

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrefix => f.write_str(
                "prefix: expected the name of your service, found none; without it, two services on this server would share their counts. Call `.prefix(\"name-of-your-service\")` before `build()`",
            ),
            Self::Prefix(error) => write!(f, "prefix: {error}"),
            Self::Deadline => {
                f.write_str("deadline: expected a duration from 1 millisecond to 60 seconds")
            }
            Self::MaxInFlight => {
                f.write_str("max_in_flight: expected a number of checks from 1 to 4294967295")
            }
            Self::Replicas => {
                f.write_str("replicas: expected a number of processes of at least 1, found 0")
            }
            Self::MaxKeys => {
                f.write_str("max_keys of the in-memory store: expected at least 1, found 0")
            }
            Self::Overrides => f.write_str(
                "overrides: expected a store with documents, found a store without them; implement `Store::documents`, or remove `.overrides(true)`",
            ),
            Self::Secret => write!(
                f,
                "key_secret: expected a secret of at least {} bytes",
                KeySecret::MIN_BYTES
            ),
            Self::DuplicatePolicy { name } => {
                write!(f, "two policies are named `{name}`; rename one of them")
            }
            Self::UnknownPolicy { name, location, available } => {
                let available: Vec<_> = available.iter().map(String::as_str).collect();
                write!(
                    f,
                    "unknown policy `{name}`, used by the attribute at {location}; {}. Add the policy. {OTHER_GUARD}",
                    expected_one_of("policy", name, &available)
                )
            }
            Self::NameConflict(conflict) => write!(f, "{conflict}. {OTHER_GUARD}"),
            Self::PlanName(error) => write!(f, "plan: {error}"),
            Self::Plan { name, error } => {
                write!(
                    f,
                    "plan `{}`: {error}; \"unlimited\" is also valid",
                    escape_for_display(name)
                )
            }
            Self::DuplicatePlan { name } => {
                write!(f, "two plans are named `{name}`; rename one of them")
            }
            Self::NestedPlan { name } => write!(
                f,
                "the plan `{name}` refers to another plan or is a text that is not parsed yet; expected quotas or `Plan::Unlimited`"
            ),
            #[cfg(feature = "config")]
            Self::PoliciesFile(error) => error.fmt(f),
            Self::PoliciesFileInterval => f.write_str(
                "policies_file_interval: expected a duration of at least 10 milliseconds, or zero to disable the interval",
            ),
            Self::RetryJitter => {
                f.write_str("retry_jitter: expected a whole number of seconds, at most 1 hour")
            }
            Self::MaxKeyBody => {
                f.write_str("max_key_body: expected a number of bytes from 1 to 1048576")
            }
            Self::Headers { dialects: [one, other] } => write!(
                f,
                "headers: expected dialects that write different fields, found `{}` and `{}`; remove one of the two dialects",
                one.name(),
                other.name()
            ),
            Self::Url(error) => write!(f, "Redis URL: {error}"),
            Self::Upstash(error) => write!(f, "Upstash: {error}"),
            Self::Thread(_) => f.write_str("failed to start a thread"),
        }
    }
}

actix_rateguard_grammar::debug_as_display!(BuildError);

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            // The message of every variant except `Thread` already contains the text of its source error.
            _ => None,
        }
    }
}
