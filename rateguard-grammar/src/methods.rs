//! Parses the request methods to which a limit applies, such as `"POST, PUT"`.

use std::{error::Error, fmt, str::FromStr};

use crate::{escape::escape_for_display, is_token};

/// A list of request methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    names: Vec<String>,
}

impl Methods {
    /// Returns the names of the methods. The slice has at least one element.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl FromStr for Methods {
    type Err = MethodsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
        // Method names are case-sensitive (RFC 9110, section 9.1), and all registered methods are in capital
        // letters. So a name with lower-case letters is a mistake.
        let is_method = |name: &String| is_token(name) && !name.contains(char::is_lowercase);
        if !names.iter().all(is_method) {
            return Err(MethodsError { text: escape_for_display(text) });
        }
        Ok(Self { names })
    }
}

/// The error for a text that is not a list of request methods.
#[derive(Clone, PartialEq, Eq)]
pub struct MethodsError {
    text: String,
}

impl fmt::Display for MethodsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected methods in capital letters, separated by commas, such as \"POST, PUT\", found `{}`",
            self.text
        )
    }
}

crate::debug_as_display::debug_as_display!(MethodsError);

impl Error for MethodsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_capital_letters_and_commas_are_accepted() {
        for text in ["POST", "POST,PUT", " POST , M-SEARCH "] {
            assert!(text.parse::<Methods>().is_ok(), "{text}");
        }
        for text in ["", "post", "POST PUT", "POST,", "PÖST"] {
            assert!(text.parse::<Methods>().is_err(), "{text}");
        }
    }
}
