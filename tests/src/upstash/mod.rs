//! A stand-in for Upstash: a server with its REST interface in front of a real Redis server.

mod database;
pub mod http_server;
mod rest_server;

pub use self::rest_server::RestServer;
