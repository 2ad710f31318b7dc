//! A server with the REST interface that Upstash documents. It forwards commands to a real Redis server.

use std::{
    fmt, io,
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::ServerConfig;

use super::{database::Database, http_server::HttpServer};

/// A server with the REST interface of Upstash. It stops when this value is dropped.
pub struct RestServer {
    http: HttpServer,
    commands: Arc<Mutex<Vec<String>>>,
}

impl RestServer {
    /// Starts a server on this port of 127.0.0.1, with TLS if `tls` is set. It forwards commands to the Redis server at
    /// the URL `redis`, and requires the access token `token`.
    ///
    /// # Errors
    ///
    /// Returns an error if another process uses the port, or if the URL is invalid.
    pub fn start(
        port: u16,
        tls: Option<ServerConfig>,
        redis: &str,
        token: &str,
    ) -> io::Result<Self> {
        let commands = Arc::new(Mutex::default());
        let database = Database {
            redis: redis::Client::open(redis).map_err(io::Error::other)?,
            token: token.to_owned(),
            host: format!("127.0.0.1:{port}"),
            commands: Arc::clone(&commands),
        };
        let http = HttpServer::start_at(port, tls, move |request| database.respond(request))?;
        Ok(Self { http, commands })
    }

    /// Returns the URL of the server without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    /// Returns the names of all commands that the server has received.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for RestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestServer").field("port", &self.port()).finish_non_exhaustive()
    }
}

impl Deref for RestServer {
    type Target = HttpServer;

    fn deref(&self) -> &HttpServer {
        &self.http
    }
}
