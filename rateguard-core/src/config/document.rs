//! Parses the tables of a policies file, which is a TOML file that defines a guard's policies.

use actix_rateguard_grammar::check_name;
use toml::de::DeTable;

use super::{
    access::access,
    diagnostics::Diagnostics,
    fields::{Reader, Value, read},
    guard::{ParsedGuard, guard},
    limit::{FilePolicy, policy},
    syntax::syntax_errors,
    values::{parse_with, table},
};
use crate::{AccessList, Plan};

/// The parsed content of a policies file.
#[derive(Default)]
pub(super) struct Document {
    pub(super) guard: ParsedGuard,
    pub(super) access: AccessList,
    pub(super) plans: Vec<(String, Plan)>,
    pub(super) policies: Vec<FilePolicy>,
    /// The names of all policies and plans in the file, including those with errors. Otherwise an invalid policy
    /// would also be reported as missing.
    pub(super) names: Names,
    /// Whether the text is valid TOML. If not, all other fields are empty.
    pub(super) is_toml: bool,
    /// The names of the tables in the file, with the byte offset at which each table starts.
    table_offsets: Vec<(&'static str, usize)>,
}

#[derive(Default)]
pub(super) struct Names {
    pub(super) policies: Vec<String>,
    pub(super) plans: Vec<String>,
}

const FIELDS: &[(&str, Reader<Document>)] = &[
    ("guard", |to, value, diagnostics| {
        to.table_offsets.push(("guard", value.span().start));
        to.guard = guard(value, diagnostics);
    }),
    ("access", |to, value, diagnostics| to.access = access(value, diagnostics)),
    ("plans", plans),
    ("policies", policies),
];

impl Document {
    pub(super) fn read(text: &str, diagnostics: &mut Diagnostics<'_>) -> Self {
        let mut document = Self::default();
        if text.trim().is_empty() {
            // An editor or a full disk can leave an empty file. If an empty file were valid, all limits would be
            // lost, so an empty file is an error.
            diagnostics.add(0, "the file is empty; a file without settings must contain a comment");
            return document;
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        for (offset, message) in syntax_errors(text, &errors) {
            diagnostics.add(offset, message);
        }
        // After a syntax error, the parsed tables may differ from the user's intention, so they are not read.
        if errors.is_empty() {
            document.is_toml = true;
            read(&mut document, FIELDS, table.get_ref(), diagnostics);
        }
        document
    }

    /// Returns the byte offset of a table, or 0 if the file does not have this table.
    pub(super) fn offset_of(&self, table: &str) -> usize {
        self.table_offsets.iter().find(|(name, _)| *name == table).map_or(0, |(_, offset)| *offset)
    }

    /// Returns the byte offset of a policy's name. If the file does not have this policy, returns the offset of
    /// `[policies]`.
    pub(super) fn offset_of_policy(&self, name: &str) -> usize {
        let policy = self.policies.iter().find(|it| it.policy.name() == name);
        policy.map_or_else(|| self.offset_of("policies"), |it| it.offset)
    }
}

fn policies(to: &mut Document, value: &Value<'_>, diagnostics: &mut Diagnostics<'_>) {
    const EXPECTED: &str =
        "expected a table for each policy, such as `[policies.login]` with `rate = \"5/minute\"`";
    to.table_offsets.push(("policies", value.span().start));
    let Some(table) = table(value, EXPECTED, diagnostics) else { return };
    for (name, value) in table {
        to.names.policies.push(name.get_ref().clone().into_owned());
        to.policies.extend(policy(name, value, diagnostics));
    }
}

fn plans(to: &mut Document, value: &Value<'_>, diagnostics: &mut Diagnostics<'_>) {
    const EXPECTED: &str = "expected a table: `[plans]`, with fields such as `free = \"10/minute; 100/day\"` and `pro = \"unlimited\"`";
    to.table_offsets.push(("plans", value.span().start));
    let Some(table) = table(value, EXPECTED, diagnostics) else { return };
    for (name, value) in table {
        to.names.plans.push(name.get_ref().clone().into_owned());
        if let Err(error) = check_name(name.get_ref()) {
            diagnostics.add(name.span().start, error);
        }
        let plan = parse_with(value, EXPECTED, diagnostics, |text| {
            Plan::try_from(text).map_err(|error| format!("{error}; \"unlimited\" is also valid"))
        });
        let name = name.get_ref().clone().into_owned();
        to.plans.extend(plan.map(|plan| (name, plan.value)));
    }
}
