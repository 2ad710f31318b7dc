//! The error for two limits that have the same name and cannot share their counts.

use std::{error::Error, fmt, panic::Location};

/// The error for two limits of a guard, or a limit and a policy, that have the same name and cannot share their counts.
#[derive(Clone, PartialEq, Eq)]
pub struct NameConflict {
    name: String,
    kind: ConflictKind,
}

/// The place at which a limit or a policy of the guard is defined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The source location of a limit.
    Source(&'static Location<'static>),
    /// The policies of the guard, from its builder or from its policies file.
    Policies,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum ConflictKind {
    /// Both limits use the default name.
    Unnamed { one: &'static Location<'static>, other: &'static Location<'static> },
    /// One limit uses the default name, and the program has given the same name to another limit.
    DefaultName { location: &'static Location<'static>, other: Place },
    /// The limits have different values of this setting, such as `quotas`.
    Different { setting: &'static str, values: [String; 2], places: [Place; 2] },
}

impl NameConflict {
    pub(super) fn new(name: &str, kind: ConflictKind) -> Self {
        Self { name: name.to_owned(), kind }
    }

    /// Returns the name that both limits have.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(location) => write!(f, "at {location}"),
            Self::Policies => f.write_str("in the policies of the guard"),
        }
    }
}

impl fmt::Display for NameConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.kind {
            ConflictKind::Unnamed { one, other } => write!(
                f,
                "the limits at {one} and at {other} have no name and would share their counts as `{name}`; give each a name"
            ),
            ConflictKind::DefaultName { location, other } => write!(
                f,
                "the limit at {location} has no name and uses the default name `{name}`, which is the name of another limit, {other}; give each a name of its own"
            ),
            ConflictKind::Different {
                setting,
                values: [one, other],
                places: [one_place, other_place],
            } => write!(
                f,
                "two limits are named `{name}` and have different {setting}, {one} and {other}, {one_place} and {other_place}; give each a name of its own"
            ),
        }
    }
}

actix_rateguard_grammar::debug_as_display!(NameConflict);

impl Error for NameConflict {}
