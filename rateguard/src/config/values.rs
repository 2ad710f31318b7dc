//! Values of fields, read and checked one by one.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use rateguard_grammar::{parse_window, shown};
use toml::de::{DeTable, DeValue};

use super::{
    fields::{At, Value},
    mistakes::Mistakes,
};

pub(super) fn text<'v>(
    value: &'v Value<'_>,
    otherwise: &str,
    mistakes: &mut Mistakes<'_>,
) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => {
            mistakes.add(value.span().start, otherwise);
            None
        }
    }
}

/// What this function makes of text.
pub(super) fn made<T, E: Display>(
    value: &Value<'_>,
    otherwise: &str,
    mistakes: &mut Mistakes<'_>,
    make: impl FnOnce(&str) -> Result<T, E>,
) -> Option<At<T>> {
    let at = value.span().start;
    match make(text(value, otherwise, mistakes)?) {
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
    otherwise: &str,
    mistakes: &mut Mistakes<'_>,
) -> Option<At<T>> {
    made(value, otherwise, mistakes, str::parse)
}

/// One of these words.
pub(super) fn word<T: Clone>(
    value: &Value<'_>,
    words: &[(&str, T)],
    mistakes: &mut Mistakes<'_>,
) -> Option<At<T>> {
    let legal: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let legal = legal.join(", ");
    made(value, &format!("legal here are {legal}, in quotes"), mistakes, |text| {
        let known = words.iter().find(|(word, _)| *word == text);
        known
            .map(|(_, value)| value.clone())
            .ok_or_else(|| format!("`{}` is not legal here; legal are {legal}", shown(text)))
    })
}

/// A whole number in this range.
pub(super) fn whole(
    value: &Value<'_>,
    legal: RangeInclusive<u64>,
    otherwise: impl Display,
    mistakes: &mut Mistakes<'_>,
) -> Option<At<u64>> {
    let at = value.span().start;
    let number = match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    match number.filter(|number| legal.contains(number)) {
        Some(value) => Some(At { value, at }),
        None => {
            mistakes.add(at, otherwise);
            None
        }
    }
}

/// The same of numbers that fit into 32 bits.
pub(super) fn whole_32(
    value: &Value<'_>,
    legal: RangeInclusive<u32>,
    otherwise: impl Display,
    mistakes: &mut Mistakes<'_>,
) -> Option<At<u32>> {
    let legal = u64::from(*legal.start())..=u64::from(*legal.end());
    let At { value, at } = whole(value, legal, otherwise, mistakes)?;
    Some(At { value: u32::try_from(value).ok()?, at })
}

/// A length of time in this range: `"10s"`, or a whole number of seconds.
pub(super) fn time(
    value: &Value<'_>,
    legal: RangeInclusive<Duration>,
    otherwise: impl Display,
    mistakes: &mut Mistakes<'_>,
) -> Option<At<Duration>> {
    let at = value.span().start;
    let time = match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .map(Duration::from_secs)
            .map_err(|_| otherwise.to_string()),
        DeValue::String(text) => parse_window(text).map_err(|error| error.to_string()),
        _ => Err(otherwise.to_string()),
    };
    let is_legal = |time: &Duration| legal.contains(time);
    match time.and_then(|time| Some(time).filter(is_legal).ok_or(otherwise.to_string())) {
        Ok(value) => Some(At { value, at }),
        Err(message) => {
            mistakes.add(at, message);
            None
        }
    }
}

pub(super) fn boolean(value: &Value<'_>, mistakes: &mut Mistakes<'_>) -> Option<At<bool>> {
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
    otherwise: &str,
    mistakes: &mut Mistakes<'_>,
) -> &'v [Value<'t>] {
    match value.get_ref() {
        DeValue::Array(list) => list,
        _ => {
            mistakes.add(value.span().start, otherwise);
            &[]
        }
    }
}

/// A table; `otherwise` says how one is written.
pub(super) fn table<'v, 't>(
    value: &'v Value<'t>,
    otherwise: &str,
    mistakes: &mut Mistakes<'_>,
) -> Option<&'v DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => {
            mistakes.add(value.span().start, otherwise);
            None
        }
    }
}
