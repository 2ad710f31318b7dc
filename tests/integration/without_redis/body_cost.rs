//! What a request costs by the length of its body, over a real connection.

use actix_web::web;
use rateguard::{BodyCost, RateGuard, RateLimit, RequestCost, key, rate_limit};

use crate::support::{
    server::Server,
    wire::{self, Answer},
};

#[actix_web::post("/attribute")]
#[rate_limit(
    rate = "10/hour",
    key = "header:X-Client",
    cost = |req| BodyCost::per_bytes(1_024).cost(req),
    name = "attribute"
)]
async fn attribute(body: web::Bytes) -> String {
    body.len().to_string()
}

fn server() -> Server {
    let guard = RateGuard::in_memory();
    Server::start(move |app| {
        let limit = |name: &'static str, cost: BodyCost| {
            RateLimit::new(&guard, "10/hour").name(name).by(key::header("X-Client")).cost(cost)
        };
        let handler = async |body: web::Bytes| body.len().to_string();
        let default = limit("default", BodyCost::per_bytes(1_024));
        let unknown = limit("unknown", BodyCost::per_bytes(1_024).unknown_length(4));
        app.app_data(guard.clone())
            .service(attribute)
            .service(web::resource("/default").wrap(default).to(handler))
            .service(web::resource("/unknown").wrap(unknown).to(handler));
    })
}

/// The statuses of requests of a client with these fields and this body.
fn statuses(server: &Server, path: &str, client: &str, rest: &str, times: usize) -> Vec<Answer> {
    let request = format!("POST {path} HTTP/1.1\r\nHost: test\r\nX-Client: {client}\r\n{rest}");
    (0..times).map(|_| wire::ask(server.address(), request.as_bytes())).collect()
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";

#[test]
fn body_costs_its_length_and_more_than_the_limit_if_that_is_unknown() {
    let server = server();
    let [ok, denied] = [200, 429].map(|status| move || Answer::Status(status));
    let two_units = format!("Content-Length: 2048\r\n\r\n{}", "x".repeat(2_048));
    for path in ["/default", "/attribute"] {
        let ask = |client: &str, rest: &str, times| statuses(&server, path, client, rest, times);
        let mut expected: Vec<_> = (0..5).map(|_| ok()).collect();
        expected.push(denied());
        assert_eq!(ask("two units", &two_units, 6), expected, "{path}");
        // Around 2^32 bytes, and around 2^32 units.
        for length in ["10241", "4294967295", "4294967296", "4398046511105", "18446744073709551615"]
        {
            let rest = format!("Content-Length: {length}\r\n\r\n");
            assert_eq!(ask(length, &rest, 1), [denied()], "{path} {length}");
        }
        assert_eq!(ask("chunked", CHUNKED, 1), [denied()], "{path}");
        // Versions of actix-web differ in whether they take both fields; then the chunks are read.
        let both = format!("Content-Length: 1\r\n{CHUNKED}");
        assert_ne!(ask("both", &both, 1), [ok()], "{path}");
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(ask("upgrade", upgrade, 1), [denied()], "{path}");
        // What is denied takes nothing.
        assert_eq!(ask("chunked", &two_units, 1), [ok()], "{path}");
        assert_eq!(ask("none", "\r\n", 1), [ok()], "{path}");
    }
    let chunked = statuses(&server, "/unknown", "chunked", CHUNKED, 3);
    assert_eq!(chunked, [ok(), ok(), denied()]);
}
