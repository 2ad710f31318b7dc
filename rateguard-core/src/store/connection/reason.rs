//! Describes why the guard cannot connect, and what an operator may have to change.

use std::{error::Error, io::ErrorKind};

use super::label::{Login, ServerLabel};
use crate::{IoCause, StoreError};

/// Returns the kind of the I/O error that caused this error.
pub(super) fn io_kind(cause: StoreError) -> Option<ErrorKind> {
    cause.source()?.downcast_ref::<IoCause>().map(|it| it.kind())
}

/// Returns true if the server has accepted the connection and then closed it.
pub(in crate::store) fn is_closed_by_server(cause: StoreError) -> bool {
    let closed = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    match cause {
        StoreError::Unreachable(_) | StoreError::Disconnected(_) => {
            io_kind(cause).is_some_and(|kind| closed.contains(&kind))
        }
        _ => false,
    }
}

/// Returns a text that describes the cause, and what the operator may have to change. `was_open` is true if the
/// connection was open before, so the server speaks the right protocol.
pub(super) fn describe(cause: StoreError, was_open: bool, server: &ServerLabel) -> String {
    let text = match (cause, io_kind(cause)) {
        (_, Some(ErrorKind::ConnectionRefused)) => {
            "connection refused; check that the server runs and that the port is right"
        }
        (_, Some(ErrorKind::TimedOut)) => {
            "timed out; check the address, the DNS, and firewalls between this process and the server"
        }
        (StoreError::Unreachable(_), Some(ErrorKind::InvalidData)) if server.has_tls => {
            "the TLS handshake failed; check that the certificate is valid for this host and that its authority is trusted (`RedisTls`)"
        }
        _ if is_closed_by_server(cause) && !was_open => server.advice.closed,
        (StoreError::Unreachable(_), Some(ErrorKind::NotFound)) if server.is_socket => {
            "the socket file does not exist; check the path, and that the server runs and has this `unixsocket`"
        }
        (StoreError::Unreachable(_), Some(ErrorKind::PermissionDenied)) if server.is_socket => {
            "this process has no permission for the socket file; check its owner, and `unixsocketperm` of the server"
        }
        (StoreError::Authentication, _) if server.login == Login::Missing => {
            server.advice.missing_login
        }
        (StoreError::Authentication, _) if server.login == Login::Unknown => {
            return cause.to_string();
        }
        (StoreError::Authentication, _) => server.advice.authentication,
        (StoreError::InvalidReply, _) => server.advice.invalid_reply,
        (_, _) => {
            let detail = cause.source().map(|it| format!(" ({it})")).unwrap_or_default();
            return format!("{cause}{detail}");
        }
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::store::connection::Advice;

    #[test]
    fn missing_socket_file_is_named() {
        static ADVICE: Advice =
            Advice { closed: "", authentication: "", missing_login: "", invalid_reply: "" };
        let server = ServerLabel {
            text: String::new(),
            advice: &ADVICE,
            has_tls: false,
            login: Login::Missing,
            is_socket: true,
            is_server_address: true,
            addresses: Vec::new(),
            pool: 0,
        };
        for (kind, expected) in [
            (ErrorKind::NotFound, "the socket file does not exist"),
            (ErrorKind::PermissionDenied, "no permission for the socket file"),
        ] {
            let reason = describe(StoreError::Unreachable(Some(kind.into())), false, &server);
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn reasons_name_the_cause_and_the_next_step() {
        static ADVICE: Advice = Advice {
            closed: "closed; check the port",
            authentication: "rejected; check the password",
            missing_login: "add the password",
            invalid_reply: "rejected; check the server",
        };
        let unreachable = |kind: ErrorKind| StoreError::Unreachable(Some(kind.into()));
        let closed = StoreError::Disconnected(Some(ErrorKind::BrokenPipe.into()));
        let lost = "the connection was lost (broken pipe)";
        for (cause, has_tls, expected) in [
            (unreachable(ErrorKind::ConnectionRefused), false, "connection refused"),
            (unreachable(ErrorKind::TimedOut), false, "timed out"),
            (unreachable(ErrorKind::InvalidData), true, "the TLS handshake failed"),
            (unreachable(ErrorKind::UnexpectedEof), false, "check the port"),
            (closed, false, "check the port"),
            (StoreError::Authentication, false, "check the password"),
            (StoreError::NotReady(None), false, "accepts no writes"),
            (StoreError::WrongServerKind, false, "use redis:// for a single server"),
            (StoreError::UnknownCommand, false, "enable EVALSHA"),
            (StoreError::Database, false, "no database"),
            (StoreError::InvalidReply, false, "check the server"),
            (unreachable(ErrorKind::NetworkUnreachable), false, "(network unreachable)"),
        ] {
            let text = String::new();
            let addresses = Vec::new();
            let is_server_address = true;
            let server = ServerLabel {
                text,
                advice: &ADVICE,
                has_tls,
                login: Login::User,
                is_socket: false,
                is_server_address,
                addresses,
                pool: 0,
            };
            let reason = describe(cause, false, &server);
            assert!(reason.contains(expected), "{reason}");
            if cause == StoreError::Authentication {
                let server = ServerLabel { login: Login::Missing, ..server };
                assert_eq!(describe(cause, false, &server), "add the password");
                let server = ServerLabel { login: Login::Unknown, ..server };
                assert!(describe(cause, false, &server).contains("that is missing"));
                continue;
            }
            if cause == closed {
                assert_eq!(describe(cause, true, &server), lost);
            }
        }
    }
}
