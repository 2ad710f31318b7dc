//! Upstash's REST interface, as its documentation has it, in front of a real Redis.

use std::{
    ops::Deref,
    sync::{Arc, Mutex},
    time::Duration,
};

use rateguard::{RateGuard, RateGuardBuilder};
use redis::Value;
use rustls::ServerConfig;
use serde_json::json;

use super::{
    PATIENCE,
    http_server::{HttpServer, Request, response},
    redis_server::free_port,
};

/// Nothing else in this program has it in it.
pub const TOKEN: &str = "Kp3-sentinel-token-8Rv=";

pub struct RestServer {
    http: HttpServer,
    commands: Arc<Mutex<Vec<String>>>,
}

impl RestServer {
    /// In front of the Redis at this URL.
    pub fn start(redis: &str) -> Self {
        Self::start_at(free_port(), None, redis)
    }

    pub fn start_at(port: u16, tls: Option<ServerConfig>, redis: &str) -> Self {
        let commands = Arc::new(Mutex::default());
        let (seen, redis) = (Arc::clone(&commands), redis.to_owned());
        let http = HttpServer::start_at(port, tls, move |request| {
            let (status, body) = match answer(request, port, &redis, &seen) {
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

    /// A guard on this server that answers however slow the machine is.
    pub fn guard(&self, prefix: &str) -> RateGuard {
        self.settings(prefix).deadline(PATIENCE).build().unwrap()
    }

    /// A guard on this server with the usual deadline, that asks it for each check.
    pub fn settings(&self, prefix: &str) -> RateGuardBuilder {
        let settings = RateGuard::upstash(self.url(), TOKEN).prefix(prefix);
        settings.remember_denials(Duration::ZERO)
    }

    /// The first words of the commands so far.
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

type Refusal = (&'static str, String);

fn answer(
    request: &Request,
    port: u16,
    redis: &str,
    seen: &Mutex<Vec<String>>,
) -> Result<serde_json::Value, Refusal> {
    let refuse = |status, error: &str| Err((status, error.to_owned()));
    if request.line != "POST / HTTP/1.1" {
        return refuse("405 Method Not Allowed", "ERR a command is posted to the root");
    }
    if request.field("host") != Some(&*format!("127.0.0.1:{port}")) {
        return refuse("421 Misdirected Request", "ERR there is no such database");
    }
    if request.field("authorization") != Some(&*format!("Bearer {TOKEN}")) {
        return refuse("401 Unauthorized", "WRONGPASS invalid or missing auth token");
    }
    let words: Option<Vec<String>> = serde_json::from_slice(&request.body).ok().and_then(words);
    let Some([name, arguments @ ..]) = words.as_deref() else {
        return refuse("400 Bad Request", "ERR failed to parse command");
    };
    seen.lock().unwrap().push(name.clone());
    let away = |_| ("503 Service Unavailable", "ERR away".to_owned());
    let client = redis::Client::open(redis).unwrap();
    let mut connection = client.get_connection().map_err(away)?;
    match redis::cmd(name).arg(arguments).query::<Value>(&mut connection) {
        Ok(value) => Ok(as_json(value)),
        Err(error) => {
            let (word, rest) = (error.code().unwrap_or("ERR"), error.detail().unwrap_or_default());
            refuse("400 Bad Request", &format!("{word} {rest}"))
        }
    }
}

/// The words of a command, if it is an array of texts and numbers.
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
