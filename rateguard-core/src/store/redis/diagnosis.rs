//! Finds out why a server rejects new connections.

use std::{io, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use crate::{
    StoreError,
    store::connection::{Login, ServerLabel, reason::is_closed_by_server},
};

/// The maximum time in total for the connection and for the reply.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Returns the reason why an attempt to connect failed with `cause`, with advice for the operator.
///
/// `cause` only says that the server closed the connection or sent an error, because the client library does not return
/// the text that a server sends before it closes a connection. So this function sends `PING` on a new connection
/// without a login, and reads the reason from the reply.
///
/// The result is `None` in these cases:
///
/// - The cause is another one, such as a refused connection, so the server sends no reply.
/// - The connection needs TLS.
/// - No reply arrives within [`TIMEOUT`], or the reply shows no reason.
pub(super) async fn diagnose(cause: StoreError, server: &ServerLabel) -> Option<&'static str> {
    let was_closed = is_closed_by_server(cause);
    let has_error_reply = matches!(cause, StoreError::Authentication | StoreError::InvalidReply);
    if server.has_tls || !(was_closed || has_error_reply) {
        return None;
    }
    let [(host, port)] = server.addresses.as_slice() else { return None };
    let reply = timeout(TIMEOUT, ping(host, *port)).await.ok()?.ok()?;
    if server.login == Login::Missing && reply.starts_with(b"-NOAUTH") && !was_closed {
        // With a database other than 0, the client library reports only that it could not select the database.
        return Some(server.advice.missing_login);
    }
    if cause == StoreError::Authentication
        && server.login == Login::Password
        && reply.starts_with(b"+PONG")
    {
        return Some(
            "the server has no password, but the URL has one; remove it from the URL, or set `requirepass` on the server",
        );
    }
    reason(&reply, was_closed)
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

/// Returns the reason that the reply to `PING` shows. `was_closed` is true if the server closed the connection of the
/// failed attempt.
fn reason(reply: &[u8], was_closed: bool) -> Option<&'static str> {
    let begins_with = |text: &str| reply.starts_with(text.as_bytes());
    if begins_with("-ERR max number of clients") {
        Some("the server has too many clients; increase its setting `maxclients`")
    } else if begins_with("-DENIED") {
        Some(
            "the server is in protected mode; set a password on the server or, in a private network, set `protected-mode no`",
        )
    } else if begins_with("HTTP/") {
        Some("the port serves HTTP, not the Redis protocol; check the port")
    } else if was_closed && (begins_with("+PONG") || begins_with("-NOAUTH")) {
        Some(
            "the server replies to PING, but probably closes the connection after one of the commands CLIENT, ROLE and TIME; if a proxy is in front of Redis, connect to Redis directly",
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
