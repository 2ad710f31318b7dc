//! Tests requests whose peer has no address: over Unix sockets, and over TCP connections that the client has reset before
//! the server reads its address.

use std::{
    net::TcpListener,
    os::unix::net::{UnixListener, UnixStream},
    sync::Arc,
    time::Duration,
};

use actix_rateguard::{AccessList, ClientAddress, RateGuard, RateLimit};
use actix_web::{
    App, HttpServer,
    dev::{Service, ServiceResponse},
    web,
};
use futures_util::FutureExt;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::{TEST_TIMEOUT, folder::Folder, log_lines, wire};

/// What an application has done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Handled {
    has_peer: bool,
    status: u16,
    /// The address that the guard found for the client, as an explanation shows it.
    client: String,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Sends the requests to a server with this limit, and returns what the server has done with each of them.
///
/// Over TCP, all clients reset their connections before the server accepts the first connection.
async fn handle(
    guard: &RateGuard,
    limit: RateLimit,
    listener: Listener,
    requests: &[String],
) -> Vec<Handled> {
    let (sender, mut receiver) = unbounded_channel();
    let (guard, limit) = (guard.clone(), Arc::new(limit));
    let server = HttpServer::new(move || {
        let (guard, sender): (_, UnboundedSender<_>) = (guard.clone(), sender.clone());
        App::new()
            .service(web::resource("/").wrap(RateLimit::clone(&limit)).to(async || "ok"))
            .wrap_fn(move |request, service| {
                let (guard, sender) = (guard.clone(), sender.clone());
                service.call(request).then(async move |response| {
                    let response: ServiceResponse<_> = response?;
                    let request = response.request();
                    let explanation = guard.explain_request(request, &["no limit"]).await;
                    let client = explanation.client().to_string();
                    let has_peer = request.peer_addr().is_some();
                    let status = response.status().as_u16();
                    sender.send(Handled { has_peer, status, client }).unwrap();
                    Ok(response)
                })
            })
    });
    let mut unix_clients = Vec::new();
    let server = server.workers(1).disable_signals();
    let server = match listener {
        Listener::Tcp(listener) => {
            let address = listener.local_addr().unwrap();
            for request in requests {
                wire::send_and_reset(address, request.as_bytes()).await;
            }
            server.listen(listener).unwrap()
        }
        Listener::Unix(listener) => {
            let address = listener.local_addr().unwrap();
            let path = address.as_pathname().unwrap();
            for request in requests {
                let mut client = UnixStream::connect(path).unwrap();
                std::io::Write::write_all(&mut client, request.as_bytes()).unwrap();
                unix_clients.push(client);
            }
            listener.set_nonblocking(true).unwrap();
            server.listen_uds(listener).unwrap()
        }
    };
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let mut handled = Vec::new();
    for _ in requests {
        let next = tokio::time::timeout(TEST_TIMEOUT, receiver.recv());
        handled.push(next.await.unwrap().unwrap());
    }
    handle.stop(false).await;
    handled
}

fn reset_tcp_clients() -> Listener {
    Listener::Tcp(TcpListener::bind("127.0.0.1:0").unwrap())
}

fn unix_clients(folder: &Folder) -> Listener {
    Listener::Unix(UnixListener::bind(folder.path().join("socket")).unwrap())
}

/// Returns requests of which each names another client in `X-Forwarded-For`.
fn requests_that_name_clients(number: u8) -> Vec<String> {
    let request = |client| {
        format!("GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 198.51.100.{client}\r\n\r\n")
    };
    (0..number).map(request).collect()
}

fn statuses(handled: &[Handled]) -> Vec<u16> {
    // The test is about requests without the address of a peer.
    assert!(handled.iter().all(|it| !it.has_peer), "{handled:?}");
    handled.iter().map(|it| it.status).collect()
}

fn unix_socket_rule() -> ClientAddress {
    ClientAddress::peer().trust_unix_sockets()
}

fn guard(rule: ClientAddress) -> RateGuard {
    RateGuard::builder().client_address(rule).for_attributes(false).build().unwrap()
}

fn deny_list() -> AccessList {
    AccessList::new().deny_addresses(["192.0.2.0/24"]).unwrap()
}

#[actix_web::test]
async fn access_list_with_denied_addresses_rejects_tcp_clients_without_an_address() {
    log_lines::collect();
    for rule in [ClientAddress::peer(), unix_socket_rule()] {
        let guard = guard(rule);
        let limit = RateLimit::new(&guard, "100/hour").access(deny_list());
        let requests = requests_that_name_clients(3);
        let handled = handle(&guard, limit, reset_tcp_clients(), &requests).await;
        assert_eq!(statuses(&handled), [403; 3]);
    }
    let lines =
        log_lines::with("reset the TCP connection before the server read the client's address");
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|line| !line.contains("Unix")), "{lines:?}");
}

#[actix_web::test]
async fn tcp_clients_without_an_address_share_one_key_although_unix_sockets_are_trusted() {
    log_lines::collect();
    let guard = guard(unix_socket_rule());
    let limit = RateLimit::new(&guard, "2/hour");
    let requests = requests_that_name_clients(4);
    let handled = handle(&guard, limit, reset_tcp_clients(), &requests).await;
    assert_eq!(statuses(&handled), [200, 200, 429, 429]);
    let expected = "peer without an address: not a trusted proxy\nthe peer is not a trusted proxy, so it is the client\nclient without an address, counted with all such clients";
    assert_eq!(handled[0].client, expected);
    let lines = log_lines::with("reset the TCP connection before the server read their address");
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|line| !line.contains("Unix")), "{lines:?}");
}

#[actix_web::test]
async fn clients_behind_a_trusted_unix_socket_have_separate_keys() {
    let folder = Folder::new();
    let guard = guard(unix_socket_rule());
    let denied = AccessList::new().deny_addresses(["198.51.100.2"]).unwrap();
    let limit = RateLimit::new(&guard, "1/hour").access(denied);
    let mut requests = requests_that_name_clients(4);
    requests.push("GET / HTTP/1.1\r\nHost: test\r\n\r\n".to_owned());
    let handled = handle(&guard, limit, unix_clients(&folder), &requests).await;
    // A request of the proxy itself, which names no client, is not denied.
    assert_eq!(statuses(&handled), [200, 200, 403, 200, 200]);
}

#[actix_web::test]
async fn access_list_with_denied_addresses_rejects_clients_of_untrusted_unix_sockets() {
    log_lines::collect();
    let guard = guard(ClientAddress::peer());
    let requests = requests_that_name_clients(2);
    let lines = loop {
        let folder = Folder::new();
        let limit = RateLimit::new(&guard, "100/hour").access(deny_list());
        let handled = handle(&guard, limit, unix_clients(&folder), &requests).await;
        assert_eq!(statuses(&handled), [403; 2]);
        let lines =
            log_lines::with("rejected a request with 403, because the request has no peer address");
        if !lines.is_empty() {
            break lines;
        }
        // Another test has caused the same message before this test collected messages. The guard logs it again after
        // ten seconds.
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert!(lines[0].contains("trust_unix_sockets"), "{lines:?}");
}
