//! Formats numbers and durations for people.

use std::time::Duration;

/// Returns a duration with its one or two largest units, such as `1m 30s` or `0.41 ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if duration.is_zero() {
        return "0s".to_owned();
    }
    if seconds < 1.0 {
        let milliseconds = seconds * 1e3;
        return if milliseconds < 0.01 {
            "<0.01 ms".to_owned()
        } else if milliseconds < 10.0 {
            format!("{milliseconds:.2} ms")
        } else {
            format!("{milliseconds:.0} ms")
        };
    }
    if seconds < 10.0 {
        return format!("{seconds:.1}s");
    }
    // A wait must not be reported as shorter than it is.
    let whole = seconds.ceil() as u64;
    let parts = [
        (whole / 86_400, "d"),
        (whole / 3_600 % 24, "h"),
        (whole / 60 % 60, "m"),
        (whole % 60, "s"),
    ];
    let first = parts.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    let shown = parts.iter().skip(first).take(2).filter(|(number, _)| *number > 0);
    shown.map(|(number, unit)| format!("{number}{unit}")).collect::<Vec<_>>().join(" ")
}

/// Does the same for a number of seconds. The text is `-` for a number that is not a duration.
pub(crate) fn seconds(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "-".to_owned(), duration)
}

/// Returns a rate, such as `12.2`, `812` or `0.04`.
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        rate if rate < 1.0 => format!("{rate:.2}"),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate => thousands(rate.round() as u64),
    }
}

/// Returns a number with commas, such as `54,321`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_largest_units() {
        for (milliseconds, expected) in [
            (0, "0s"),
            (7, "7.00 ms"),
            (250, "250 ms"),
            (1_500, "1.5s"),
            (41_200, "42s"),
            (90_000, "1m 30s"),
            (3_600_000, "1h"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn rates_are_rounded_by_their_size() {
        for (number, expected) in
            [(0.0, "0"), (0.04, "0.04"), (12.25, "12.2"), (812.0, "812"), (54_321.4, "54,321")]
        {
            assert_eq!(rate(number), expected);
        }
    }
}
