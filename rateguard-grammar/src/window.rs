//! `"500ms"`, `"1m"`, `"2 hours"`: a length of time in words.

use std::{error::Error, fmt, time::Duration};

use crate::shown::shown;

/// A unit of time: its length and the words for it, the singular first.
struct Unit {
    micros: u64,
    words: &'static [&'static str],
}

/// All units, the longest first. What is written here is all that the notation knows.
const UNITS: &[Unit] = &[
    Unit { micros: 86_400_000_000, words: &["day", "days", "d"] },
    Unit { micros: 3_600_000_000, words: &["hour", "hours", "h"] },
    Unit { micros: 60_000_000, words: &["minute", "minutes", "min", "m"] },
    Unit { micros: 1_000_000, words: &["second", "seconds", "sec", "s"] },
    Unit { micros: 1_000, words: &["millisecond", "milliseconds", "ms"] },
    Unit { micros: 1, words: &["microsecond", "microseconds", "us"] },
];

/// Reads a window such as `"500ms"`, `"1m"`, `"5 minutes"` or `"day"`, which is one day.
///
/// # Errors
///
/// [`WindowError`] if the unit is missing or unknown, or the number is not a whole number.
pub fn parse_window(text: &str) -> Result<Duration, WindowError> {
    let text = text.trim();
    let refuse = || WindowError { text: shown(text) };

    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, word) = text.split_at(digits);
    let number: u64 = if number.is_empty() { 1 } else { number.parse().map_err(|_| refuse())? };
    let unit =
        UNITS.iter().find(|unit| unit.words.contains(&word.trim_start())).ok_or_else(refuse)?;

    number.checked_mul(unit.micros).map(Duration::from_micros).ok_or_else(refuse)
}

/// Writes a window so that [`parse_window`] reads it back: `minute`, `10 seconds`, `1500 microseconds`.
pub(crate) fn write_window(window: Duration, to: &mut impl fmt::Write) -> fmt::Result {
    let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    let (number, unit) = UNITS
        .iter()
        .find(|unit| micros >= unit.micros && micros.is_multiple_of(unit.micros))
        .map_or((micros, "microsecond"), |unit| (micros / unit.micros, unit.words[0]));
    match number {
        1 => write!(to, "{unit}"),
        _ => write!(to, "{number} {unit}s"),
    }
}

/// A window that says nothing: no number and unit that are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowError {
    text: String,
}

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a window; write a whole number and a unit, such as \"500ms\", \"10s\", \"1m\", \"1h\" or \"1d\"",
            self.text
        )
    }
}

impl Error for WindowError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_in_every_spelling() {
        for unit in UNITS {
            for word in unit.words {
                assert_eq!(parse_window(word), Ok(Duration::from_micros(unit.micros)), "{word}");
                for spelling in [format!("3{word}"), format!(" 3 {word} ")] {
                    let expected = Duration::from_micros(3 * unit.micros);
                    assert_eq!(parse_window(&spelling), Ok(expected), "{spelling:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_window_is_refused_and_quoted() {
        for text in ["", "5", "m5", "5x", "-1s", "1.5s", "5 m m", "99999999999999999999s", "5M"] {
            let error = parse_window(text).expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{text}` is not a window")), "{error}");
        }
    }
}
