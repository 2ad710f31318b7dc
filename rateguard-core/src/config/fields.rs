//! Tables with fields that are known.

use actix_rateguard_grammar::escape_for_display;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{mistakes::Diagnostics, suggest::suggest};

/// A value with its place in the text.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// Something that was read, with its place in the text.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// Reads the value of a field, or says what is wrong with it.
pub(super) type Reader<T> = fn(&mut T, &Value<'_>, &mut Diagnostics<'_>);

/// Reads all fields of a table. The list of legal names in messages comes from `fields`.
pub(super) fn read<T>(
    to: &mut T,
    fields: &[(&'static str, Reader<T>)],
    table: &DeTable<'_>,
    mistakes: &mut Diagnostics<'_>,
) {
    for (key, value) in table {
        let name = &**key.get_ref();
        match fields.iter().find(|(known, _)| *known == name) {
            Some((_, read)) => read(to, value, mistakes),
            None => {
                let names = || fields.iter().map(|(name, _)| *name);
                let meant = suggest(name, names())
                    .map_or(String::new(), |meant| format!("did you mean `{meant}`? "));
                mistakes.add(
                    key.span().start,
                    format!(
                        "unknown field `{}`; {meant}legal are {}",
                        escape_for_display(name),
                        listed(names())
                    ),
                );
            }
        }
    }
}

/// Names as a message lists them.
pub(super) fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
