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

/// Before Redis 7 an error in a script is told as an `ERR` of the script's, with the error itself at its end:
/// `ERR Error running script (…): @user_script: 7: -READONLY …`.
fn of_a_script(rest: &str) -> Option<&str> {
    let (_, error) = rest.rsplit_once(": -")?;
    error.split(' ').next()
}
