//! Parses and writes the notation of a duration, such as `"500ms"`, `"1m"` and `"2 hours"`.

use std::{error::Error, fmt, time::Duration};

use crate::escape::escape_for_display;

/// A unit of time, with its duration and its names. The first name is the singular.
struct Unit {
    micros: u64,
    names: &'static [&'static str],
}

/// All units of time that the notation has, the longest unit first.
const UNITS: &[Unit] = &[
    Unit { micros: 86_400_000_000, names: &["day", "days", "d"] },
    Unit { micros: 3_600_000_000, names: &["hour", "hours", "h"] },
    Unit { micros: 60_000_000, names: &["minute", "minutes", "min", "m"] },
    Unit { micros: 1_000_000, names: &["second", "seconds", "sec", "s"] },
    Unit { micros: 1_000, names: &["millisecond", "milliseconds", "ms"] },
    Unit { micros: 1, names: &["microsecond", "microseconds", "us"] },
];

/// Parses a duration such as `"500ms"`, `"1m"`, `"5 minutes"` or `"day"` (one day).
///
/// # Errors
///
/// [`WindowError`] if the unit of time is missing or invalid, if the number is not a whole number, or if the
/// duration has 2^64 microseconds or more.
pub fn parse_window(text: &str) -> Result<Duration, WindowError> {
    let text = text.trim();
    let invalid = || WindowError { text: escape_for_display(text) };

    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, name) = text.split_at(digits);
    let number: u64 = if number.is_empty() { 1 } else { number.parse().map_err(|_| invalid())? };
    let unit =
        UNITS.iter().find(|unit| unit.names.contains(&name.trim_start())).ok_or_else(invalid)?;

    number.checked_mul(unit.micros).map(Duration::from_micros).ok_or_else(invalid)
}

/// Writes a duration in the notation that [`parse_window`] parses: `minute`, `10 seconds`, `1500 microseconds`.
pub(crate) fn write_window(window: Duration, to: &mut impl fmt::Write) -> fmt::Result {
    let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    let (number, unit) = UNITS
        .iter()
        .find(|unit| micros >= unit.micros && micros.is_multiple_of(unit.micros))
        .map_or((micros, "microsecond"), |unit| (micros / unit.micros, unit.names[0]));
    match number {
        1 => write!(to, "{unit}"),
        _ => write!(to, "{number} {unit}s"),
    }
}

/// The error for a text that is not a duration.
#[derive(Clone, PartialEq, Eq)]
pub struct WindowError {
    text: String,
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a window such as \"500ms\", \"10s\", \"1m\", \"1h\" or \"1d\", found `{}`",
            self.text
        )
    }
}

crate::debug_as_display::debug_as_display!(WindowError);

impl Error for WindowError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_parsed_in_every_spelling() {
        for unit in UNITS {
            for name in unit.names {
                assert_eq!(parse_window(name), Ok(Duration::from_micros(unit.micros)), "{name}");
                for spelling in [format!("3{name}"), format!(" 3 {name} ")] {
                    let expected = Duration::from_micros(3 * unit.micros);
                    assert_eq!(parse_window(&spelling), Ok(expected), "{spelling:?}");
                }
            }
        }
    }

    #[test]
    fn invalid_windows_are_rejected_and_quoted() {
        for text in ["", "5", "m5", "5x", "-1s", "1.5s", "5 m m", "99999999999999999999s", "5M"] {
            let error = parse_window(text).expect_err(text).to_string();
            assert!(error.ends_with(&format!("found `{text}`")), "{error}");
        }
    }
}
