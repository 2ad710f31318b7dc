//! Runs an actix-web server on a socket in this process, and provides a blocking HTTP client.

use std::{net::SocketAddr, sync::mpsc, thread};

use actix_web::{App, HttpServer, dev::ServerHandle, web::ServiceConfig};

use super::TEST_TIMEOUT;

pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Server {
    /// Starts a server with two workers. The function `configure` sets up the application.
    pub fn start(configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = HttpServer::new(move || App::new().configure(configure.clone()))
                    .workers(2)
                    .disable_signals()
                    .bind("127.0.0.1:0")
                    .unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                sender.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, handle) = receiver.recv().unwrap();
        Self { address, handle }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server runs on a separate thread, so it stops even if nothing awaits this future.
        drop(self.handle.stop(false));
    }
}

/// A response, including the whole body.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: String,
    headers: ureq::http::HeaderMap,
}

impl Response {
    /// Reads the whole body.
    pub fn read(response: ureq::http::Response<ureq::Body>) -> Self {
        Self::try_read(response).unwrap()
    }

    fn try_read(mut response: ureq::http::Response<ureq::Body>) -> Result<Self, ureq::Error> {
        Ok(Self {
            status: response.status().as_u16(),
            body: response.body_mut().read_to_string()?,
            headers: response.headers().clone(),
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the value of a header that contains a number.
    pub fn number(&self, name: &str) -> u64 {
        self.header(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).parse().unwrap()
    }
}

/// Sends a GET request on a new connection.
pub fn get(url: &str) -> Response {
    try_get(&agent(), url).unwrap()
}

/// Creates a client that uses its connections for several requests.
pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(TEST_TIMEOUT)).build().into()
}

/// Sends a GET request to a server that may be down.
pub fn try_get(agent: &ureq::Agent, url: &str) -> Result<Response, ureq::Error> {
    Response::try_read(agent.get(url).call()?)
}

/// Sends a POST request with this media type and this body.
pub fn post(url: &str, media_type: &str, body: &str) -> Response {
    Response::read(agent().post(url).content_type(media_type).send(body).unwrap())
}
