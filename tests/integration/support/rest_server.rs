//! A server with the REST interface that Upstash documents. It forwards commands to a real Redis server.

use std::{
    ops::Deref,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_rateguard::{RateGuard, RateGuardBuilder, builder::Upstash};
use redis::Value;
use rustls::ServerConfig;
use serde_json::json;

use super::{
    TEST_TIMEOUT,
    http_server::{HttpServer, Request, response},
    redis_server::free_port,
};

/// The access token of the server. The test program does not contain this text in any other place. Therefore an output
/// that contains the text proves that the token has leaked.
pub const TOKEN: &str = "Kp3-sentinel-token-8Rv=";

pub struct RestServer {
    http: HttpServer,
    commands: Arc<Mutex<Vec<String>>>,
}

impl RestServer {
    /// Starts a server that forwards commands to the Redis server at this URL.
    pub fn start(redis: &str) -> Self {
        Self::start_at(free_port(), None, redis)
    }

    pub fn start_at(port: u16, tls: Option<ServerConfig>, redis: &str) -> Self {
        let commands = Arc::new(Mutex::default());
        let (received, redis) = (Arc::clone(&commands), redis.to_owned());
        let http = HttpServer::start_at(port, tls, move |request| {
            let (status, body) = match run(request, port, &redis, &received) {
                Ok(result) => ("200 OK", json!({ "result": result })),
                Err((status, error)) => (status, json!({ "error": error })),
            };
            response(status, "Content-Type: application/json\r\n", &body.to_string())
        });
        Self { http, commands }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Returns a guard on this server. The guard has no denial cache. Its deadline is [`TEST_TIMEOUT`], which is long
    /// enough for slow machines.
    pub fn guard(&self, prefix: &str) -> RateGuard {
        self.settings(prefix).deadline(TEST_TIMEOUT).build().unwrap()
    }

    /// Returns the settings of a guard on this server. The denial cache is disabled, and the deadline has its default
    /// value.
    pub fn settings(&self, prefix: &str) -> RateGuardBuilder<Upstash> {
        let settings = RateGuard::upstash(self.url(), TOKEN).prefix(prefix);
        settings.denial_cache_ttl(Duration::ZERO)
    }

    /// Returns the names of all commands that the server has received.
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap().clone()
    }
}

impl Deref for RestServer {
    type Target = HttpServer;

    fn deref(&self) -> &HttpServer {
        &self.http
    }
}

/// The HTTP status and the error text with which the server rejects an HTTP request.
type Rejection = (&'static str, String);

/// Takes the command from an HTTP request, runs it on Redis, and returns the reply as JSON.
fn run(
    request: &Request,
    port: u16,
    redis: &str,
    received: &Mutex<Vec<String>>,
) -> Result<serde_json::Value, Rejection> {
    let reject = |status, error: &str| Err((status, error.to_owned()));
    if request.line != "POST / HTTP/1.1" {
        return reject("405 Method Not Allowed", "ERR a command is posted to the root");
    }
    if request.field("host") != Some(&*format!("127.0.0.1:{port}")) {
        return reject("421 Misdirected Request", "ERR there is no such database");
    }
    if request.field("authorization") != Some(&*format!("Bearer {TOKEN}")) {
        return reject("401 Unauthorized", "WRONGPASS invalid or missing auth token");
    }
    let words: Option<Vec<String>> = serde_json::from_slice(&request.body).ok().and_then(words);
    let Some([name, arguments @ ..]) = words.as_deref() else {
        return reject("400 Bad Request", "ERR failed to parse command");
    };
    received.lock().unwrap().push(name.clone());
    let unreachable = |_| ("503 Service Unavailable", "ERR Redis is unreachable".to_owned());
    let client = redis::Client::open(redis).unwrap();
    let mut connection = client.get_connection().map_err(unreachable)?;
    match redis::cmd(name).arg(arguments).query::<Value>(&mut connection) {
        Ok(value) => Ok(as_json(value)),
        Err(error) => {
            let (word, rest) = (error.code().unwrap_or("ERR"), error.detail().unwrap_or_default());
            reject("400 Bad Request", &format!("{word} {rest}"))
        }
    }
}

/// Returns the words of a command. Returns `None` if the command is not an array of strings and numbers.
fn words(command: serde_json::Value) -> Option<Vec<String>> {
    let word = |word: &serde_json::Value| match word {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    command.as_array()?.iter().map(word).collect()
}

fn as_json(value: Value) -> serde_json::Value {
    match value {
        Value::Int(number) => json!(number),
        Value::Array(values) => values.into_iter().map(as_json).collect(),
        Value::BulkString(text) => json!(String::from_utf8_lossy(&text)),
        Value::SimpleString(text) => json!(text),
        Value::Okay => json!("OK"),
        _ => serde_json::Value::Null,
    }
}
