//! Maps error replies of Redis to [`StoreError`].

use super::StoreError;

/// Returns the cause of an error. `code` is the first word of the error text, and `rest` is the text after the first
/// word. The result does not contain the text, because servers quote arguments in error texts.
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

/// Returns the cause of an error that the script has caught and returned as a text. Before Redis 7, such a text begins
/// with a position in the script: `@user_script: 7: -READONLY …`.
#[cfg(feature = "redis")]
pub(super) fn cause_of_text(text: &str) -> StoreError {
    let error = match text.strip_prefix('@') {
        Some(_) => text.rsplit_once(": -").map_or(text, |(_, error)| error),
        None => text.strip_prefix('-').unwrap_or(text),
    };
    if ACL_ERRORS.iter().any(|text| error.contains(text)) {
        return StoreError::Permission;
    }
    let (code, rest) = error.split_once(' ').unwrap_or((error, ""));
    cause(code, Some(rest))
}

/// The texts of a missing permission in a script: the first up to Redis 7.0, the second in later versions. Redis has no
/// error code for this case.
const ACL_ERRORS: [&str; 2] = ["The user executing the script can't", "ACL failure in script"];

/// Returns the code of an error of a command in the script. Redis sends such an error inside an `ERR` reply.
///
/// Before Redis 7, the original error is at the end: `ERR Error running script (…): @user_script: 7: -READONLY …`.
fn script_error_code(rest: &str) -> Option<&str> {
    if ACL_ERRORS.iter().any(|text| rest.contains(text)) {
        return Some("NOPERM");
    }
    let (_, error) = rest.rsplit_once(": -")?;
    error.split(' ').next()
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;

    #[test]
    fn caught_error_texts_of_all_redis_versions_are_classified() {
        for (text, expected) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", StoreError::OutOfMemory),
            ("-OOM command not allowed when used memory > 'maxmemory'.", StoreError::OutOfMemory),
            (
                "@user_script: 36: -OOM command not allowed when used memory > 'maxmemory'.",
                StoreError::OutOfMemory,
            ),
            ("WRONGTYPE this key was not written by RateGuard", StoreError::InvalidReply),
            (
                "ERR ACL failure in script: User limiter has no permissions to run the 'zadd' command",
                StoreError::Permission,
            ),
            (
                "@user_script: 7: @user_script: 7: The user executing the script can't run this command or subcommand",
                StoreError::Permission,
            ),
            ("READONLY You can't write against a read only replica.", StoreError::NotReady),
            ("", StoreError::InvalidReply),
        ] {
            assert_eq!(cause_of_text(text), expected, "{text}");
        }
    }
}
