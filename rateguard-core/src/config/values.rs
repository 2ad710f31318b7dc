//! Values of fields, read and checked one by one.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use actix_rateguard_grammar::{escape_for_display, parse_window};
use toml::de::{DeTable, DeValue};

use super::{
    fields::{At, Value},
    mistakes::Diagnostics,
};

pub(super) fn text<'v>(
    value: &'v Value<'_>,
    default_on_error: &str,
    mistakes: &mut Diagnostics<'_>,
) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => {
            mistakes.add(value.span().start, default_on_error);
            None
        }
    }
}

/// What this function makes of text.
pub(super) fn made<T, E: Display>(
    value: &Value<'_>,
    default_on_error: &str,
    mistakes: &mut Diagnostics<'_>,
    make: impl FnOnce(&str) -> Result<T, E>,
) -> Option<At<T>> {
    let at = value.span().start;
    match make(text(value, default_on_error, mistakes)?) {
        Ok(value) => Some(At { value, at }),
        Err(error) => {
            mistakes.add(at, error);
            None
        }
    }
}

/// What the grammar reads from text.
pub(super) fn parsed<T: FromStr<Err: Display>>(
    value: &Value<'_>,
    default_on_error: &str,
    mistakes: &mut Diagnostics<'_>,
) -> Option<At<T>> {
    made(value, default_on_error, mistakes, str::parse)
}

/// One of these words.
pub(super) fn word<T: Clone>(
    value: &Value<'_>,
    words: &[(&str, T)],
    mistakes: &mut Diagnostics<'_>,
) -> Option<At<T>> {
    let legal: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let legal = legal.join(", ");
    made(value, &format!("legal here are {legal}, in quotes"), mistakes, |text| {
        let known = words.iter().find(|(word, _)| *word == text);
        known.map(|(_, value)| value.clone()).ok_or_else(|| {
            format!("`{}` is not legal here; legal are {legal}", escape_for_display(text))
        })
    })
}

/// A whole number in this range.
pub(super) fn whole(
    value: &Value<'_>,
    legal: RangeInclusive<u64>,
    default_on_error: impl Display,
    mistakes: &mut Diagnostics<'_>,
) -> Option<At<u64>> {
    let at = value.span().start;
    let number = match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    match number.filter(|number| legal.contains(number)) {
        Some(value) => Some(At { value, at }),
        None => {
            mistakes.add(at, default_on_error);
            None
        }
    }
}

/// The same of numbers that fit into 32 bits.
pub(super) fn whole_32(
    value: &Value<'_>,
    legal: RangeInclusive<u32>,
    default_on_error: impl Display,
    mistakes: &mut Diagnostics<'_>,
) -> Option<At<u32>> {
    let legal = u64::from(*legal.start())..=u64::from(*legal.end());
    let At { value, at } = whole(value, legal, default_on_error, mistakes)?;
    Some(At { value: u32::try_from(value).ok()?, at })
}

/// A length of time in this range: `"10s"`, or a whole number of seconds.
pub(super) fn time(
    value: &Value<'_>,
    legal: RangeInclusive<Duration>,
    default_on_error: impl Display,
    mistakes: &mut Diagnostics<'_>,
) -> Option<At<Duration>> {
    let at = value.span().start;
    let time = match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .map(Duration::from_secs)
            .map_err(|_| default_on_error.to_string()),
        DeValue::String(text) => parse_window(text).map_err(|error| error.to_string()),
        _ => Err(default_on_error.to_string()),
    };
    let is_legal = |time: &Duration| legal.contains(time);
    match time.and_then(|time| Some(time).filter(is_legal).ok_or(default_on_error.to_string())) {
        Ok(value) => Some(At { value, at }),
        Err(message) => {
            mistakes.add(at, message);
            None
        }
    }
}

pub(super) fn boolean(value: &Value<'_>, mistakes: &mut Diagnostics<'_>) -> Option<At<bool>> {
    let at = value.span().start;
    match value.get_ref() {
        DeValue::Boolean(value) => Some(At { value: *value, at }),
        _ => {
            mistakes.add(at, "legal here are true and false, without quotes");
            None
        }
    }
}

/// The elements of a list; `otherwise` says how one is written.
pub(super) fn list<'v, 't>(
    value: &'v Value<'t>,
    default_on_error: &str,
    mistakes: &mut Diagnostics<'_>,
) -> &'v [Value<'t>] {
    match value.get_ref() {
        DeValue::Array(list) => list,
        _ => {
            mistakes.add(value.span().start, default_on_error);
            &[]
        }
    }
}

/// A table; `otherwise` says how one is written.
pub(super) fn table<'v, 't>(
    value: &'v Value<'t>,
    default_on_error: &str,
    mistakes: &mut Diagnostics<'_>,
) -> Option<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => {
            mistakes.add(value.span().start, default_on_error);
            None
        }
    }
}
