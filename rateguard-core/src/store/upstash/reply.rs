//! Decodes the replies of the Upstash REST API.

use hyper::{StatusCode, body::Bytes};
use serde_json::{Map, Value};

use crate::store::{StoreError, server_error::cause};

/// A complete HTTP response.
pub(super) struct RestReply {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// The reason why a command has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The script is not in the cache of the server.
    NoScript,
    Store(StoreError),
}

impl RestReply {
    /// Returns the integers in the result of the script. An error does not contain the error text, because servers
    /// quote arguments in error texts.
    pub(super) fn integers(&self) -> Result<Vec<i64>, Failure> {
        self.list(Value::as_i64)
    }

    /// Returns the texts in the result of the script of a document. The errors are those of
    /// [`integers`](Self::integers).
    pub(super) fn texts(&self) -> Result<Vec<String>, Failure> {
        self.list(|value| value.as_str().map(str::to_owned))
    }

    fn list<T>(&self, decode: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, Failure> {
        let invalid = Failure::Store(StoreError::InvalidReply);
        let reply = self.json().map_err(Failure::Store)?;
        match (reply.get("error"), reply.get("result")) {
            (Some(Value::String(error)), None) => Err(failure(error)),
            (None, Some(Value::Array(values))) if self.status == StatusCode::OK => {
                values.iter().map(decode).collect::<Option<_>>().ok_or(invalid)
            }
            _ => Err(invalid),
        }
    }

    /// Returns an error if the reply to an empty command shows that the server does not accept the token, or that it
    /// has no REST interface of Upstash. Any error text about the command itself is fine.
    pub(super) fn accepts_token(&self) -> Result<(), StoreError> {
        let reply = self.json()?;
        match reply.get("error") {
            Some(Value::String(error))
                if failure(error) == Failure::Store(StoreError::Authentication) =>
            {
                Err(StoreError::Authentication)
            }
            Some(Value::String(_)) => Ok(()),
            _ if reply.contains_key("result") => Ok(()),
            _ => Err(StoreError::InvalidReply),
        }
    }

    /// Returns the JSON object in the body. Returns an error if the HTTP status says that the command did not reach
    /// Redis.
    fn json(&self) -> Result<Map<String, Value>, StoreError> {
        match self.status.as_u16() {
            200 | 400 => serde_json::from_slice(&self.body).map_err(|_| StoreError::InvalidReply),
            401 => Err(StoreError::Authentication),
            403 => Err(StoreError::Permission),
            429 => Err(StoreError::Throttled),
            500..=599 => Err(StoreError::NotReady(None)),
            // Every status that is not listed above is an error, for example a redirect. The client does not follow
            // redirects, because it must not send the token to another server.
            _ => Err(StoreError::InvalidReply),
        }
    }
}

fn failure(error: &str) -> Failure {
    let (code, rest) = error.split_once(' ').unwrap_or((error, ""));
    Failure::Store(match code {
        "NOSCRIPT" => return Failure::NoScript,
        // These are the texts of Upstash for an exceeded limit: `max requests limit exceeded`, `max daily request
        // limit exceeded`, `max concurrent connections exceeded`.
        "ERR"
            if rest.starts_with("max ")
                && rest.contains(" exceeded")
                && !rest.contains(" size ") =>
        {
            StoreError::Throttled
        }
        "ERR" if rest.contains("capacity quota exceeded") => StoreError::OutOfMemory,
        _ => cause(code, Some(rest)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<Vec<i64>, Failure> {
        let status = StatusCode::from_u16(status).unwrap();
        RestReply { status, body: Bytes::copy_from_slice(body.as_bytes()) }.integers()
    }

    #[test]
    fn only_integer_arrays_are_results() {
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
            assert_eq!(read(status, body), Err(Failure::Store(StoreError::InvalidReply)), "{body}");
        }
    }

    #[test]
    fn reply_to_empty_command_shows_whether_the_token_is_accepted() {
        for (status, body, expected) in [
            (400, r#"{"error":"ERR failed to parse command"}"#, Ok(())),
            (200, r#"{"result":null}"#, Ok(())),
            (401, r#"{"error":"Unauthorized"}"#, Err(StoreError::Authentication)),
            (400, r#"{"error":"WRONGPASS invalid password"}"#, Err(StoreError::Authentication)),
            (503, "", Err(StoreError::NotReady(None))),
            (429, "", Err(StoreError::Throttled)),
            (404, "<html>", Err(StoreError::InvalidReply)),
            (200, "<html>", Err(StoreError::InvalidReply)),
            (200, "{}", Err(StoreError::InvalidReply)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let reply = RestReply { status, body: Bytes::copy_from_slice(body.as_bytes()) };
            assert_eq!(reply.accepts_token(), expected, "{status} {body}");
        }
    }

    #[test]
    fn error_replies_are_classified() {
        for (status, text, expected) in [
            (400, "WRONGPASS invalid password", StoreError::Authentication),
            (401, "Unauthorized", StoreError::Authentication),
            (
                400,
                "NOPERM this user has no permissions to run the 'evalsha' command",
                StoreError::Permission,
            ),
            (403, "Forbidden", StoreError::Permission),
            (
                400,
                "READONLY You can't write against a read only replica.",
                StoreError::NotReady(None),
            ),
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
            (500, "", StoreError::NotReady(None)),
            (503, "NOSCRIPT", StoreError::NotReady(None)),
            (400, "ERR wrong number of arguments", StoreError::InvalidReply),
            (400, "ERR Command is not available: 'EVALSHA'.", StoreError::UnknownCommand),
            (400, "ERR unknown command 'EVALSHA'", StoreError::UnknownCommand),
            (400, "", StoreError::InvalidReply),
        ] {
            let body = serde_json::json!({ "error": text }).to_string();
            assert_eq!(read(status, &body), Err(Failure::Store(expected)), "{text}");
        }
        let no_script = r#"{"error":"NOSCRIPT No matching script. Please use EVAL."}"#;
        assert_eq!(read(400, no_script), Err(Failure::NoScript));
        assert_eq!(read(200, no_script), Err(Failure::NoScript));
    }
}
