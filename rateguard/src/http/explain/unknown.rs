//! What cannot be known of a request that was only described.

use actix_web::{HttpMessage, HttpRequest};
use rateguard_grammar::{KeyNotation, KeyPart};

use crate::{KnownLimit, UserId, http::inventory::FUNCTION};

/// The parts of this limit's key that the description does not have.
pub(super) fn key_parts(limit: &KnownLimit, request: &HttpRequest) -> Vec<String> {
    let Ok(notation) = limit.key.parse::<KeyNotation>() else { return Vec::new() };
    let is_unknown = |part: &&KeyPart| match part {
        KeyPart::User => request.extensions().get::<UserId>().is_none(),
        KeyPart::Identity | KeyPart::Session(_) => true,
        KeyPart::Path(name) => request.match_info().get(name).is_none(),
        _ => false,
    };
    notation.parts().iter().filter(is_unknown).map(ToString::to_string).collect()
}

/// Whether functions of the user say something of this limit.
pub(super) fn has_functions(limit: &KnownLimit) -> bool {
    limit.key == FUNCTION || limit.has_skip || limit.is_per_request || limit.cost.is_none()
}
