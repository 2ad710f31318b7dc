//! Tests keys in the body of a request, on two servers with a common Redis.

mod attackers;
mod denied_early;
mod handed_on;
mod logins;
mod operators;
mod settings;

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use actix_rateguard::{Limit, RateGuard, RateLimit};
use actix_web::web;

use crate::support::{
    redis_server::RedisServer,
    server::{Response, Server, post},
    wire,
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Starts two servers with a common Redis. The function `configure` gets the guard of each server.
fn servers(
    redis: &RedisServer,
    prefix: &str,
    configure: fn(&RateGuard, &mut web::ServiceConfig),
) -> [Server; 2] {
    [(); 2].map(|()| {
        let guard = redis.guard(prefix);
        Server::start(move |app| {
            crate::support::app::set_attribute_guard(&guard);
            configure(&guard, app);
        })
    })
}

/// Adds a resource at `/` under these limits that returns its whole body.
fn echo(guard: &RateGuard, app: &mut web::ServiceConfig, limits: impl IntoIterator<Item = Limit>) {
    let mut limits = limits.into_iter();
    let first = RateLimit::new(guard, limits.next().expect("a limit"));
    let middleware = limits.fold(first, RateLimit::and);
    let body = web::post().to(async |body: web::Bytes| body);
    app.service(web::resource("/").wrap(middleware).route(body));
}

/// Returns a limit by the address, and a limit by the account in a JSON body.
fn address_and_account() -> [Limit; 2] {
    [
        Limit::new("3/hour").name("address"),
        Limit::new("2/hour").key("json:/email").missing_key("deny").name("account"),
    ]
}

fn login(server: &Server, account: &str) -> Response {
    post(&server.url("/"), JSON, &format!(r#"{{"email":"{account}"}}"#))
}

/// Sends the head of a POST request with a JSON body on a new connection. `fields` are further header fields.
fn send_head(server: SocketAddr, fields: &str) -> TcpStream {
    let mut stream = wire::connect(server);
    write!(stream, "POST / HTTP/1.1\r\nHost: test\r\nContent-Type: {JSON}\r\n{fields}\r\n\r\n")
        .unwrap();
    stream
}
