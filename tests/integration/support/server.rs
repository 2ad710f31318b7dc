//! A real actix-web server in this process, for what must cross a socket.

use std::{net::SocketAddr, sync::mpsc, thread};

use actix_web::{App, HttpServer, dev::ServerHandle, web::ServiceConfig};

use super::PATIENCE;

pub struct Server {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Server {
    /// Serves an application that `configure` makes, with two workers.
    pub fn start(configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = HttpServer::new(move || App::new().configure(configure.clone()))
                    .workers(2)
                    .disable_signals()
                    .bind("127.0.0.1:0")
                    .unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                tell.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, handle) = told.recv().unwrap();
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
        // What it is told to do it does on its own thread.
        drop(self.handle.stop(false));
    }
}

/// A response with its body read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
    headers: ureq::http::HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// A header that holds a number.
    pub fn number(&self, name: &str) -> u64 {
        self.header(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).parse().unwrap()
    }
}

/// Asks a server, from this machine.
pub fn get(url: &str) -> Answer {
    try_get(&agent(), url).unwrap()
}

/// A client that keeps its connections.
pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(PATIENCE)).build().into()
}

/// Asks a server that may be gone.
pub fn try_get(agent: &ureq::Agent, url: &str) -> Result<Answer, ureq::Error> {
    let mut response = agent.get(url).call()?;
    Ok(Answer {
        status: response.status().as_u16(),
        body: response.body_mut().read_to_string()?,
        headers: response.headers().clone(),
    })
}

/// Sends a server this body of this media type.
pub fn post(url: &str, media_type: &str, body: &str) -> Answer {
    let mut response = agent().post(url).content_type(media_type).send(body).unwrap();
    Answer {
        status: response.status().as_u16(),
        body: response.body_mut().read_to_string().unwrap(),
        headers: response.headers().clone(),
    }
}
