//! Formats explanations as text.

use std::{fmt, time::Duration};

use super::{ExplainedLimit, Explanation, Outcome, UnknownReason};
use crate::{
    Decision,
    inventory::LimitInfo,
    limit_check::KeySource,
    not_checked::{Exemption, RejectReason},
};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.client)?;
        self.limits.iter().try_for_each(|limit| writeln!(f, "{limit}"))
    }
}

impl fmt::Display for ExplainedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LimitInfo { name, key, file, line, .. } = &self.limit;
        write!(f, "{name} ({file}:{line}), by {key}")?;
        if self.counted_by == Some(KeySource::Address) {
            f.write_str(" (missing, so by address)")?;
        }
        if let Some(cost) = self.cost.filter(|cost| *cost != 1) {
            write!(f, ", cost {cost}")?;
        }
        if self.is_overridden == Some(true) {
            f.write_str(", under an override")?;
        }
        match self.is_rolled_out {
            Some(true) => f.write_str(", under the candidate")?,
            Some(false) => f.write_str(", not under the candidate")?,
            None => {}
        }
        write!(f, ": {}", self.outcome)?;
        match self.would_wait() {
            Some(wait) => write!(f, "; the request would wait {:.3} s", wait.as_secs_f64()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(decision) => decided(decision, f),
            Self::Exempt(exemption) => write!(f, "does not apply: {exemption}"),
            Self::Rejected(reason) => write!(f, "rejected: {reason}"),
            Self::Unavailable(unavailable) => {
                let result = if unavailable.lets_pass() { "allowed" } else { "rejected" };
                write!(f, "{result} without a check: {}", unavailable.cause())
            }
            Self::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

fn decided(decision: &Decision, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let seconds = |time: Duration| time.as_secs_f64();
    if decision.would_deny() {
        f.write_str("allowed because it is in shadow, but would be denied")?;
        return write_statuses(decision, f);
    }
    match (decision.is_allowed(), decision.banned_for(), decision.retry_after()) {
        (true, ..) => f.write_str("allowed")?,
        (false, Some(ban), _) => write!(f, "denied: banned for {:.3} s", seconds(ban))?,
        (false, None, Some(wait)) => write!(f, "denied: retry after {:.3} s", seconds(wait))?,
        (false, None, None) if decision.is_denied_by_concurrency() => {
            f.write_str("denied: all permits are held")?;
        }
        (false, None, None) => f.write_str("denied: the cost is above the limit")?,
    }
    write_statuses(decision, f)
}

fn write_statuses(decision: &Decision, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for status in decision.statuses() {
        match status.held_permits() {
            Some(held) => write!(f, "; {held} of {} held", status.quota())?,
            None => write!(f, "; {} of {} left", status.remaining(), status.quota())?,
        }
    }
    if decision.is_local() {
        f.write_str("; decided in the memory of this process, because the store does not answer")?;
    }
    Ok(())
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "it is for other methods",
            Self::Skip => "its `skip` function exempts the request",
            Self::Handler => "the handler of the route replaces the limit",
            Self::Route => "the route is exempt",
            Self::AddressAllowed => "an access list allows the address",
            Self::KeyAllowed => "an access list allows the key",
            Self::KeyFunction => "its key function exempts the request",
            Self::NoKey => "the request has no key, and the limit skips such requests",
            Self::Plan => "the plan is unlimited",
        })
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressDenied => "an access list denies the address",
            Self::KeyDenied => "an access list denies the key",
            Self::NoKey => "the request has no key, and the limit denies such requests",
            Self::Function(status) => {
                return write!(f, "a function of the limit returned an error with status {status}");
            }
            Self::NoPolicy => "the guard has no policy of this name",
            Self::NoPlan => "the guard has no plan of the chosen name",
            Self::NameConflict => "another limit has the same name and different settings",
            Self::NoGuard => "the application's data has no guard",
        })
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InHandler => "its functions use `Self` or type parameters of the handler",
            Self::Body => "its key is in the body of the request",
            Self::NotRunning => "no worker runs the middleware any more",
            Self::Panicked => {
                "a function of the limit panicked; it may need parts of a request of its own route"
            }
        })
    }
}
