//! Provides the error messages for values that must be strings, such as `"5/minute"`, but are not strings.

use std::{fmt::Display, str::FromStr};

use crate::{Algorithm, Ban, Count, KeyNotation, LeaseSize, Methods, MissingKey, OnError, Quotas};

/// A type whose values users write as strings.
pub trait Notation: FromStr<Err: Display> {
    /// Returns the error message for a value that is not a string.
    fn expected() -> String;
}

impl Notation for Quotas {
    fn expected() -> String {
        "expected a rate in quotes, such as \"5/minute\"".to_owned()
    }
}

impl Notation for Algorithm {
    fn expected() -> String {
        "expected an algorithm in quotes, such as \"token_bucket\"".to_owned()
    }
}

impl Notation for KeyNotation {
    fn expected() -> String {
        format!("expected one of {}, in quotes", Self::FORMS)
    }
}

impl Notation for MissingKey {
    fn expected() -> String {
        format!("expected {}, in quotes", Self::FORMS)
    }
}

impl Notation for Count {
    fn expected() -> String {
        format!("expected one of {}, in quotes", Self::FORMS)
    }
}

impl Notation for Methods {
    fn expected() -> String {
        "expected methods in quotes, such as \"POST, PUT\"".to_owned()
    }
}

impl Notation for Ban {
    fn expected() -> String {
        "expected a ban in quotes, such as \"10/hour for 15m up to 1d\"".to_owned()
    }
}

impl Notation for LeaseSize {
    fn expected() -> String {
        Self::EXPECTED.to_owned()
    }
}

impl Notation for OnError {
    fn expected() -> String {
        format!("expected {}, in quotes", Self::FORMS)
    }
}
