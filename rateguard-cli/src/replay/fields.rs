//! The fields of a log line that the replay reads, and the notation `--field NAME=FIELD` that maps them.

use std::{fmt, str::FromStr};

use actix_rateguard_grammar::{KeyPart, escape_for_display};

use super::record::TextField;

/// A value that the replay reads from a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldName {
    Time,
    Ip,
    User,
    Method,
    Path,
    Status,
    /// The duration of the request in seconds.
    Duration,
    /// The value of a part of a key, such as `header:X-Api-Key`.
    Key(KeyPart),
}

impl FieldName {
    const FORMS: &str = "`time`, `ip`, `user`, `method`, `path`, `status`, `duration`, or a key such as `header:X-Api-Key`, `cookie:NAME`, `session:NAME`, `identity`, `bearer`, `json:/POINTER`, `form:NAME`";
}

/// The argument `--field NAME=FIELD`. `FIELD` is the name of a field in JSON lines, with dots for nested objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldMapping {
    pub(crate) name: FieldName,
    pub(crate) json_path: String,
}

impl FromStr for FieldMapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, json_path) =
            text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or_else(|| {
                format!(
                    "expected NAME=FIELD, such as `ip=client.address`, found `{}`",
                    escape_for_display(text)
                )
            })?;
        let name = match name {
            "time" => FieldName::Time,
            "ip" => FieldName::Ip,
            "user" => FieldName::User,
            "method" => FieldName::Method,
            "path" => FieldName::Path,
            "status" => FieldName::Status,
            "duration" => FieldName::Duration,
            _ => match name.parse().ok().map(stored_part) {
                Some(part) if is_in_log(&part) => FieldName::Key(part),
                _ => {
                    let name = escape_for_display(name);
                    return Err(format!("expected one of {}, found `{name}`", FieldName::FORMS));
                }
            },
        };
        Ok(Self { name, json_path: json_path.to_owned() })
    }
}

/// Returns whether a field of a log can have the value of this part.
fn is_in_log(part: &KeyPart) -> bool {
    !matches!(
        part,
        KeyPart::Ip
            | KeyPart::IpNetwork(_)
            | KeyPart::User
            | KeyPart::Global
            | KeyPart::Route
            | KeyPart::Method
            | KeyPart::Path(_)
    )
}

/// Returns the part with the name of a header in lower case, because names of headers are case-insensitive.
pub(crate) fn stored_part(part: KeyPart) -> KeyPart {
    match part {
        KeyPart::Header(name) => KeyPart::Header(name.to_ascii_lowercase()),
        part => part,
    }
}

/// The key parts whose values the replay reads from each line, in addition to the usual fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExtraFields {
    parts: Vec<KeyPart>,
}

impl ExtraFields {
    /// Returns the field for the value of this part. The first call for a part adds it.
    pub(crate) fn add(&mut self, part: &KeyPart) -> TextField {
        let part = stored_part(part.clone());
        self.find(&part).unwrap_or_else(|| {
            self.parts.push(part);
            TextField::Extra(self.parts.len() - 1)
        })
    }

    pub(crate) fn find(&self, part: &KeyPart) -> Option<TextField> {
        self.parts.iter().position(|it| it == part).map(TextField::Extra)
    }

    /// Returns the field for the value of this header, if a key reads it. `name` is in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<TextField> {
        let is_header = |part: &KeyPart| matches!(part, KeyPart::Header(it) if it == name);
        self.parts.iter().position(is_header).map(TextField::Extra)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&KeyPart, TextField)> {
        self.parts.iter().enumerate().map(|(index, part)| (part, TextField::Extra(index)))
    }
}

impl fmt::Display for FieldMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapping_has_a_name_and_a_field() {
        let mapping: FieldMapping = "ip=client.address".parse().unwrap();
        assert_eq!(mapping.name, FieldName::Ip);
        assert_eq!(mapping.json_path, "client.address");
        let mapping: FieldMapping = "header:X-Api-Key=key".parse().unwrap();
        assert_eq!(mapping.name, FieldName::Key(KeyPart::Header("x-api-key".to_owned())));
        for invalid in ["ip", "ip=", "address=a", "global=a", "route=a", "=a"] {
            let error = invalid.parse::<FieldMapping>().unwrap_err();
            assert!(error.starts_with("expected "), "{error}");
        }
    }
}
