//! Converts error replies of Redis to [`StoreError`].

use super::StoreError;
use super::error::NotReadyCause;

/// Returns the [`StoreError`] for an error reply. `code` is the first word of the error text, and `rest` is the text
/// after this word. The result does not contain the text, because servers quote arguments in error texts.
pub(super) fn cause(code: &str, rest: Option<&str>) -> StoreError {
    let is_generic = code == "ERR";
    if is_generic && let Some(cause) = rest.and_then(cause_without_code) {
        return cause;
    }
    let code = if is_generic { rest.and_then(script_error_code).unwrap_or(code) } else { code };
    match code {
        "NOAUTH" | "WRONGPASS" | "DENIED" => StoreError::Authentication,
        "NOPERM" => StoreError::Permission,
        "READONLY" => StoreError::NotReady(Some(NotReadyCause::Replica)),
        "LOADING" => StoreError::NotReady(Some(NotReadyCause::Loading)),
        "NOREPLICAS" => StoreError::NotReady(Some(NotReadyCause::TooFewReplicas)),
        "MISCONF" => StoreError::NotReady(Some(NotReadyCause::DiskError)),
        "MASTERDOWN" => StoreError::NotReady(Some(NotReadyCause::PrimaryDown)),
        "TRYAGAIN" => StoreError::NotReady(None),
        // The key has another type than the script expects, or the script found a value that it did not write.
        "WRONGTYPE" => StoreError::ForeignValue,
        "ASK" | "CLUSTERDOWN" | "MOVED" => StoreError::Cluster,
        "CROSSSLOT" => StoreError::CrossSlot,
        "BUSY" => StoreError::Busy,
        "OOM" => StoreError::OutOfMemory,
        _ => StoreError::InvalidReply,
    }
}

/// Parts of error texts that have only the generic code `ERR`, and their causes. The texts for unknown commands come
/// from Redis (one for clients, one for scripts), Valkey (for scripts), Upstash and Envoy.
const TEXTS_WITHOUT_CODE: [(&str, StoreError); 8] = [
    ("unknown command", StoreError::UnknownCommand),
    ("Unknown Redis command", StoreError::UnknownCommand),
    ("Unknown command called from script", StoreError::UnknownCommand),
    ("Command is not available", StoreError::UnknownCommand),
    ("unsupported command", StoreError::UnknownCommand),
    ("DB index is out of range", StoreError::Database),
    ("SELECT is not allowed in cluster mode", StoreError::Cluster),
    ("cluster support disabled", StoreError::WrongServerKind),
];

/// Returns the cause of an error that has no code of its own, or `None` if the text contains no part in
/// [`TEXTS_WITHOUT_CODE`].
pub(super) fn cause_without_code(text: &str) -> Option<StoreError> {
    let known = TEXTS_WITHOUT_CODE.iter().find(|(part, _)| text.contains(part));
    known.map(|(_, cause)| *cause)
}

/// The error texts for the case that the user has no permission for a command in the script. Redis up to version 7.0
/// uses the first text, and later versions use the second text. Redis has no error code for this case.
pub(super) const ACL_ERRORS: [&str; 2] =
    ["The user executing the script can't", "ACL failure in script"];

/// Returns the error code of a command that failed in the script. Redis sends such an error inside an error reply
/// with the code `ERR`.
///
/// Before Redis 7, the original error is at the end of the text: `ERR Error running script (…): @user_script: 7:
/// -READONLY …`.
fn script_error_code(rest: &str) -> Option<&str> {
    if ACL_ERRORS.iter().any(|text| rest.contains(text)) {
        return Some("NOPERM");
    }
    let (_, error) = rest.rsplit_once(": -")?;
    error.split(' ').next()
}
