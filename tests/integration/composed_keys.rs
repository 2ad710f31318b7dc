//! Tests keys of several parts: the route, the method, and functions of the application, on two servers with a common
//! Redis.

use std::net::IpAddr;

use actix_rateguard::{Caller, ClientAddress, Limit, RateGuard, RateLimit, key};
use actix_web::{
    App, HttpRequest,
    error::ErrorUnauthorized,
    test::{TestRequest, init_service},
    web,
};

use crate::support::{
    app::{from_client, send},
    redis_server::RedisServer,
    server::{Server, get},
    wire::{self, WireResponse},
};

/// Starts two servers with routes under this limit.
fn servers(redis: &RedisServer, prefix: &str, limit: fn() -> Limit) -> [Server; 2] {
    [(); 2].map(|()| {
        let guard = redis.guard(prefix);
        Server::start(move |app| {
            let routes = web::scope("")
                .wrap(RateLimit::new(&guard, limit()))
                .route("/orders/{id}", web::get().to(async || "order"))
                .route("/items/{name}", web::route().to(async || "item"));
            app.service(routes);
        })
    })
}

/// Sends a request with this method on a new connection, and returns the status.
fn status(server: &Server, method: &str, path: &str) -> u16 {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    match wire::send(server.address(), request.as_bytes()) {
        WireResponse::Status(status) => status,
        WireResponse::Closed => panic!("the server closed the connection"),
    }
}

#[test]
fn servers_count_each_route_of_a_client_separately() {
    let redis = RedisServer::start();
    let limit = || Limit::new("2/hour").key("ip+route").name("each-route");
    let servers = servers(&redis, "each-route", limit);
    assert_eq!(get(&servers[0].url("/orders/1")).status, 200);
    assert_eq!(get(&servers[1].url("/orders/2")).status, 200);
    // Another path of the same route has no new count.
    for server in &servers {
        assert_eq!(get(&server.url("/orders/3?page=2")).status, 429);
    }
    assert_eq!(get(&servers[1].url("/items/3")).status, 200);
}

#[test]
fn servers_count_invented_methods_together() {
    let redis = RedisServer::start();
    let limit = || Limit::new("1/hour").key(key::ip().and(key::method())).name("each-method");
    let servers = servers(&redis, "each-method", limit);
    for (method, expected) in [
        ("GET", 200),
        ("POST", 200),
        ("GET", 429),
        ("DELETE", 200),
        ("FIRST", 200),
        ("SECOND", 429),
        ("other", 429),
        ("POST", 429),
    ] {
        let first = status(&servers[0], method, "/items/1");
        assert_eq!(first, expected, "{method}");
        assert_eq!(status(&servers[1], method, "/items/2"), 429, "{method}");
    }
}

#[test]
fn servers_count_the_values_of_a_function_separately() {
    let redis = RedisServer::start();
    let limit = || {
        let color =
            |request: &HttpRequest| Some(request.query_string().strip_prefix("color=")?.to_owned());
        Limit::new("1/hour").key(key::ip().and(color)).missing_key("deny").name("each-color")
    };
    let servers = servers(&redis, "each-color", limit);
    assert_eq!(get(&servers[0].url("/items/1?color=red")).status, 200);
    assert_eq!(get(&servers[1].url("/items/1?color=red")).status, 429);
    assert_eq!(get(&servers[1].url("/items/1?color=blue")).status, 200);
    assert_eq!(get(&servers[1].url("/items/1")).status, 403);
}

#[actix_web::test]
async fn path_without_a_route_is_counted_by_address() {
    let guard = RateGuard::in_memory();
    let limit = Limit::new("2/hour").key(key::ip().and(key::route())).name("app");
    let app = init_service(
        App::new()
            .wrap(RateLimit::new(&guard, limit))
            .route("/orders/{id}", web::get().to(async || "order"))
            .service(web::scope("/shop/{shop}").route("/{item}", web::get().to(async || "item"))),
    )
    .await;
    let status =
        async |path: &str| send(&app, from_client(1, TestRequest::with_uri(path))).await.status;
    assert_eq!([status("/a").await, status("/b").await, status("/c").await], [404, 404, 429]);
    let orders = [status("/orders/1").await, status("/orders/2").await, status("/orders/3").await];
    assert_eq!(orders, [200, 200, 429]);
    // The pattern of a route in a scope has the pattern of the scope.
    let items = [status("/shop/1/2").await, status("/shop/3/4").await, status("/shop/5/6").await];
    assert_eq!(items, [200, 200, 429]);
    let other = send(&app, from_client(2, TestRequest::with_uri("/orders/1"))).await;
    assert_eq!(other.status, 200);
}

#[actix_web::test]
async fn function_in_a_composed_key_can_be_async_exempt_and_fail() {
    let guard =
        RateGuard::builder().client_address(ClientAddress::behind("10.0.0.0/8").unwrap()).build();
    let guard = guard.unwrap();
    let user = async |request: &HttpRequest| {
        actix_web::rt::task::yield_now().await;
        match request.query_string() {
            "fail" => Err(ErrorUnauthorized("no user")),
            "internal" => Ok(Caller::Exempt),
            user => Ok(Caller::Known(user.into())),
        }
    };
    // The last part reads the address of the client, which the trusted proxy reports.
    let parity = |request: &HttpRequest| match key::client_ip(request)? {
        IpAddr::V4(address) => Some(u64::from(address.octets()[3] % 2)),
        IpAddr::V6(_) => None,
    };
    let limit = Limit::new("1/hour").key(key::method().and(user).and(parity).and(key::route()));
    let app = init_service(
        App::new()
            .wrap(RateLimit::new(&guard, limit.missing_key("deny").name("composed")))
            .route("/", web::get().to(async || "ok")),
    )
    .await;
    let status = async |client: &str, query: &str| {
        let request = TestRequest::with_uri(&format!("/?{query}"))
            .peer_addr("10.0.0.1:1000".parse().unwrap())
            .insert_header(("X-Forwarded-For", client));
        send(&app, request).await.status
    };
    assert_eq!(status("192.0.2.1", "ann").await, 200);
    assert_eq!(status("192.0.2.3", "ann").await, 429);
    assert_eq!(status("192.0.2.2", "ann").await, 200);
    assert_eq!(status("192.0.2.1", "bob").await, 200);
    assert_eq!(status("2001:db8::1", "bob").await, 403);
    assert_eq!(status("192.0.2.1", "fail").await, 401);
    for _ in 0..3 {
        assert_eq!(status("192.0.2.1", "internal").await, 200);
    }
}
