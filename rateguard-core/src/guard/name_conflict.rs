//! The error for two limits that have the same name and cannot share their counts.

use std::{error::Error, fmt, panic::Location};

/// The error for two limits of a guard that have the same name, but cannot share their counts. One of the two limits
/// can be a policy of the guard.
#[derive(Clone, PartialEq, Eq)]
pub struct NameConflict {
    name: String,
    kind: ConflictKind,
}

/// Where a limit or a policy of the guard is defined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Definition {
    /// The source location of a limit.
    Source(&'static Location<'static>),
    /// The policies of the guard, from its builder or from its policies file.
    Policies,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) enum ConflictKind {
    /// Both limits use the default name.
    BothUnnamed { one: &'static Location<'static>, other: &'static Location<'static> },
    /// One limit uses the default name, and the program has given the same name to another limit or to a policy.
    OneUnnamed { location: &'static Location<'static>, other: Definition },
    /// The limits have different values of this setting, such as `quotas`. Each limit has its value and its definition
    /// at the same index.
    DifferentSetting { setting: &'static str, values: [String; 2], definitions: [Definition; 2] },
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

impl fmt::Display for Definition {
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
            ConflictKind::BothUnnamed { one, other } => write!(
                f,
                "the limits at {one} and at {other} have no name and would share their counts as `{name}`; give each limit its own name"
            ),
            ConflictKind::OneUnnamed { location, other } => {
                let other_kind = match other {
                    Definition::Source(_) => "a limit",
                    Definition::Policies => "a policy",
                };
                write!(
                    f,
                    "the limit at {location} has no name and uses the default name `{name}`, which is also the name of {other_kind} {other}; give each its own name"
                )
            }
            ConflictKind::DifferentSetting {
                setting,
                values: [one, other],
                definitions: [one_definition, other_definition],
            } => write!(
                f,
                "two limits are named `{name}` but have different {setting}: {one} {one_definition}, and {other} {other_definition}; give each limit its own name"
            ),
        }
    }
}

// If `main` returns this error, or if `unwrap` panics with it, Rust prints its `Debug` form.
actix_rateguard_grammar::debug_as_display!(NameConflict);

impl Error for NameConflict {}
