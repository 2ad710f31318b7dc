//! Sends commands over an HTTP/1.1 connection. Each connection carries only one HTTP request at a time.

use std::{
    error::Error as _,
    io::{self, ErrorKind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::{Either, select};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header::{self, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use super::{address::Endpoint, reply::RestReply};
use crate::{IoCause, store::StoreError};

/// The maximum time for the DNS lookup, the TCP handshake and the TLS handshake together. Even between continents,
/// this time is sufficient for several round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum time between a reply and the moment when the connection is ready for the next HTTP request. If a
/// connection needs more time, it is not used again.
const READY_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum size of the head of an HTTP response, and of the body of the response to a check. The response to a valid
/// command is always smaller.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The maximum size of the body of the response to the script of a document or of statistics: an hour of statistics of
/// 200 policies has a few megabytes.
const MAX_DOCUMENT_BYTES: usize = 8 * 1024 * 1024;

/// A command as a JSON list.
#[derive(Clone)]
pub(super) struct RestCommand {
    json: Bytes,
    max_body: usize,
}

impl RestCommand {
    /// A command without a name and without arguments.
    const EMPTY: Self = Self { json: Bytes::from_static(b"[]"), max_body: MAX_BODY_BYTES };

    /// Creates the command of a check.
    pub(super) fn of_check(json: Bytes) -> Self {
        Self { json, max_body: MAX_BODY_BYTES }
    }

    /// Creates the command of a document or of statistics.
    pub(super) fn of_document(json: Bytes) -> Self {
        Self { json, max_body: MAX_DOCUMENT_BYTES }
    }
}

/// An Upstash server, and the TLS configuration for its connections.
pub(super) struct RestServer {
    pub(super) endpoint: Endpoint,
    pub(super) tls: Arc<ClientConfig>,
}

/// An open connection without an HTTP request in flight.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// The time at which the connection became ready after its last HTTP request.
    pub(super) idle_since: Instant,
    /// True if an HTTP request on this connection was completed or cancelled. If it is false and the connection is
    /// lost, the loss counts as a failure to connect.
    pub(super) was_useful: Arc<AtomicBool>,
}

impl Connection {
    /// Waits until the connection is ready for the next HTTP request. Returns `None` if the connection cannot be used
    /// again.
    pub(super) async fn ready(mut self) -> Option<Self> {
        timeout(READY_TIMEOUT, self.sender.ready()).await.ok()?.ok()?;
        self.idle_since = Instant::now();
        Some(self)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// The future that reads from a connection and writes to it until the connection is closed.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The outcome of one HTTP request.
pub(super) enum ExchangeOutcome {
    /// The server replied to the HTTP request. The connection may soon be ready for the next HTTP request.
    Replied(RestReply, Connection),
    /// No part of the HTTP request was sent, so the pool can send the command again on another connection.
    Unsent,
    /// The HTTP request failed after a part of it may have been sent. The command is not sent again, because the
    /// server may have run the command.
    Failed(StoreError),
}

impl RestServer {
    /// Opens a connection. If `verify` is true, also verifies that the server accepts the token.
    pub(super) async fn connect(&self, verify: bool) -> Result<(Connection, Driver), StoreError> {
        let connect = async {
            let (connection, driver) = self.open().await?;
            if verify { self.verify(connection, driver).await } else { Ok((connection, driver)) }
        };
        timeout(CONNECT_TIMEOUT, connect)
            .await
            .unwrap_or_else(|_| Err(unreachable(ErrorKind::TimedOut)))
    }

    /// Sends an empty command, which the server rejects. The HTTP status shows whether the server accepts the token.
    /// Upstash bills commands, and an empty command runs nothing.
    async fn verify(
        &self,
        connection: Connection,
        mut driver: Driver,
    ) -> Result<(Connection, Driver), StoreError> {
        let verified = pin!(async {
            match self.exchange(RestCommand::EMPTY, connection).await {
                ExchangeOutcome::Replied(reply, connection) => {
                    reply.accepts_token()?;
                    Ok(connection.ready().await)
                }
                ExchangeOutcome::Unsent => Err(unreachable(ErrorKind::ConnectionReset)),
                ExchangeOutcome::Failed(cause) => Err(cause),
            }
        });
        let connection = match select(verified, &mut driver).await {
            Either::Left((connection, _)) => connection?,
            Either::Right(((), verified)) => {
                verified.await?;
                None
            }
        };
        match connection {
            Some(connection) => Ok((connection, driver)),
            // The server closes its connections after each reply.
            None => self.open().await,
        }
    }

    async fn open(&self) -> Result<(Connection, Driver), StoreError> {
        let Endpoint { host, port, tls, .. } = &self.endpoint;
        let unreachable = |error: io::Error| StoreError::Unreachable(Some((&error).into()));
        let stream = TcpStream::connect((&**host, *port)).await.map_err(unreachable)?;
        // Disable Nagle's algorithm, because it would delay small requests.
        stream.set_nodelay(true).map_err(unreachable)?;
        let Some(name) = tls else { return handshake(stream).await };
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        handshake(connector.connect(name.clone(), stream).await.map_err(unreachable)?).await
    }

    /// Sends a command and reads the reply. If this future is dropped, the connection closes, because closing the
    /// connection is the only way to cancel a request in HTTP/1.1.
    pub(super) async fn exchange(
        &self,
        command: RestCommand,
        mut connection: Connection,
    ) -> ExchangeOutcome {
        let response = match connection.sender.try_send_request(self.request(command.json)).await {
            Ok(response) => response,
            Err(mut error) => {
                return if error.take_message().is_some() {
                    ExchangeOutcome::Unsent
                } else {
                    ExchangeOutcome::Failed(cause_of(error.error()))
                };
            }
        };
        let status = response.status();
        let body = match Limited::new(response.into_body(), command.max_body).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                let too_long = StoreError::InvalidReply;
                return ExchangeOutcome::Failed(error.downcast_ref().map_or(too_long, cause_of));
            }
        };
        connection.was_useful.store(true, Relaxed);
        ExchangeOutcome::Replied(RestReply { status, body }, connection)
    }

    fn request(&self, command: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(command));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.endpoint.host_header.clone());
        headers.insert(header::AUTHORIZATION, self.endpoint.authorization.clone());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

fn unreachable(kind: ErrorKind) -> StoreError {
    StoreError::Unreachable(Some(kind.into()))
}

/// Returns the kind of the I/O error that caused `error`, or `None` if the cause is not an I/O error.
fn io_cause(error: &hyper::Error) -> Option<IoCause> {
    let io_error = error.source()?.downcast_ref::<io::Error>()?;
    Some(io_error.kind().into())
}

/// Converts an error on an open connection to a [`StoreError`].
fn cause_of(error: &hyper::Error) -> StoreError {
    if error.is_parse() {
        StoreError::InvalidReply
    } else {
        StoreError::Disconnected(io_cause(error))
    }
}

async fn handshake<S>(stream: S) -> Result<(Connection, Driver), StoreError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut settings = http1::Builder::new();
    settings.max_buf_size(MAX_HEAD_BYTES);
    let connection = settings.handshake(TokioIo::new(stream)).await;
    let (sender, driver) = connection.map_err(|error| StoreError::Unreachable(io_cause(&error)))?;
    let driver = async {
        // Ignore this error. If there is an HTTP request in flight, this request fails with the same error.
        let _ = driver.await;
    };
    let was_useful = Arc::new(AtomicBool::new(false));
    Ok((Connection { sender, idle_since: Instant::now(), was_useful }, Box::pin(driver)))
}
