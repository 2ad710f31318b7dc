//! Rejects keys that require a disabled Cargo feature.

use actix_rateguard_grammar::KeyNotation;

use super::source::PartSource;

/// Returns an error message if `by` is a notation with a part that requires a disabled Cargo feature. A text that is
/// not a notation is valid here.
pub(crate) fn require_enabled_parts(by: &str) -> Result<(), String> {
    let Ok(notation) = by.parse::<KeyNotation>() else { return Ok(()) };
    notation.parts().iter().try_for_each(|part| PartSource::of(part).map(drop))
}
