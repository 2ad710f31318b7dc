//! Tests the example `behind_nginx` behind a real nginx, with the configuration of the example.

use std::{
    io::Write,
    net::{IpAddr, SocketAddr},
};

use crate::support::{
    nginx::{Nginx, connect_from},
    process::ExampleServer,
    wire::{WireResponse, read_response},
};

/// Sends a request with these header lines from the address `127.0.0.<client>`, and returns the status.
fn status_of(server: SocketAddr, client: u8, headers: &str) -> u16 {
    let mut stream = connect_from(IpAddr::from([127, 0, 0, client]), server);
    let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    match read_response(&mut stream) {
        WireResponse::Status(status) => status,
        WireResponse::Closed => panic!("no response to client {client}"),
    }
}

/// Sends a request of each of these clients, and returns the statuses.
fn statuses<const N: usize>(server: SocketAddr, clients: [u8; N]) -> [u16; N] {
    clients.map(|client| status_of(server, client, ""))
}

#[test]
fn all_clients_are_one_if_nginx_is_not_trusted_and_the_log_says_so() {
    let server = ExampleServer::start("behind_nginx", &[("TRUSTED_PROXIES", "")]);
    let Some(nginx) = Nginx::start(server.address()) else { return };
    assert_eq!(statuses(nginx.address(), [2, 3, 4, 5, 6]), [200, 200, 200, 429, 429]);
    let log = server.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for part in ["from 127.0.0.1 has the header `X-Forwarded-For`", r#"behind(["127.0.0.1"])?"#] {
        assert!(warnings[0].contains(part), "{log}");
    }
}

#[test]
fn clients_behind_trusted_nginx_have_separate_limits() {
    let server = ExampleServer::start("behind_nginx", &[("TRUSTED_PROXIES", "127.0.0.1")]);
    let Some(nginx) = Nginx::start(server.address()) else { return };
    assert_eq!(statuses(nginx.address(), [2, 2, 2, 2]), [200, 200, 200, 429]);
    assert_eq!(statuses(nginx.address(), [3, 3, 3, 3]), [200, 200, 200, 429]);
    let log = server.log();
    assert!(!log.contains("WARN"), "{log}");
}

#[test]
fn forged_headers_give_no_new_limit_and_use_up_no_limit_of_others() {
    let server = ExampleServer::start("behind_nginx", &[("TRUSTED_PROXIES", "127.0.0.1")]);
    let Some(nginx) = Nginx::start(server.address()) else { return };
    assert_eq!(statuses(nginx.address(), [2, 2, 2]), [200; 3]);
    for forged in [
        "X-Forwarded-For: 127.0.0.3\r\n",
        "X-Forwarded-For: 127.0.0.3, 127.0.0.1\r\n",
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.3\r\n",
        "X-Forwarded-For: unknown\r\n",
        "X-Forwarded-For:\r\n",
        "Forwarded: for=127.0.0.3\r\n",
        "X-Real-IP: 127.0.0.3\r\nCF-Connecting-IP: 127.0.0.3\r\n",
    ] {
        assert_eq!(status_of(nginx.address(), 2, forged), 429, "{forged}");
        // A client that connects to the server directly cannot choose an address either.
        let direct = status_of(server.address(), 4, forged);
        assert!(matches!(direct, 200 | 429), "{forged}: {direct}");
    }
    assert_eq!(status_of(server.address(), 4, "X-Forwarded-For: 127.0.0.9\r\n"), 429);
    assert_eq!(statuses(nginx.address(), [3, 3, 3, 3]), [200, 200, 200, 429]);
}

#[test]
fn nginx_without_the_header_line_forwards_what_clients_write() {
    let server = ExampleServer::start("behind_nginx", &[("TRUSTED_PROXIES", "127.0.0.1")]);
    let line = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let Some(nginx) = Nginx::start_with(server.address(), line, "") else { return };
    // All clients are counted as nginx, and no request shows that nginx hides a client.
    assert_eq!(statuses(nginx.address(), [2, 3, 4, 5]), [200, 200, 200, 429]);
    for address in ["198.51.100.1", "198.51.100.2"] {
        let forged = format!("X-Forwarded-For: {address}\r\n");
        assert_eq!(status_of(nginx.address(), 2, &forged), 200);
    }
    let log = server.log();
    assert!(!log.contains("WARN"), "{log}");
}
