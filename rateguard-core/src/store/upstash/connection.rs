//! One connection, and one request on it at a time.

use std::{
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

use super::{StoreError, address::Address, reply::StoreFuture};

/// How long it may take to look the name up, connect and agree on keys: several round trips around the world.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a server that has answered may take to read the rest of what it was asked.
const READY_TIMEOUT: Duration = Duration::from_secs(1);
/// More than any decision takes.
const LONGEST_HEAD: usize = 32 * 1024;
const LONGEST_BODY: usize = 64 * 1024;

/// The server, and how it is recognised.
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) tls: Arc<ClientConfig>,
}

/// An open connection, on which nobody waits for an answer.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Since when nobody has used it.
    pub(super) idle_since: Instant,
    /// Whether it was good for anything.
    pub(super) was_good: Arc<AtomicBool>,
}

impl Connection {
    /// The same as soon as it is good for another request, if it will be.
    pub(super) async fn ready(mut self) -> Option<Self> {
        timeout(READY_TIMEOUT, self.sender.ready()).await.ok()?.ok()?;
        self.idle_since = Instant::now();
        Some(self)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

/// What reads and writes on a connection, until it is closed.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What became of a request.
pub(super) enum BatchOutcome {
    /// The connection may be good for another one.
    Answered(StoreFuture, Connection),
    /// Nothing of it was sent.
    Unsent,
    /// It was sent, or may have been.
    Failed(StoreError),
}

impl Server {
    pub(super) async fn connect(&self) -> Result<(Connection, Driver), StoreError> {
        timeout(CONNECT_TIMEOUT, self.open()).await.unwrap_or(Err(StoreError::Unreachable))
    }

    async fn open(&self) -> Result<(Connection, Driver), StoreError> {
        let Address { host, port, tls, .. } = &self.address;
        let unreachable = |_| StoreError::Unreachable;
        let stream = TcpStream::connect((&**host, *port)).await.map_err(unreachable)?;
        // A check is one small packet; waiting for more to send with it would only delay it.
        stream.set_nodelay(true).map_err(unreachable)?;
        let Some(name) = tls else { return shake_hands(stream).await };
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        shake_hands(connector.connect(name.clone(), stream).await.map_err(unreachable)?).await
    }

    /// Sends a command, and reads the answer to its end. Whoever drops this closes the connection: that is how HTTP/1.1 takes
    /// a request back.
    pub(super) async fn exchange(
        &self,
        command: Bytes,
        mut connection: Connection,
    ) -> BatchOutcome {
        let response = match connection.sender.try_send_request(self.request(command)).await {
            Ok(response) => response,
            Err(mut error) => {
                return if error.take_message().is_some() {
                    BatchOutcome::Unsent
                } else {
                    BatchOutcome::Failed(why(error.error()))
                };
            }
        };
        let status = response.status();
        let body = match Limited::new(response.into_body(), LONGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                let too_long = StoreError::InvalidReply;
                return BatchOutcome::Failed(error.downcast_ref().map_or(too_long, why));
            }
        };
        connection.was_good.store(true, Relaxed);
        BatchOutcome::Answered(StoreFuture { status, body }, connection)
    }

    fn request(&self, command: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(command));
        *request.method_mut() = Method::POST;
        let fields = request.headers_mut();
        fields.insert(header::HOST, self.address.host_field.clone());
        fields.insert(header::AUTHORIZATION, self.address.authorization.clone());
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

/// Why there was no answer on an open connection.
fn why(error: &hyper::Error) -> StoreError {
    if error.is_parse() { StoreError::InvalidReply } else { StoreError::Disconnected }
}

async fn shake_hands<S>(stream: S) -> Result<(Connection, Driver), StoreError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut settings = http1::Builder::new();
    settings.max_buf_size(LONGEST_HEAD);
    let shaken = settings.handshake(TokioIo::new(stream)).await;
    let (sender, driver) = shaken.map_err(|_| StoreError::Unreachable)?;
    let driver = async {
        // Whoever waits for an answer is told why there is none.
        let _ = driver.await;
    };
    let was_good = Arc::new(AtomicBool::new(false));
    Ok((Connection { sender, idle_since: Instant::now(), was_good }, Box::pin(driver)))
}
