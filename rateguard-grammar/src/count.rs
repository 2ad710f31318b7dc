//! Defines which responses make a limit count the request, such as `"failure"` and `"status:401"`.

use std::{error::Error, fmt, str::FromStr};

use crate::escape::escape_for_display;

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
    /// `"status:401"`: a request counts if its response has this status. The status is from 100 to 599.
    Status(u16),
    /// `"status:4xx"`: a request counts if the status of its response has this first digit. The digit is from 1 to 5.
    Class(u8),
}

impl Count {
    /// A list of the valid forms, for error messages.
    pub const FORMS: &str = r#""all", "success", "failure", "status:401", "status:4xx""#;

    /// Returns whether a request counts if its response has this status.
    #[must_use]
    pub fn counts(self, status: u16) -> bool {
        match self {
            Self::All => true,
            Self::Success => status < 400,
            Self::Failure => status >= 400,
            Self::Status(counted) => status == counted,
            Self::Class(class) => status / 100 == u16::from(class),
        }
    }
}

impl FromStr for Count {
    type Err = CountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || CountError { text: escape_for_display(text) };
        match text {
            "all" => return Ok(Self::All),
            "success" => return Ok(Self::Success),
            "failure" => return Ok(Self::Failure),
            _ => {}
        }
        let status = text.strip_prefix("status:").ok_or_else(invalid)?;
        match *status.as_bytes() {
            [class @ b'1'..=b'5', b'x', b'x'] => Ok(Self::Class(class - b'0')),
            [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => {
                status.parse().map(Self::Status).map_err(|_| invalid())
            }
            _ => Err(invalid()),
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
            Self::Status(status) => write!(f, "status:{status}"),
            Self::Class(class) => write!(f, "status:{class}xx"),
        }
    }
}

/// The error for a text that does not have any of the [valid forms](Count::FORMS).
#[derive(Clone, PartialEq, Eq)]
pub struct CountError {
    text: String,
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected one of {}, found `{}`", Count::FORMS, self.text)
    }
}

crate::debug_as_display::debug_as_display!(CountError);

impl Error for CountError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_round_trips() {
        for text in ["all", "success", "failure", "status:401", "status:100", "status:4xx"] {
            assert_eq!(text.parse::<Count>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn invalid_texts_are_rejected_with_the_valid_forms() {
        for text in
            ["", "failures", "401", "status", "status:", "status:600", "status:41", "status:0xx"]
        {
            let error = text.parse::<Count>().expect_err(text).to_string();
            assert!(error.contains("expected one of \"all\", \"success\""), "{error}");
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
        ] {
            let count: Count = text.parse().unwrap();
            let statuses = [101, 200, 302, 401, 404, 503];
            let counts: Vec<_> =
                statuses.into_iter().filter(|status| count.counts(*status)).collect();
            assert_eq!(counts, counted, "{text}");
        }
    }
}
