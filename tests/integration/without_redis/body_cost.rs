//! Tests limits for which the cost of a request depends on the length of its body. The tests use real connections.

use actix_rateguard::{BodyCost, Limit, RateGuard, RateLimit, RequestCost, key, rate_limit};
use actix_web::web;

use crate::support::{
    server::Server,
    wire::{self, WireResponse},
};

#[actix_web::post("/attribute")]
#[rate_limit(
    rate = "10/hour",
    key = "header:X-Client",
    cost = |req| BodyCost::per_bytes(1_024).cost(req),
    name = "body-cost"
)]
async fn attribute(body: web::Bytes) -> String {
    body.len().to_string()
}

fn server() -> Server {
    let guard = RateGuard::in_memory();
    Server::start(move |app| {
        let limit = |name: &'static str, cost: BodyCost| {
            RateLimit::new(
                &guard,
                Limit::new("10/hour").name(name).key(key::header("X-Client")).cost(cost),
            )
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

/// Sends the same request `times` times, and returns the responses. `rest` is the rest of the request: the end of its
/// head, followed by its body.
fn responses(
    server: &Server,
    path: &str,
    client: &str,
    rest: &str,
    times: usize,
) -> Vec<WireResponse> {
    let request = format!("POST {path} HTTP/1.1\r\nHost: test\r\nX-Client: {client}\r\n{rest}");
    (0..times).map(|_| wire::send(server.address(), request.as_bytes())).collect()
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n";

#[test]
fn body_cost_follows_length_and_exceeds_limit_if_unknown() {
    let server = server();
    let [ok, denied] = [200, 429].map(|status| move || WireResponse::Status(status));
    let two_units = format!("Content-Length: 2048\r\n\r\n{}", "x".repeat(2_048));
    for path in ["/default", "/attribute"] {
        let responses_to =
            |client: &str, rest: &str, times| responses(&server, path, client, rest, times);
        let mut expected: Vec<_> = (0..5).map(|_| ok()).collect();
        expected.push(denied());
        assert_eq!(responses_to("two units", &two_units, 6), expected, "{path}");
        // A body with any of these lengths costs more units than the limit allows. The first length is the smallest
        // such length. The next three lengths are close to 2^32 bytes or to 2^32 units, and the last length is the
        // maximum of a 64-bit number.
        for length in ["10241", "4294967295", "4294967296", "4398046511105", "18446744073709551615"]
        {
            let rest = format!("Content-Length: {length}\r\n\r\n");
            assert_eq!(responses_to(length, &rest, 1), [denied()], "{path} {length}");
        }
        assert_eq!(responses_to("chunked", CHUNKED, 1), [denied()], "{path}");
        // Some versions of actix-web reject a request that has both `Content-Length` and `Transfer-Encoding`. Other
        // versions read the chunks. In both cases, the request must not be admitted at the cost of a body of 1 byte.
        let both = format!("Content-Length: 1\r\n{CHUNKED}");
        assert_ne!(responses_to("both", &both, 1), [ok()], "{path}");
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx";
        assert_eq!(responses_to("upgrade", upgrade, 1), [denied()], "{path}");
        // The denied requests must not take units. Therefore the client can still send a request that costs two
        // units.
        assert_eq!(responses_to("chunked", &two_units, 1), [ok()], "{path}");
        assert_eq!(responses_to("none", "\r\n", 1), [ok()], "{path}");
    }
    let chunked = responses(&server, "/unknown", "chunked", CHUNKED, 3);
    assert_eq!(chunked, [ok(), ok(), denied()]);
}
