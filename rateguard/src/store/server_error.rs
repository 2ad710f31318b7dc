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
