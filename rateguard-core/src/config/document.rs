//! The whole file, as it is written.

use actix_rateguard_grammar::{Quotas, check_name};
use toml::de::DeTable;

use super::{
    access::access,
    fields::{Reader, Value, read},
    guard::{ParsedGuard, guard},
    limit::{FilePolicy, policy},
    mistakes::Diagnostics,
    values::{made, table},
};
use crate::{AccessList, Plan};

/// What a file says.
#[derive(Default)]
pub(super) struct Document {
    pub(super) guard: ParsedGuard,
    pub(super) access: AccessList,
    pub(super) plans: Vec<(String, Plan)>,
    pub(super) policies: Vec<FilePolicy>,
    /// The names that are there, also of what is not legal.
    pub(super) named: Names,
    /// Whether it is TOML, so that all of this was read.
    pub(super) is_read: bool,
    /// Where the tables of these names begin.
    pub(super) places: Vec<(&'static str, usize)>,
}

#[derive(Default)]
pub(super) struct Names {
    pub(super) policies: Vec<String>,
    pub(super) plans: Vec<String>,
}

const FIELDS: &[(&str, Reader<Document>)] = &[
    ("guard", |to, it, wrong| {
        to.places.push(("guard", it.span().start));
        to.guard = guard(it, wrong);
    }),
    ("access", |to, it, wrong| to.access = access(it, wrong)),
    ("plans", plans),
    ("policies", policies),
];

impl Document {
    pub(super) fn read(text: &str, mistakes: &mut Diagnostics<'_>) -> Self {
        let mut document = Self::default();
        if text.trim().is_empty() {
            // So that a file that an editor or a full disk has emptied lifts no limit.
            mistakes
                .add(0, "the file is empty; one that says nothing on purpose has a comment in it");
            return document;
        }
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            // Without the line of the file that it quotes, too.
            mistakes.add(error.span().map_or(0, |span| span.start), error.message());
        }
        // What is read of a text that is no TOML may be something else than what is written.
        if errors.is_empty() {
            document.is_read = true;
            read(&mut document, FIELDS, table.get_ref(), mistakes);
        }
        document
    }

    /// Where the table of this name begins, or else the file.
    pub(super) fn place(&self, table: &str) -> usize {
        self.places.iter().find(|(name, _)| *name == table).map_or(0, |(_, at)| *at)
    }

    /// Where the name of this policy stands, if it does.
    pub(super) fn place_of_policy(&self, name: &str) -> usize {
        let written = self.policies.iter().find(|it| it.policy.name() == name);
        written.map_or_else(|| self.place("policies"), |it| it.at)
    }
}

fn policies(to: &mut Document, value: &Value<'_>, mistakes: &mut Diagnostics<'_>) {
    const FORM: &str =
        "policies are tables of their own: `[policies.login]`, with `rate = \"5/minute\"` below";
    to.places.push(("policies", value.span().start));
    let Some(table) = table(value, FORM, mistakes) else { return };
    for (name, value) in table {
        to.named.policies.push(name.get_ref().clone().into_owned());
        to.policies.extend(policy(name, value, mistakes));
    }
}

fn plans(to: &mut Document, value: &Value<'_>, mistakes: &mut Diagnostics<'_>) {
    const FORM: &str = "plans are a table: `[plans]`, with `free = \"10/minute; 100/day\"` and `pro = \"unlimited\"` below, for example";
    to.places.push(("plans", value.span().start));
    let Some(table) = table(value, FORM, mistakes) else { return };
    for (name, value) in table {
        to.named.plans.push(name.get_ref().clone().into_owned());
        if let Err(error) = check_name(name.get_ref()) {
            mistakes.add(name.span().start, error);
        }
        let plan = made(value, FORM, mistakes, |text| match text {
            "unlimited" => Ok(Plan::Unlimited),
            _ => text
                .parse::<Quotas>()
                .map(Plan::from)
                .map_err(|error| format!("{error}; legal is also \"unlimited\"")),
        });
        let name = name.get_ref().clone().into_owned();
        to.plans.extend(plan.map(|plan| (name, plan.value)));
    }
}
