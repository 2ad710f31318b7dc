//! Handles the requests of the REST interface: a command, a pipeline of commands, or a transaction.
//!
//! The source is the documentation of the REST API of Upstash Redis. A command in the path (`/set/key/value`), replies
//! in the format RESP2, `/monitor` and `/subscribe` are missing, because neither RateGuard nor the tests use them.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use redis::{Client, ConnectionLike as _, RedisError, ServerError, Value};
use serde_json::{Value as Json, json};

use super::http_server::{Request, response};

const BAD_REQUEST: &str = "400 Bad Request";

/// The database that a REST server gives access to.
pub(super) struct Database {
    pub(super) redis: Client,
    pub(super) token: String,
    /// The only value of `Host` that the server accepts.
    pub(super) host: String,
    /// The names of all commands that the server has received.
    pub(super) commands: Arc<Mutex<Vec<String>>>,
}

/// The HTTP status and the error text with which the server rejects an HTTP request.
type Rejection = (&'static str, String);

/// The name and the arguments of a command.
type Command = Vec<String>;

/// How strings of a reply are encoded in JSON.
#[derive(Clone, Copy)]
enum Encoding {
    /// Bytes that are not UTF-8 are replaced.
    Text,
    Base64,
}

impl Database {
    /// Returns the HTTP response to a request.
    pub(super) fn respond(&self, request: &Request) -> String {
        let (status, body) = match self.handle(request) {
            Ok(body) => ("200 OK", body),
            Err((status, error)) => (status, json!({ "error": error })),
        };
        response(status, "Content-Type: application/json\r\n", &body.to_string())
    }

    fn handle(&self, request: &Request) -> Result<Json, Rejection> {
        let path = self.check(request)?;
        let encoding = match request.field("upstash-encoding") {
            Some("base64") => Encoding::Base64,
            _ => Encoding::Text,
        };
        let body = serde_json::from_slice(&request.body).ok();
        match path {
            "/" => {
                let command = body.and_then(command).ok_or_else(unparsable)?;
                self.run(&command, encoding)
            }
            "/pipeline" => {
                let pipeline = body.and_then(commands).ok_or_else(unparsable)?;
                self.run_pipeline(&pipeline, encoding)
            }
            "/multi-exec" => {
                let transaction = body.and_then(commands).ok_or_else(unparsable)?;
                self.run_transaction(&transaction, encoding)
            }
            _ => reject(BAD_REQUEST, "ERR commands in the path are not supported here"),
        }
    }

    /// Returns the path of a request if the method, the host and the token are right.
    fn check<'a>(&self, request: &'a Request) -> Result<&'a str, Rejection> {
        let mut words = request.line.split(' ');
        let (Some(method), Some(path), Some("HTTP/1.1")) =
            (words.next(), words.next(), words.next())
        else {
            return reject(BAD_REQUEST, "ERR malformed request");
        };
        if !matches!(method, "HEAD" | "GET" | "POST" | "PUT") {
            return reject("405 Method Not Allowed", "ERR unsupported HTTP method");
        }
        if request.field("host") != Some(&*self.host) {
            return reject("421 Misdirected Request", "ERR there is no such database");
        }
        if request.field("authorization") != Some(&*format!("Bearer {}", self.token)) {
            return reject("401 Unauthorized", "WRONGPASS invalid or missing auth token");
        }
        Ok(path)
    }

    fn run(&self, command: &Command, encoding: Encoding) -> Result<Json, Rejection> {
        self.record(command);
        match call(&mut self.connect()?, command)? {
            Value::ServerError(error) => Err((BAD_REQUEST, error_text(&error))),
            value => Ok(result(value, encoding)),
        }
    }

    /// Runs commands in their order. The response has a result or an error for each command.
    fn run_pipeline(&self, commands: &[Command], encoding: Encoding) -> Result<Json, Rejection> {
        let mut connection = self.connect()?;
        let run = |command| {
            self.record(command);
            Ok(result(call(&mut connection, command)?, encoding))
        };
        commands.iter().map(run).collect()
    }

    /// Runs commands as one transaction. The response has a result or an error for each command. If Redis rejects a
    /// command before it runs the transaction, it runs none of the commands, and the response has a single error.
    fn run_transaction(&self, commands: &[Command], encoding: Encoding) -> Result<Json, Rejection> {
        let mut connection = self.connect()?;
        call(&mut connection, &["MULTI".to_owned()])?;
        for command in commands {
            self.record(command);
            call(&mut connection, command)?;
        }
        match call(&mut connection, &["EXEC".to_owned()])? {
            Value::Array(replies) => {
                Ok(replies.into_iter().map(|reply| result(reply, encoding)).collect())
            }
            Value::ServerError(error) => Err((BAD_REQUEST, error_text(&error))),
            _ => reject(BAD_REQUEST, "ERR the transaction has no replies"),
        }
    }

    fn record(&self, command: &Command) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.extend(command.first().cloned());
    }

    /// Opens a new connection, so that no state of a connection outlives an HTTP request.
    fn connect(&self) -> Result<redis::Connection, Rejection> {
        self.redis.get_connection().map_err(|_| unreachable_redis())
    }
}

fn reject<T>(status: &'static str, error: &str) -> Result<T, Rejection> {
    Err((status, error.to_owned()))
}

fn unparsable() -> Rejection {
    (BAD_REQUEST, "ERR failed to parse command".to_owned())
}

fn unreachable_redis() -> Rejection {
    ("503 Service Unavailable", "ERR Redis is unreachable".to_owned())
}

/// Returns the words of a command. Returns `None` if the command is not an array of at least one string, number or
/// Boolean.
fn command(command: Json) -> Option<Command> {
    let word = |word: &Json| match word {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(word.to_string()),
        _ => None,
    };
    let words: Command = command.as_array()?.iter().map(word).collect::<Option<_>>()?;
    (!words.is_empty()).then_some(words)
}

/// Returns the commands of a pipeline or a transaction.
fn commands(commands: Json) -> Option<Vec<Command>> {
    let Json::Array(commands) = commands else { return None };
    commands.into_iter().map(command).collect()
}

/// Runs a command. An error that Redis replies is a value, because it is an error of one command only.
fn call(connection: &mut redis::Connection, command: &[String]) -> Result<Value, Rejection> {
    let mut packed = redis::Cmd::new();
    packed.arg(command);
    connection.req_command(&packed).or_else(|error: RedisError| {
        // A lost connection is not an error of the command.
        ServerError::try_from(error).map(Value::ServerError).map_err(|_| unreachable_redis())
    })
}

/// Returns the object for a reply, which contains either a result or an error.
fn result(value: Value, encoding: Encoding) -> Json {
    match value {
        Value::ServerError(error) => json!({ "error": error_text(&error) }),
        // This text is never encoded.
        Value::Okay => json!({ "result": "OK" }),
        value => json!({ "result": as_json(value, encoding) }),
    }
}

fn error_text(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

fn as_json(value: Value, encoding: Encoding) -> Json {
    let string = |bytes: &[u8]| match encoding {
        Encoding::Text => json!(String::from_utf8_lossy(bytes)),
        Encoding::Base64 => json!(STANDARD.encode(bytes)),
    };
    match value {
        Value::Int(number) => json!(number),
        Value::Array(values) => values.into_iter().map(|value| as_json(value, encoding)).collect(),
        Value::BulkString(bytes) => string(&bytes),
        Value::SimpleString(text) => string(text.as_bytes()),
        Value::Okay => string(b"OK"),
        Value::ServerError(error) => string(error_text(&error).as_bytes()),
        _ => Json::Null,
    }
}
