//! Defines which responses make a limit count the request, such as `"failure"` and `"status:401,403"`.

use std::{error::Error, fmt, str::FromStr};

use crate::{
    escape::escape_for_display,
    statuses::{Statuses, StatusesError},
};

/// The condition that a response must satisfy so that a limit counts the request.
///
/// The limiter always takes the units of a request before the handler runs, and refunds them if the request does
/// not count. So even concurrent requests never exceed the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Count {
    /// `"all"`: a request counts regardless of the status of its response.
    #[default]
    All,
    /// `"success"`: a request counts if its response has a status below 400.
    Success,
    /// `"failure"`: a request, such as a failed login, counts if its response has a status of at least 400.
    Failure,
    /// `"status:401,403"`, `"status:4xx"` or `"status:!5xx"`: a request counts if its response has one of these
    /// statuses.
    Statuses(Statuses),
}

impl Count {
    /// A list of the valid forms, for error messages.
    pub const FORMS: &str =
        r#""all", "success", "failure", "status:401,403", "status:4xx", "status:!5xx""#;

    /// Returns whether a response with this status makes its request count.
    #[must_use]
    pub fn counts(self, status: u16) -> bool {
        match self {
            Self::All => true,
            Self::Success => status < 400,
            Self::Failure => status >= 400,
            Self::Statuses(counted) => counted.contains(status),
        }
    }
}

impl FromStr for Count {
    type Err = CountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            "success" => Ok(Self::Success),
            "failure" => Ok(Self::Failure),
            _ => {
                let statuses = text.strip_prefix("status:").ok_or(StatusesError::Item);
                let statuses = statuses.and_then(Statuses::parse);
                let text = || escape_for_display(text);
                statuses.map(Self::Statuses).map_err(|kind| CountError { text: text(), kind })
            }
        }
    }
}

impl TryFrom<&str> for Count {
    type Error = CountError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Success => f.write_str("success"),
            Self::Failure => f.write_str("failure"),
            Self::Statuses(statuses) => write!(f, "status:{statuses}"),
        }
    }
}

/// The error for a text that does not have any of the [valid forms](Count::FORMS).
#[derive(Clone, PartialEq, Eq)]
pub struct CountError {
    text: String,
    kind: StatusesError,
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.kind {
            StatusesError::Item => write!(f, "expected one of {}, found `{text}`", Count::FORMS),
            StatusesError::TooMany { found } => {
                write!(f, "expected at most {} statuses, found {found}", Statuses::MAX_ITEMS)
            }
            StatusesError::Empty => write!(
                f,
                "expected a list with at least one status that is not excluded, found `{text}`"
            ),
        }
    }
}

crate::debug_as_display::debug_as_display!(CountError);

impl Error for CountError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_round_trips() {
        for text in [
            "all",
            "success",
            "failure",
            "status:401",
            "status:100",
            "status:4xx",
            "status:401,403",
            "status:!5xx",
            "status:4xx,!404",
        ] {
            assert_eq!(text.parse::<Count>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn invalid_texts_are_rejected_with_the_valid_forms() {
        for text in [
            "",
            "failures",
            "401",
            "status",
            "status:",
            "status:600",
            "status:41",
            "status:0xx",
            "!5xx",
            "not:5xx",
            "status:!",
            "status:!!5xx",
            "status:401,",
            "status:401;403",
            "status:401,status:403",
        ] {
            let error = text.parse::<Count>().expect_err(text).to_string();
            assert!(error.contains("expected one of \"all\", \"success\""), "{error}");
        }
    }

    #[test]
    fn list_errors_say_what_is_wrong() {
        for (text, expected) in [
            (
                "status:401,!4xx",
                "expected a list with at least one status that is not excluded, found `status:401,!4xx`",
            ),
            ("status:400,401,402,403,404,405,406,407,408", "expected at most 8 statuses, found 9"),
        ] {
            assert_eq!(text.parse::<Count>().expect_err(text).to_string(), expected);
        }
    }

    #[test]
    fn each_form_counts_its_statuses() {
        for (text, counted) in [
            ("all", vec![101, 200, 302, 401, 404, 503]),
            ("success", vec![101, 200, 302]),
            ("failure", vec![401, 404, 503]),
            ("status:401", vec![401]),
            ("status:4xx", vec![401, 404]),
            ("status:401,503", vec![401, 503]),
            ("status:!5xx", vec![101, 200, 302, 401, 404]),
        ] {
            let count: Count = text.parse().unwrap();
            let statuses = [101, 200, 302, 401, 404, 503];
            let counts: Vec<_> =
                statuses.into_iter().filter(|status| count.counts(*status)).collect();
            assert_eq!(counts, counted, "{text}");
        }
    }
}
