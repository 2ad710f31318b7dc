//! Writes numbers, shares and times for people.

use jiff::Timestamp;

/// Writes a number with commas between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a share from 0 to 1 in percent. A share that is not 0 is never written as 0.
pub(super) fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent <= 0.0 => "0 %".to_owned(),
        percent if percent < 0.01 => "<0.01 %".to_owned(),
        percent => format!("{percent:.2} %"),
    }
}

/// Writes a time in microseconds since 1970 as RFC 3339, in UTC.
pub(super) fn time(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(|it| Timestamp::from_microsecond(it).ok());
    time.map_or_else(|| micros.to_string(), |time| time.to_string())
}

/// Writes the length of a slot of a timeline.
pub(super) fn slot_length(seconds: u64) -> String {
    match seconds {
        86_400.. => format!("{} d", seconds / 86_400),
        3_600.. => format!("{} h", seconds / 3_600),
        60.. => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 0.000_001, 0.5, 1.0].map(percent),
            ["0 %", "<0.01 %", "50.00 %", "100.00 %"]
        );
        assert_eq!(time(1_714_564_800_250_000), "2024-05-01T12:00:00.25Z");
        assert_eq!([1, 60, 3_600, 172_800].map(slot_length), ["1 s", "1 min", "1 h", "2 d"]);
    }
}
