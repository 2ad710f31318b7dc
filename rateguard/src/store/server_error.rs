//! What Redis says when it does not do what it is asked, in our words.

use super::StoreError;

/// The cause that an error's first word tells; `rest` is what follows it. Nothing of it is kept: servers quote arguments.
pub(super) fn cause(word: &str, rest: Option<&str>) -> StoreError {
    let word = if word == "ERR" { rest.and_then(of_a_script).unwrap_or(word) } else { word };
    match word {
        "NOAUTH" | "WRONGPASS" => StoreError::Authentication,
        "NOPERM" => StoreError::Permission,
        "LOADING" | "MASTERDOWN" | "MISCONF" | "NOREPLICAS" | "READONLY" | "TRYAGAIN" => {
            StoreError::NotReady
        }
        "ASK" | "CLUSTERDOWN" | "MOVED" => StoreError::Cluster,
        "CROSSSLOT" => StoreError::Apart,
        "BUSY" => StoreError::Busy,
        "OOM" => StoreError::OutOfMemory,
        _ => StoreError::Unintelligible,
    }
}

/// The cause that an error text stands for which a script has caught. Servers before Redis 7 put a place in the script before
/// the error: `@user_script: 7: -READONLY …`.
#[cfg(feature = "redis")]
pub(super) fn cause_of_text(text: &str) -> StoreError {
    let error = match text.strip_prefix('@') {
        Some(_) => text.rsplit_once(": -").map_or(text, |(_, error)| error),
        None => text.strip_prefix('-').unwrap_or(text),
    };
    if NOT_PERMITTED.iter().any(|known| error.contains(known)) {
        return StoreError::Permission;
    }
    let (word, rest) = error.split_once(' ').unwrap_or((error, ""));
    cause(word, Some(rest))
}

/// How servers say in a script what the user may not do, until Redis 7.0 and since.
const NOT_PERMITTED: [&str; 2] = ["The user executing the script can't", "ACL failure in script"];

/// Before Redis 7 an error in a script is told as an `ERR` of the script's, with the error itself at its end:
/// `ERR Error running script (…): @user_script: 7: -READONLY …`. What the user may not do has no word of its own in any
/// version.
fn of_a_script(rest: &str) -> Option<&str> {
    if NOT_PERMITTED.iter().any(|text| rest.contains(text)) {
        return Some("NOPERM");
    }
    let (_, error) = rest.rsplit_once(": -")?;
    error.split(' ').next()
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;

    #[test]
    fn caught_errors_are_classified_in_the_form_of_every_server() {
        for (text, expected) in [
            ("OOM command not allowed when used memory > 'maxmemory'.", StoreError::OutOfMemory),
            ("-OOM command not allowed when used memory > 'maxmemory'.", StoreError::OutOfMemory),
            (
                "@user_script: 36: -OOM command not allowed when used memory > 'maxmemory'.",
                StoreError::OutOfMemory,
            ),
            ("WRONGTYPE this key was not written by RateGuard", StoreError::Unintelligible),
            (
                "ERR ACL failure in script: User limiter has no permissions to run the 'zadd' command",
                StoreError::Permission,
            ),
            (
                "@user_script: 7: @user_script: 7: The user executing the script can't run this command or subcommand",
                StoreError::Permission,
            ),
            ("READONLY You can't write against a read only replica.", StoreError::NotReady),
            ("", StoreError::Unintelligible),
        ] {
            assert_eq!(cause_of_text(text), expected, "{text}");
        }
    }
}
