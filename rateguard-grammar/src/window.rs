//! Parses and writes the notation of a duration, such as `"500ms"`, `"1m"` and `"2 hours"`.

use std::{error::Error, fmt, time::Duration};

use crate::{escape::escape_for_display, suggest};

/// A unit of time, with its duration and its names. The first name is the singular.
struct Unit {
    micros: u64,
    names: &'static [&'static str],
}

/// All units of time that the notation has, the longest unit first.
const UNITS: &[Unit] = &[
    Unit { micros: 604_800_000_000, names: &["week", "weeks", "w"] },
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
    let invalid = |problem| WindowError { text: escape_for_display(text), problem };
    let notation = || invalid(Problem::Notation);

    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, name) = text.split_at(digits);
    let name = name.trim_start();
    let number: u64 = if number.is_empty() { 1 } else { number.parse().map_err(|_| notation())? };
    let Some(unit) = unit(name) else {
        let is_word = name.starts_with(char::is_alphabetic) && !name.contains(char::is_whitespace);
        return Err(if is_word {
            invalid(Problem::Unit { name: escape_for_display(name) })
        } else {
            notation()
        });
    };

    number.checked_mul(unit.micros).map(Duration::from_micros).ok_or_else(notation)
}

/// Returns the unit with this name.
fn unit(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| unit.names.contains(&name))
}

/// Returns whether a text is the name of a unit, such as `minute`.
pub(crate) fn is_unit(name: &str) -> bool {
    unit(name).is_some()
}

/// Returns a name of a unit that is similar to `name`. No unit has the name `name` itself.
fn similar_unit(name: &str) -> Option<&'static str> {
    let lowercase = name.to_lowercase();
    let names = || UNITS.iter().flat_map(|unit| unit.names.iter().copied());
    let in_lowercase = names().find(|unit| *unit == lowercase);
    // An abbreviation is similar to many other short texts, for example `m` to `mo`. So unless only the letter case is
    // wrong, this code suggests no abbreviation, and suggests nothing for a text of one or two letters.
    let is_word = |name: &&str| name.len() > 2;
    in_lowercase.or_else(|| {
        suggest(&lowercase, names().filter(is_word)).filter(|_| name.chars().count() > 2)
    })
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
    problem: Problem,
}

#[derive(Clone, PartialEq, Eq)]
enum Problem {
    /// The word after the number is not a unit.
    Unit { name: String },
    /// The text has no unit, or its number is too high or not a whole number.
    Notation,
}

impl WindowError {
    /// Returns whether the word after the number is an unknown unit of time. In this case, the error message lists all
    /// units, and does not contain the word "window". So a caller can also use the message for a duration that is not a
    /// window, such as the duration of a ban.
    #[must_use]
    pub fn is_unknown_unit(&self) -> bool {
        matches!(self.problem, Problem::Unit { .. })
    }
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem::Unit { name } = &self.problem else {
            write!(
                f,
                "expected a window such as \"500ms\", \"10s\", \"1m\", \"1h\" or \"1d\", found `{}`",
                self.text
            )?;
            return match self.text.contains("calendar") {
                true => f.write_str("; write a calendar period as \"1000/calendar day\" in a rate"),
                false => Ok(()),
            };
        };
        write!(f, "unknown unit of time `{name}`; ")?;
        if let Some(unit) = similar_unit(name) {
            write!(f, "did you mean `{unit}`? ")?;
        }
        f.write_str("expected one of ")?;
        for (index, unit) in UNITS.iter().rev().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{}` (`{}`)", unit.names[0], unit.names[2..].join("`, `"))?;
        }
        Ok(())
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
    fn duration_is_written_with_its_longest_whole_unit() {
        let day = Duration::from_secs(86_400);
        for (window, text) in
            [(7 * day, "week"), (14 * day, "2 weeks"), (8 * day, "8 days"), (365 * day, "365 days")]
        {
            let mut written = String::new();
            write_window(window, &mut written).unwrap();
            assert_eq!(written, text);
            assert_eq!(parse_window(text), Ok(window));
        }
    }

    #[test]
    fn invalid_windows_are_rejected_and_quoted() {
        for text in ["", "5", "m5", "5x", "-1s", "1.5s", "5 m m", "99999999999999999999s", "5M"] {
            let error = parse_window(text).expect_err(text).to_string();
            let is_quoted = error.ends_with(&format!("found `{text}`"));
            assert!(is_quoted || error.starts_with("unknown unit of time `"), "{error}");
        }
    }

    #[test]
    fn unknown_unit_is_reported_with_all_units_and_a_similar_one() {
        assert_eq!(
            parse_window("5 minuet").unwrap_err().to_string(),
            "unknown unit of time `minuet`; did you mean `minute`? expected one of `microsecond` (`us`), `millisecond` (`ms`), `second` (`sec`, `s`), `minute` (`min`, `m`), `hour` (`h`), `day` (`d`), `week` (`w`)"
        );
        for (text, similar) in [
            ("minut", Some("minute")),
            ("Minute", Some("minute")),
            ("5M", Some("m")),
            ("2 secnds", Some("seconds")),
            ("mins", Some("min")),
            ("day.", Some("day")),
            ("2 wekes", Some("weeks")),
            ("5x", None),
            ("1mo", None),
            ("1 fortnight", None),
        ] {
            let error = parse_window(text).unwrap_err();
            assert!(error.is_unknown_unit(), "{error}");
            let error = error.to_string();
            let suggestion = similar.map(|unit| format!("; did you mean `{unit}`? expected"));
            let suggestion = suggestion.unwrap_or("`; expected".to_owned());
            assert!(error.contains(&suggestion), "{error}");
        }
    }
}
