//! Defines the error for texts that are not calendar periods.

use std::{error::Error, fmt};

use super::CalendarUnit;
use crate::suggest;

/// The error for a text that is not a calendar period or a time zone.
#[derive(Clone, PartialEq, Eq)]
pub struct CalendarError {
    text: String,
    problem: Problem,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// The program does not contain the time zones.
    Feature,
    /// The text does not consist of the word `calendar`, a unit and perhaps a time zone.
    Notation,
    /// The text is not the name of a unit.
    Unit,
    /// The text is not the name of a time zone.
    Zone { similar: Option<&'static str> },
}

impl CalendarError {
    pub(super) fn new(text: String, problem: Problem) -> Self {
        Self { text, problem }
    }
}

impl fmt::Display for CalendarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        let similar = match self.problem {
            Problem::Feature => {
                return write!(
                    f,
                    "`{text}` requires the feature `calendar`; add it to the features of `actix-rateguard`"
                );
            }
            Problem::Notation => {
                return write!(
                    f,
                    "expected a calendar period such as \"calendar day\" or \"calendar day Europe/Berlin\", found `{text}`"
                );
            }
            Problem::Unit => {
                write!(f, "unknown calendar period `{text}`; ")?;
                suggest(text, CalendarUnit::NAMES.map(|(_, name)| name))
            }
            Problem::Zone { similar } => {
                write!(f, "unknown time zone `{text}`; ")?;
                similar
            }
        };
        if let Some(name) = similar {
            write!(f, "did you mean `{name}`? ")?;
        }
        if self.problem == Problem::Unit {
            let names = CalendarUnit::NAMES.map(|(_, name)| name).join("`, `");
            return write!(f, "expected one of `{names}`");
        }
        f.write_str("expected a name of the IANA time zone database, such as `Europe/Berlin`")
    }
}

crate::debug_as_display::debug_as_display!(CalendarError);

impl Error for CalendarError {}
