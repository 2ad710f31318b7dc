//! Finds key parts that no access log has, unless `--field` names their field.

use actix_rateguard_grammar::KeyPart;

use super::route::RoutePattern;
use crate::replay::fields::{FieldMapping, FieldName, stored_part};

/// Returns the reason why the values of this key part are not in the log.
pub(super) fn reason(
    part: &KeyPart,
    route: Option<&RoutePattern>,
    mappings: &[FieldMapping],
) -> Option<String> {
    let is_mapped = mappings.iter().any(|it| it.name == FieldName::Key(stored_part(part.clone())));
    let field = || {
        format!(
            "the log has no value for `{part}`; `--field {part}=NAME` names its field in JSON lines"
        )
    };
    match part {
        _ if is_mapped => None,
        KeyPart::Ip
        | KeyPart::IpNetwork(_)
        | KeyPart::User
        | KeyPart::Global
        | KeyPart::Method
        | KeyPart::Header(_) => None,
        KeyPart::Json(_) | KeyPart::Form(_) => Some(format!(
            "an access log has no bodies for `{part}`; `--field {part}=NAME` names a field with the value"
        )),
        KeyPart::Identity | KeyPart::Session(_) | KeyPart::Bearer | KeyPart::Cookie(_) => {
            Some(field())
        }
        KeyPart::Route if route.is_none() => Some(
            "the log has no routes; `--policy NAME=/ROUTE` or `--route /ROUTE` sets the route"
                .to_owned(),
        ),
        KeyPart::Route => None,
        KeyPart::Path(name) if route.is_some_and(|it| it.has(name)) => None,
        KeyPart::Path(name) => Some(format!(
            "the route has no parameter `{name}`; `--policy NAME=/ROUTE` or `--route /ROUTE` sets a route with `{{{name}}}`"
        )),
    }
}
