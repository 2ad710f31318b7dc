//! Properties that all parsers must have. If a parsed value is formatted and parsed again, the result must be
//! equal to the first value. Error messages must be bounded.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
    time::Duration,
};

use actix_rateguard_grammar::{
    Ban, Methods, MissingKey, OnError, Quota, Quotas, check_name, parse_window,
};

/// The lengths of the time units in microseconds.
const UNITS: [u128; 7] =
    [1, 1_000, 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000, 604_800_000_000];

/// Adds white space before and after the text.
fn padded(text: &str) -> String {
    format!("\t {text} \n")
}

/// Parses a text. Returns the value if the text is valid.
///
/// If the value is formatted and parsed again, the result must be equal to the first value. For an invalid text,
/// the error message must be short.
fn read<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display + Debug> + Display + PartialEq + Debug,
{
    match text.parse::<T>() {
        Ok(read) => {
            let written = read.to_string();
            assert_eq!(
                written.parse::<T>().as_ref().ok(),
                Some(&read),
                "it is written as {written:?}"
            );
            Some(read)
        }
        Err(error) => {
            is_bounded(&error, text);
            None
        }
    }
}

fn is_bounded(error: &impl Display, text: &str) {
    let message = error.to_string();
    // A message quotes at most 60 characters of the text, and it may quote a list twice.
    assert!(message.len() <= 2 * 60 * "\\u{10ffff}".len() + 500, "{} of {text:?}", message.len());
    assert!(!message.contains(char::is_control), "{message:?}");
}

pub(super) fn round_trip<T>(text: &str) -> bool
where
    T: FromStr<Err: Display + Debug> + Display + PartialEq + Debug,
{
    read::<T>(text).is_some()
}

/// Parses a text and makes the same checks as [`read`]. In addition, white space around the text must not change the
/// value.
fn round_trip_padded<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Display + Debug> + Display + PartialEq + Debug,
{
    let read = read::<T>(text);
    assert_eq!(padded(text).parse().ok(), read, "white space changes the value");
    read
}

pub(super) fn quota(text: &str) -> bool {
    round_trip_padded::<Quota>(text).is_some_and(|quota| {
        assert_eq!(leading_number(text), Some(quota.limit().into()), "the limit differs");
        assert!((1..=Quota::MAX_LIMIT).contains(&quota.limit()));
        assert!((Quota::MIN_WINDOW..=Quota::MAX_WINDOW).contains(&quota.window()));
        assert!((1..=quota.capacity()).contains(&quota.max_cost()));
        let (units, back) = quota.token();
        let exact = u128::from(units) * u128::from(quota.limit());
        assert_eq!(exact, u128::from(back) * quota.window().as_micros(), "the rate differs");
        true
    })
}

pub(super) fn quotas(text: &str) -> bool {
    round_trip_padded::<Quotas>(text).is_some_and(|quotas| {
        assert!((1..=Quotas::MAX).contains(&quotas.as_slice().len()));
        assert!(quotas.max_cost() >= 1);
        assert_eq!(text.split(';').count(), quotas.as_slice().len());
        true
    })
}

pub(super) fn ban(text: &str) -> bool {
    round_trip_padded::<Ban>(text).is_some_and(|ban| {
        let longest = Duration::from_secs(90 * 86_400);
        let lengths: Vec<_> = ban.lengths().take(30).collect();
        assert!(lengths.is_sorted() && lengths[0] >= Duration::from_secs(1));
        assert!(lengths[29] <= longest && lengths[29] == lengths[28]);
        assert!(ban.memory().is_none_or(|memory| memory >= 2 * lengths[29]));
        true
    })
}

pub(super) fn window(text: &str) -> bool {
    let read = parse_window(text);
    assert_eq!(parse_window(&padded(text)).ok(), read.clone().ok());
    if let Err(error) = &read {
        is_bounded(error, text);
    }
    read.is_ok_and(|window| {
        assert_eq!(parse_window(&format!("{}us", window.as_micros())), Ok(window));
        let number = leading_number(text).unwrap_or(1);
        assert!(
            UNITS.iter().any(|unit| unit * number == window.as_micros()),
            "{window:?} is not so many of a unit"
        );
        if let Ok(quota) = Quota::new(1, window) {
            assert_eq!(quota.to_string().parse(), Ok(quota));
        }
        true
    })
}

/// Returns the number with which a text begins.
fn leading_number(text: &str) -> Option<u128> {
    let text = text.trim_start();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    text[..digits].parse().ok()
}

pub(super) fn methods(text: &str) -> bool {
    match text.parse::<Methods>() {
        Ok(methods) => {
            assert!(methods.names().iter().all(|name| !name.is_empty() && name.is_ascii()));
            assert_eq!(methods.names().join(", ").parse(), Ok(methods.clone()));
            assert_eq!(padded(text).parse(), Ok(methods));
            true
        }
        Err(error) => {
            is_bounded(&error, text);
            false
        }
    }
}

pub(super) fn choices(text: &str) -> bool {
    let (missing, on_error) = (text.parse::<MissingKey>(), text.parse::<OnError>());
    assert_eq!(missing.is_ok(), ["ip", "deny", "skip"].contains(&text));
    assert_eq!(on_error.is_ok(), ["open", "closed"].contains(&text));
    missing.is_ok() || on_error.is_ok()
}

pub(super) fn name(text: &str) -> bool {
    match check_name(text) {
        Ok(()) => {
            assert!((1..=200).contains(&text.len()));
            let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '{' || c == '}';
            assert!(!text.contains(is_odd));
            assert!(check_name(&padded(text)).is_err());
            true
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() <= 1_000 && !message.contains(char::is_control), "{message}");
            false
        }
    }
}
