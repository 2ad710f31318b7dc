//! `"POST, PUT"`: the request methods that a limit is for.

use std::{error::Error, fmt, str::FromStr};

use crate::shown::shown;

use crate::is_token;

/// Request methods, as they are written in an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    names: Vec<String>,
}

impl Methods {
    /// Their names; at least one.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl FromStr for Methods {
    type Err = MethodsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
        // Methods are told apart by case (RFC 9110, section 9.1), and all that are registered are in capitals.
        let is_method = |name: &String| is_token(name) && !name.contains(char::is_lowercase);
        if !names.iter().all(is_method) {
            return Err(MethodsError { text: shown(text) });
        }
        Ok(Self { names })
    }
}

/// A text that names no methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodsError {
    text: String,
}

impl fmt::Display for MethodsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` does not name request methods; write them in capitals with commas between, such as \"POST\" or \"POST, PUT\"",
            self.text
        )
    }
}

impl Error for MethodsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_listed_in_capitals() {
        for text in ["POST", "POST,PUT", " POST , M-SEARCH "] {
            assert!(text.parse::<Methods>().is_ok(), "{text}");
        }
        for text in ["", "post", "POST PUT", "POST,", "PÖST"] {
            assert!(text.parse::<Methods>().is_err(), "{text}");
        }
    }
}
