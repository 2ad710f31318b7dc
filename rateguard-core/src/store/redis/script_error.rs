//! Classifies the errors that the script catches and returns as texts.

use crate::store::{
    StoreError,
    server_error::{ACL_ERRORS, cause, cause_without_code},
};

/// Returns the [`StoreError`] for an error that the script has caught and returned as a text. Before Redis 7, such a
/// text begins with a position in the script: `@user_script: 7: -READONLY …`.
pub(super) fn cause_of_text(text: &str) -> StoreError {
    let error = match text.strip_prefix('@') {
        Some(_) => text.rsplit_once(": -").map_or(text, |(_, error)| error),
        None => text.strip_prefix('-').unwrap_or(text),
    };
    if ACL_ERRORS.iter().any(|text| error.contains(text)) {
        return StoreError::Permission;
    }
    if let Some(cause) = cause_without_code(error) {
        return cause;
    }
    let (code, rest) = error.split_once(' ').unwrap_or((error, ""));
    cause(code, Some(rest))
}

#[cfg(test)]
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
            ("WRONGTYPE this key was not written by RateGuard", StoreError::ForeignValue),
            (
                "ERR ACL failure in script: User limiter has no permissions to run the 'zadd' command",
                StoreError::Permission,
            ),
            (
                "@user_script: 7: @user_script: 7: The user executing the script can't run this command or subcommand",
                StoreError::Permission,
            ),
            ("READONLY You can't write against a read only replica.", StoreError::NotReady(None)),
            (
                "@user_script: 7: Unknown Redis command called from Lua script",
                StoreError::UnknownCommand,
            ),
            ("ERR Unknown Redis command called from script", StoreError::UnknownCommand),
            ("", StoreError::InvalidReply),
        ] {
            assert_eq!(cause_of_text(text), expected, "{text}");
        }
    }
}
