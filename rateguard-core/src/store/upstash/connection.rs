//! An HTTP/1.1 connection, which carries one HTTP request at a time.

use std::{
    error::Error as _,
    io::{self, ErrorKind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

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

/// The maximum time for the DNS lookup, the TCP handshake and the TLS handshake. This time is sufficient for several
/// round trips between continents.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The maximum time after a reply until the connection is ready for the next HTTP request. A slower connection is not
/// used again.
const READY_TIMEOUT: Duration = Duration::from_secs(1);
/// The maximum sizes of an HTTP response. Every valid decision is smaller.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_BODY_BYTES: usize = 64 * 1024;

/// An Upstash server, and the TLS configuration for its connections.
pub(super) struct RestServer {
    pub(super) endpoint: Endpoint,
    pub(super) tls: Arc<ClientConfig>,
}

/// An open connection without an HTTP request in flight.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// The time at which the last HTTP request on the connection was complete.
    pub(super) idle_since: Instant,
    /// Whether an HTTP request on the connection was complete or cancelled. If not, a loss of the connection counts as
    /// a failure to connect.
    pub(super) was_useful: Arc<AtomicBool>,
}

impl Connection {
    /// Waits until the connection is ready for another HTTP request. Returns `None` if the connection cannot be used
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

/// The future that reads and writes on a connection until the connection is closed.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The outcome of an HTTP request on a connection.
pub(super) enum ExchangeOutcome {
    /// The server replied. The connection may be ready for another HTTP request.
    Replied(RestReply, Connection),
    /// No part of the HTTP request was sent, so another connection can send the command.
    Unsent,
    /// The HTTP request failed, and a part of the request may have been sent. The command is not sent again, because
    /// the server may have run it.
    Failed(StoreError),
}

impl RestServer {
    pub(super) async fn connect(&self) -> Result<(Connection, Driver), StoreError> {
        timeout(CONNECT_TIMEOUT, self.open())
            .await
            .unwrap_or_else(|_| Err(unreachable(ErrorKind::TimedOut)))
    }

    async fn open(&self) -> Result<(Connection, Driver), StoreError> {
        let Endpoint { host, port, tls, .. } = &self.endpoint;
        let unreachable = |error: io::Error| unreachable(error.kind());
        let stream = TcpStream::connect((&**host, *port)).await.map_err(unreachable)?;
        // Nagle's algorithm would delay small requests.
        stream.set_nodelay(true).map_err(unreachable)?;
        let Some(name) = tls else { return handshake(stream).await };
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        handshake(connector.connect(name.clone(), stream).await.map_err(unreachable)?).await
    }

    /// Sends a command and reads the reply. If the future is dropped, the connection closes, because HTTP/1.1 cannot
    /// cancel a request in another way.
    pub(super) async fn exchange(
        &self,
        command: Bytes,
        mut connection: Connection,
    ) -> ExchangeOutcome {
        let response = match connection.sender.try_send_request(self.request(command)).await {
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
        let body = match Limited::new(response.into_body(), MAX_BODY_BYTES).collect().await {
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

/// Returns the kind of the I/O error that caused this error, if there is one.
fn io_cause(error: &hyper::Error) -> Option<IoCause> {
    let io_error = error.source()?.downcast_ref::<io::Error>()?;
    Some(io_error.kind().into())
}

/// Returns the cause of an error on an open connection.
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
        // Ignore the error, because the HTTP request in flight, if there is one, also fails with it.
        let _ = driver.await;
    };
    let was_useful = Arc::new(AtomicBool::new(false));
    Ok((Connection { sender, idle_since: Instant::now(), was_useful }, Box::pin(driver)))
}
