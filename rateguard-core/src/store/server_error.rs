//! Converts error replies of Redis to [`StoreError`].

use super::StoreError;

/// Returns the [`StoreError`] for an error reply. `code` is the first word of the error text, and `rest` is the text
/// after this word. The result does not contain the text, because servers quote arguments in error texts.
pub(super) fn cause(code: &str, rest: Option<&str>) -> StoreError {
    let code = if code == "ERR" { rest.and_then(script_error_code).unwrap_or(code) } else { code };
    match code {
        "NOAUTH" | "WRONGPASS" => StoreError::Authentication,
        "NOPERM" => StoreError::Permission,
        "LOADING" | "MASTERDOWN" | "MISCONF" | "NOREPLICAS" | "READONLY" | "TRYAGAIN" => {
            StoreError::NotReady
        }
        "ASK" | "CLUSTERDOWN" | "MOVED" => StoreError::Cluster,
        "CROSSSLOT" => StoreError::CrossSlot,
        "BUSY" => StoreError::Busy,
        "OOM" => StoreError::OutOfMemory,
        _ => StoreError::InvalidReply,
    }
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
