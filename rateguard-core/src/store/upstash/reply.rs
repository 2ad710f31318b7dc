//! What the REST interface answers.

use hyper::{StatusCode, body::Bytes};
use serde_json::{Map, Value};

use super::StoreError;
use crate::store::server_error::cause;

/// An answer, read to its end.
pub(super) struct StoreFuture {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The server does not know the script.
    NoScript,
    Of(StoreError),
}

impl StoreFuture {
    /// The integers that the script returned. Nothing of an error's text is kept: servers quote arguments in it.
    pub(super) fn integers(&self) -> Result<Vec<i64>, Failure> {
        match self.status.as_u16() {
            200 | 400 => self.result(),
            401 => Err(Failure::Of(StoreError::Authentication)),
            403 => Err(Failure::Of(StoreError::Permission)),
            429 => Err(Failure::Of(StoreError::Throttled)),
            500..=599 => Err(Failure::Of(StoreError::NotReady)),
            // Not the server that we were to ask. Whereto it sends us is not for our token.
            _ => Err(Failure::Of(StoreError::InvalidReply)),
        }
    }

    fn result(&self) -> Result<Vec<i64>, Failure> {
        let unintelligible = Failure::Of(StoreError::InvalidReply);
        let answer: Map<String, Value> =
            serde_json::from_slice(&self.body).map_err(|_| unintelligible)?;
        match (answer.get("error"), answer.get("result")) {
            (Some(Value::String(error)), None) => Err(failure(error)),
            (None, Some(Value::Array(numbers))) if self.status == StatusCode::OK => {
                numbers.iter().map(Value::as_i64).collect::<Option<_>>().ok_or(unintelligible)
            }
            _ => Err(unintelligible),
        }
    }
}

fn failure(error: &str) -> Failure {
    let (word, rest) = error.split_once(' ').unwrap_or((error, ""));
    Failure::Of(match word {
        "NOSCRIPT" => return Failure::NoScript,
        // `max requests limit exceeded`, `max daily request limit exceeded`, `max concurrent connections exceeded`.
        "ERR"
            if rest.starts_with("max ")
                && rest.contains(" exceeded")
                && !rest.contains(" size ") =>
        {
            StoreError::Throttled
        }
        "ERR" if rest.contains("capacity quota exceeded") => StoreError::OutOfMemory,
        _ => cause(word, Some(rest)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<Vec<i64>, Failure> {
        let status = StatusCode::from_u16(status).unwrap();
        StoreFuture { status, body: Bytes::copy_from_slice(body.as_bytes()) }.integers()
    }

    #[test]
    fn only_integers_are_a_result() {
        let now = 1_700_000_000_000_000;
        assert_eq!(read(200, &format!(r#"{{"result":[1,{now},-1]}}"#)), Ok(vec![1, now, -1]));
        for (status, body) in [
            (200, r#"{"result":["1",2]}"#),
            (200, r#"{"result":[1.5]}"#),
            (200, r#"{"result":[1e3]}"#),
            (200, r#"{"result":[9223372036854775808]}"#),
            (200, r#"{"result":[null]}"#),
            (200, r#"{"result":[[1]]}"#),
            (200, r#"{"result":1}"#),
            (200, r#"{"result":null}"#),
            (200, r#"{"result":[1],"error":"ERR"}"#),
            (200, r#"[{"result":[1]}]"#),
            (200, r#"{"result":[1]} x"#),
            (200, "{}"),
            (200, ""),
            (200, "<html>"),
            (400, r#"{"result":[1]}"#),
            (400, r#"{"error":7}"#),
            (201, r#"{"result":[1]}"#),
            (302, r#"{"result":[1]}"#),
            (404, r#"{"error":"NOSCRIPT"}"#),
        ] {
            assert_eq!(read(status, body), Err(Failure::Of(StoreError::InvalidReply)), "{body}");
        }
    }

    #[test]
    fn what_servers_say_is_told_in_our_words() {
        for (status, text, expected) in [
            (400, "WRONGPASS invalid password", StoreError::Authentication),
            (401, "Unauthorized", StoreError::Authentication),
            (
                400,
                "NOPERM this user has no permissions to run the 'evalsha' command",
                StoreError::Permission,
            ),
            (403, "Forbidden", StoreError::Permission),
            (400, "READONLY You can't write against a read only replica.", StoreError::NotReady),
            (
                400,
                "OOM command not allowed when used memory > 'maxmemory'.",
                StoreError::OutOfMemory,
            ),
            (
                400,
                "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -OOM command",
                StoreError::OutOfMemory,
            ),
            (400, "ERR DB capacity quota exceeded", StoreError::OutOfMemory),
            (
                400,
                "ERR max requests limit exceeded. Limit: 500000, Usage: 500000.",
                StoreError::Throttled,
            ),
            (400, "ERR max daily request limit exceeded. Limit: 10000", StoreError::Throttled),
            (400, "ERR max concurrent connections exceeded", StoreError::Throttled),
            (400, "ERR max request size exceeded", StoreError::InvalidReply),
            (429, "Too many requests", StoreError::Throttled),
            (500, "", StoreError::NotReady),
            (503, "NOSCRIPT", StoreError::NotReady),
            (400, "ERR wrong number of arguments", StoreError::InvalidReply),
            (400, "", StoreError::InvalidReply),
        ] {
            let body = serde_json::json!({ "error": text }).to_string();
            assert_eq!(read(status, &body), Err(Failure::Of(expected)), "{text}");
        }
        let unknown = r#"{"error":"NOSCRIPT No matching script. Please use EVAL."}"#;
        assert_eq!(read(400, unknown), Err(Failure::NoScript));
        assert_eq!(read(200, unknown), Err(Failure::NoScript));
    }
}
