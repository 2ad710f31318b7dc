//! Why a guard cannot be built.

use std::{error::Error, fmt};

use actix_rateguard_grammar::NameError;

#[cfg(feature = "config")]
use crate::config::PoliciesFileError;
use crate::key::KeySecret;
#[cfg(feature = "redis")]
use crate::store::redis::RedisUrlError;
#[cfg(feature = "upstash")]
use crate::store::upstash::UpstashError;

/// Why a guard cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The prefix is not legal.
    Prefix(NameError),
    /// The deadline is not from 1 ms to 60 s.
    Deadline,
    /// The secret is shorter than 16 bytes.
    Secret,
    /// Two policies have one name.
    PolicyTwice {
        /// The name.
        name: String,
    },
    /// An attribute in the program names a policy that this guard was not given, though it was given others.
    UnknownPolicy {
        /// The name.
        name: String,
        /// The file and line of the attribute.
        place: String,
        /// The policies that there are.
        known: Vec<String>,
    },
    /// The name of a plan is not legal.
    PlanName(NameError),
    /// Two plans have one name.
    PlanTwice {
        /// The name.
        name: String,
    },
    /// A plan that is given a name is to say how much, and names another one.
    PlanOfPlan {
        /// The name.
        name: String,
    },
    /// The file with policies cannot be read, or has mistakes in it.
    #[cfg(feature = "config")]
    PoliciesFile(PoliciesFileError),
    /// The settings of header fields contradict each other.
    Headers,
    /// The URL is not one of a Redis that can be used.
    #[cfg(feature = "redis")]
    Url(RedisUrlError),
    /// The URL or the token is not one that Upstash can be asked with.
    #[cfg(feature = "upstash")]
    Upstash(UpstashError),
    /// The system refused the thread that looks after the connection, or after the file with policies.
    #[cfg(any(feature = "config", feature = "redis", feature = "upstash"))]
    Thread(std::io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(error) => write!(f, "prefix: {error}"),
            Self::Deadline => {
                f.write_str("deadline: a deadline is from 1 millisecond to 60 seconds")
            }
            Self::Secret => write!(
                f,
                "key_secret: a secret has at least {} bytes",
                KeySecret::MIN_BYTES
            ),
            Self::PolicyTwice { name } => write!(f, "two policies are named `{name}`"),
            Self::UnknownPolicy { name, place, known } => write!(
                f,
                "the attribute at {place} names the policy `{name}`, and there are only `{}`; give the guard one of that name; or if the attribute is for another guard, give it its own `limiter` or say `for_attributes(false)` of this one",
                known.join("`, `")
            ),
            Self::PlanName(error) => write!(f, "plan: {error}"),
            Self::PlanTwice { name } => write!(f, "two plans are named `{name}`"),
            Self::PlanOfPlan { name } => write!(
                f,
                "the plan `{name}` names another one; give it quotas, or `Plan::Unlimited`"
            ),
            #[cfg(feature = "config")]
            Self::PoliciesFile(error) => error.fmt(f),
            Self::Headers => f.write_str(
                "headers: X-RateLimit-Reset is either in seconds or a point in time; choose one dialect of the two",
            ),
            #[cfg(feature = "redis")]
            Self::Url(error) => write!(f, "Redis URL: {error}"),
            #[cfg(feature = "upstash")]
            Self::Upstash(error) => write!(f, "Upstash: {error}"),
            #[cfg(any(feature = "config", feature = "redis", feature = "upstash"))]
            Self::Thread(_) => f.write_str("the system refused a thread"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            #[cfg(any(feature = "config", feature = "redis", feature = "upstash"))]
            Self::Thread(error) => Some(error),
            // The others are shown whole.
            _ => None,
        }
    }
}
