//! Reads TOML tables that have a fixed set of fields.

use actix_rateguard_grammar::{escape_for_display, expected_one_of};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::diagnostics::Diagnostics;

/// A TOML value with its location in the text.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// A parsed value with the byte offset at which it starts in the text.
pub(super) type Located<T> = actix_rateguard_grammar::Located<T, usize>;

/// A function that parses the value of a field and stores it. If the value is invalid, the function adds
/// diagnostics.
pub(super) type Reader<T> = fn(&mut T, &Value<'_>, &mut Diagnostics<'_>);

/// Reads all fields of a table. If a field is unknown, the error message lists the names in `fields` as the valid
/// names.
pub(super) fn read<T>(
    to: &mut T,
    fields: &[(&'static str, Reader<T>)],
    table: &DeTable<'_>,
    diagnostics: &mut Diagnostics<'_>,
) {
    for (key, value) in table {
        let name = &**key.get_ref();
        match fields.iter().find(|(field, _)| *field == name) {
            Some((_, read)) => read(to, value, diagnostics),
            None => {
                let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
                let kind = if value.get_ref().is_table() { "table" } else { "field" };
                diagnostics.add(
                    key.span().start,
                    format!(
                        "unknown {kind} `{}`; {}",
                        escape_for_display(name),
                        expected_one_of(kind, name, &names)
                    ),
                );
            }
        }
    }
}
