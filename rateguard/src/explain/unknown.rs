//! The parts of a limit that a described request may not determine.

use actix_rateguard_grammar::{KeyNotation, KeyPart};
use actix_web::{HttpMessage, HttpRequest};

use crate::{
    UserId,
    inventory::{FUNCTION, LimitInfo},
};

/// Returns the parts of the limit's key that the described request lacks.
pub(super) fn key_parts(limit: &LimitInfo, request: &HttpRequest) -> Vec<String> {
    let Ok(notation) = limit.key.parse::<KeyNotation>() else { return Vec::new() };
    let is_missing = |part: &&KeyPart| match part {
        KeyPart::User => request.extensions().get::<UserId>().is_none(),
        KeyPart::Identity | KeyPart::Session(_) => true,
        KeyPart::Path(name) => request.match_info().get(name).is_none(),
        _ => false,
    };
    notation.parts().iter().filter(is_missing).map(ToString::to_string).collect()
}

/// Returns whether functions of the application determine the key, the cost, the quotas or the exemptions of this
/// limit.
pub(super) fn has_functions(limit: &LimitInfo) -> bool {
    limit.key == FUNCTION || limit.has_skip || limit.is_per_request || limit.cost.is_none()
}
