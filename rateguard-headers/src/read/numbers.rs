//! Parses numbers in fields that have no formal grammar.

/// Parses the whole number at the start of a list, such as 100 in `100, 100;w=60`. If the number is above
/// [`u64::MAX`], the result is [`u64::MAX`].
pub(crate) fn first_whole(text: &str) -> Option<u64> {
    digits(first(text))
}

/// Parses the number at the start of a list and rounds it up to a whole number, because some servers write seconds
/// such as `59.5`.
pub(crate) fn first_rounded_up(text: &str) -> Option<u64> {
    let text = first(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    Some(digits(whole)?.saturating_add(u64::from(digits(fraction)? > 0)))
}

/// Returns the first item of a list without the parameters of the item.
fn first(text: &str) -> &str {
    text.split([',', ';']).next().unwrap_or(text).trim()
}

fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_number_of_a_list_is_parsed() {
        for (text, whole, rounded_up) in [
            ("100", Some(100), Some(100)),
            ("0", Some(0), Some(0)),
            ("007", Some(7), Some(7)),
            ("100, 100;w=60, 1000;w=3600", Some(100), Some(100)),
            (" 100 ;w=60", Some(100), Some(100)),
            ("10,", Some(10), Some(10)),
            ("59.5", None, Some(60)),
            ("59.000", None, Some(59)),
            ("59.000000000000000000000000000001, 7", None, Some(60)),
            ("99999999999999999999", Some(u64::MAX), Some(u64::MAX)),
            ("99999999999999999999.9", None, Some(u64::MAX)),
        ] {
            assert_eq!(first_whole(text), whole, "{text:?}");
            assert_eq!(first_rounded_up(text), rounded_up, "{text:?}");
        }
    }

    #[test]
    fn other_texts_are_ignored() {
        for text in [
            "",
            ",",
            ";w=60",
            "-1",
            "+1",
            "1e9",
            "0x10",
            "1 000",
            "1_000",
            ".5",
            "5.",
            "1.2.3",
            "5.-1",
            "NaN",
            "inf",
            "five",
            "\"5\"",
            "٣",
            "2015-10-21",
            "21 Oct 2015",
        ] {
            assert_eq!(first_whole(text), None, "{text:?}");
            assert_eq!(first_rounded_up(text), None, "{text:?}");
        }
    }
}
