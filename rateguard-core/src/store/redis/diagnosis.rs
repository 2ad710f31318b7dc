//! Finds out why a server rejects new connections.

use std::{io, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use crate::{
    StoreError,
    store::connection::{ServerLabel, reason::is_closed_by_server},
};

/// The maximum time for the connection and for the reply.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Sends `PING` on a new connection without a login, and returns the reason for the rejection if the reply shows it.
/// The client library does not return the text that a server sends before it closes a connection.
pub(super) async fn diagnose(cause: StoreError, server: &ServerLabel) -> Option<&'static str> {
    let is_closed = is_closed_by_server(cause);
    let is_rejected = matches!(cause, StoreError::Authentication | StoreError::InvalidReply);
    if server.has_tls || !(is_closed || is_rejected) {
        return None;
    }
    let [(host, port)] = server.addresses.as_slice() else { return None };
    let reply = timeout(TIMEOUT, ping(host, *port)).await.ok()?.ok()?;
    reason(&reply, is_closed)
}

/// Returns the first bytes of the server's reply to `PING`.
async fn ping(host: &str, port: u16) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.writable().await?;
    stream.try_write(b"PING\r\n")?;
    let mut reply = vec![0; 64];
    stream.readable().await?;
    let length = stream.try_read(&mut reply)?;
    reply.truncate(length);
    Ok(reply)
}

fn reason(reply: &[u8], is_closed: bool) -> Option<&'static str> {
    let begins_with = |text: &str| reply.starts_with(text.as_bytes());
    if begins_with("-ERR max number of clients") {
        Some("the server has too many clients; increase its setting `maxclients`")
    } else if begins_with("-DENIED") {
        Some(
            "the server is in protected mode; set a password on the server, or `protected-mode no` in a private network",
        )
    } else if begins_with("HTTP/") {
        Some("the port speaks HTTP and not the Redis protocol; check the port")
    } else if is_closed && (begins_with("+PONG") || begins_with("-NOAUTH")) {
        Some(
            "the server replies to PING, but closes the connection at the commands CLIENT, ROLE or TIME; if it is a proxy, connect to the Redis server itself",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_to_ping_shows_the_reason() {
        for (reply, expected) in [
            ("-ERR max number of clients reached\r\n", Some("maxclients")),
            ("-DENIED Redis is running in protected mode because", Some("protected mode")),
            ("HTTP/1.1 400 Bad Request\r\n", Some("HTTP")),
            ("+PONG\r\n", Some("proxy")),
            ("-NOAUTH Authentication required.\r\n", Some("proxy")),
            ("-ERR unknown\r\n", None),
            ("", None),
        ] {
            let reason = reason(reply.as_bytes(), true);
            assert_eq!(reason.is_some(), expected.is_some(), "{reply}");
            assert!(reason.unwrap_or_default().contains(expected.unwrap_or_default()), "{reply}");
        }
        assert_eq!(reason(b"+PONG\r\n", false), None);
    }
}
