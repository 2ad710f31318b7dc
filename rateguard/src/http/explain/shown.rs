//! Explanations for people.

use std::{fmt, time::Duration};

use super::{CountedBy, Exemption, ExplainedLimit, Explanation, Outcome, RefusedBy, WhyUnknown};
use crate::{Decision, http::inventory::KnownLimit};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.client)?;
        self.limits.iter().try_for_each(|limit| writeln!(f, "{limit}"))
    }
}

impl fmt::Display for ExplainedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KnownLimit { name, key, file, line, .. } = &self.limit;
        write!(f, "{name} ({file}:{line}), by {key}")?;
        if self.counted_by == Some(CountedBy::Address) {
            f.write_str(" and by address as there is none")?;
        }
        if let Some(cost) = self.cost.filter(|cost| *cost != 1) {
            write!(f, ", costs {cost}")?;
        }
        match self.is_rolled_out {
            Some(true) => f.write_str(", under its candidate")?,
            Some(false) => f.write_str(", not under its candidate")?,
            None => {}
        }
        if self.is_guess {
            f.write_str(", as far as its functions can tell from the description")?;
        }
        write!(f, ": {}", self.outcome)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided(decision) => decided(decision, f),
            Self::Exempt(exemption) => write!(f, "does not apply: {exemption}"),
            Self::Refused(by) => write!(f, "refuses: {by}"),
            Self::Unavailable(unavailable) => {
                let what = if unavailable.lets_pass() { "passes" } else { "refuses" };
                write!(f, "{what} unchecked: {}", unavailable.cause())
            }
            Self::Unknown(why) => write!(f, "cannot be told: {why}"),
        }
    }
}

fn decided(decision: &Decision, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let seconds = |time: Duration| time.as_secs_f64();
    if decision.would_deny() {
        f.write_str("passes, as it is in shadow, and would be denied")?;
        return standings(decision, f);
    }
    match (decision.is_allowed(), decision.banned_for(), decision.retry_after()) {
        (true, ..) => f.write_str("passes")?,
        (false, Some(ban), _) => write!(f, "denies: banned for {:.3} s yet", seconds(ban))?,
        (false, None, Some(wait)) => write!(f, "denies: passes in {:.3} s", seconds(wait))?,
        (false, None, None) => f.write_str("denies: it costs more than is ever admitted")?,
    }
    standings(decision, f)
}

fn standings(decision: &Decision, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for standing in decision.standings() {
        write!(f, "; {} of {} left", standing.remaining(), standing.quota())?;
    }
    if decision.is_local() {
        f.write_str("; in this process's memory, as the store does not answer")?;
    }
    Ok(())
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "it is for other methods",
            Self::Skip => "its `skip` says so",
            Self::Preflight => "it looks like a CORS preflight",
            Self::AddressAllowed => "an access list allows the address",
            Self::KeyAllowed => "an access list allows the key",
            Self::KeyFunction => "its key function says so",
            Self::NoKey => "there is no key, and such requests are skipped",
            Self::Plan => "the plan is unlimited",
        })
    }
}

impl fmt::Display for RefusedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AddressDenied => "an access list denies the address",
            Self::KeyDenied => "an access list denies the key",
            Self::NoKey => "there is no key, and such requests are denied",
            Self::Function(status) => return write!(f, "a function of it answers with {status}"),
            Self::NoPolicy => "the guard has no policy of this name",
            Self::NoPlan => "the guard has no plan of the name that was chosen",
            Self::NameConflict => "another limit has its name and says something else by it",
        })
    }
}

impl fmt::Display for WhyUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyParts(parts) => {
                return write!(f, "the description does not have {}", parts.join(", "));
            }
            Self::InHandler => "its functions speak of type parameters of its handler",
            Self::NotRunning => "no worker runs it any more",
            Self::Panicked => {
                "a function of it panicked; it may need what a description does not have"
            }
        })
    }
}
