//! Parses the values of fields in a policies file. In each function, the argument `expected` is the error message
//! for a value of the wrong type.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use actix_rateguard_grammar::{Notation, escape_for_display, parse_window};
use toml::de::{DeTable, DeValue};

use super::{
    diagnostics::Diagnostics,
    fields::{Located, Value},
};

pub(super) fn string<'v>(
    value: &'v Value<'_>,
    expected: &str,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => {
            diagnostics.add(value.span().start, expected);
            None
        }
    }
}

/// Parses a string with the function `parse`.
pub(super) fn parse_with<T, E: Display>(
    value: &Value<'_>,
    expected: &str,
    diagnostics: &mut Diagnostics<'_>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<Located<T>> {
    let offset = value.span().start;
    match parse(string(value, expected, diagnostics)?) {
        Ok(value) => Some(Located { value, location: offset }),
        Err(error) => {
            diagnostics.add(offset, error);
            None
        }
    }
}

/// Parses a string whose notation the grammar crate defines.
pub(super) fn parse<T: Notation>(
    value: &Value<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<T>> {
    parse_with(value, &T::expected(), diagnostics, str::parse)
}

/// Parses a string that must be one of these keywords, and returns the value of the keyword.
pub(super) fn keyword<T: Clone>(
    value: &Value<'_>,
    keywords: &[(&str, T)],
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<T>> {
    let names: Vec<_> = keywords.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let expected = format!("expected one of {}", names.join(", "));
    parse_with(value, &expected, diagnostics, |text| {
        let keyword = keywords.iter().find(|(name, _)| *name == text);
        keyword
            .map(|(_, value)| value.clone())
            .ok_or_else(|| format!("{expected}, found `{}`", escape_for_display(text)))
    })
}

/// Parses a whole number that must be in a range.
pub(super) fn integer(
    value: &Value<'_>,
    range: RangeInclusive<u64>,
    expected: impl Display,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<u64>> {
    let offset = value.span().start;
    let number = match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    match number.filter(|number| range.contains(number)) {
        Some(value) => Some(Located { value, location: offset }),
        None if matches!(value.get_ref(), DeValue::String(_)) => {
            diagnostics.add(offset, format_args!("{expected}, without quotes"));
            None
        }
        None => {
            diagnostics.add(offset, expected);
            None
        }
    }
}

/// Parses a whole number that must be in a range and fits into 32 bits.
pub(super) fn integer_u32(
    value: &Value<'_>,
    range: RangeInclusive<u32>,
    expected: impl Display,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<u32>> {
    let range = u64::from(*range.start())..=u64::from(*range.end());
    let Located { value, location } = integer(value, range, expected, diagnostics)?;
    Some(Located { value: u32::try_from(value).ok()?, location })
}

/// Parses a duration that must be in a range. The value is a string such as `"10s"`, or a whole number of seconds.
pub(super) fn duration(
    value: &Value<'_>,
    range: RangeInclusive<Duration>,
    expected: impl Display,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<Duration>> {
    let offset = value.span().start;
    let duration = match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .map(Duration::from_secs)
            .map_err(|_| expected.to_string()),
        DeValue::String(text) => parse_window(text).map_err(|error| {
            let has_number = text.trim_start().starts_with(|it: char| it.is_ascii_digit());
            if has_number && error.is_unknown_unit() {
                error.to_string()
            } else {
                format!("{expected}, found `{}`", escape_for_display(text))
            }
        }),
        _ => Err(expected.to_string()),
    };
    let in_range = duration.and_then(|duration| {
        if range.contains(&duration) { Ok(duration) } else { Err(expected.to_string()) }
    });
    match in_range {
        Ok(value) => Some(Located { value, location: offset }),
        Err(message) => {
            diagnostics.add(offset, message);
            None
        }
    }
}

pub(super) fn boolean(
    value: &Value<'_>,
    expected: &str,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Located<bool>> {
    let offset = value.span().start;
    match value.get_ref() {
        DeValue::Boolean(value) => Some(Located { value: *value, location: offset }),
        _ => {
            diagnostics.add(offset, expected);
            None
        }
    }
}

/// Returns the elements of a list. If the value is not a list, adds an error and returns no elements.
pub(super) fn list<'v, 't>(
    value: &'v Value<'t>,
    expected: &str,
    diagnostics: &mut Diagnostics<'_>,
) -> &'v [Value<'t>] {
    match value.get_ref() {
        DeValue::Array(list) => list,
        _ => {
            diagnostics.add(value.span().start, expected);
            &[]
        }
    }
}

pub(super) fn table<'v, 't>(
    value: &'v Value<'t>,
    expected: &str,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => {
            diagnostics.add(value.span().start, expected);
            None
        }
    }
}
