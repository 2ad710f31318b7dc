//! Serves the REST interface of Upstash in front of a Redis server that it starts, to test clients in other languages
//! against the stand-in of the tests: `upstash_fixture_server TOKEN`.
//!
//! The first line of output is the port that the system chose. The server ends when its standard input is closed.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{
    env,
    error::Error,
    io,
    net::{Ipv4Addr, TcpListener},
};

use rateguard_tests::{attack::redis_node::RedisNode, upstash::RestServer};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let token = env::args().nth(1).ok_or("usage: upstash_fixture_server TOKEN")?;
    let redis = RedisNode::start(&[])?;
    let url = format!("redis://127.0.0.1:{}", redis.port());
    // The server knows its port before it starts, because the port is a part of its host name.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let _server = RestServer::start(port, None, &url, &token)?;
    println!("{port}");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
