//! The policies of a guard, by name, and the names that the attributes of the program ask for.

use std::collections::HashMap;

use super::BuildError;
use crate::Policy;

#[derive(Default)]
pub(super) struct Policies {
    by_name: HashMap<String, Policy>,
}

impl Policies {
    /// These policies, if no two have one name and they are all that attributes ask for.
    ///
    /// A guard without any may be one that no attribute is meant for, and is not asked.
    pub(super) fn of(
        policies: Vec<Policy>,
        #[cfg_attr(not(feature = "macros"), allow(unused_variables))] is_for_attributes: bool,
    ) -> Result<Self, BuildError> {
        let mut by_name = HashMap::new();
        for policy in policies {
            let name = policy.name().to_owned();
            if by_name.insert(name.clone(), policy).is_some() {
                return Err(BuildError::PolicyTwice { name });
            }
        }
        #[cfg(feature = "macros")]
        if is_for_attributes && !by_name.is_empty() {
            let asked = inventory::iter::<AskedPolicy>.into_iter();
            if let Some(unknown) = asked.into_iter().find(|asked| !by_name.contains_key(asked.name))
            {
                let mut known: Vec<_> = by_name.into_keys().collect();
                known.sort();
                return Err(BuildError::UnknownPolicy {
                    name: unknown.name.to_owned(),
                    place: unknown.place.to_owned(),
                    known,
                });
            }
        }
        Ok(Self { by_name })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.by_name.values()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Policy> {
        self.by_name.get(name)
    }
}

/// An attribute that takes its policy from the guard in the application's data, whichever that is.
///
/// The linker collects all of a program before it starts, so that a name that does not exist is found then.
#[cfg(feature = "macros")]
pub struct AskedPolicy {
    /// The name of the policy.
    pub name: &'static str,
    /// The file and line of the attribute.
    pub place: &'static str,
}

#[cfg(feature = "macros")]
inventory::collect!(AskedPolicy);
