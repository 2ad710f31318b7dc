//! A real Redis for one test, on a free port of 127.0.0.1.

use std::{
    env, fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use rateguard::{RateGuard, RateGuardBuilder};

use super::{PATIENCE, eventually, folder::Folder};

pub struct RedisServer {
    child: Child,
    port: u16,
    args: Vec<String>,
    folder: Folder,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further command-line arguments, of which what ends in `.conf` is a file with settings.
    pub fn start_with(args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        // Another process may take the port before the server does.
        let folder = Folder::new();
        for _ in 0..10 {
            let port = free_port();
            if let Some(child) = spawn(port, &folder, &args) {
                return Self { child, port, args, folder };
            }
        }
        panic!("redis-server does not start");
    }

    /// A server that may be started at this port later.
    pub fn start_at(port: u16) -> Self {
        let folder = Folder::new();
        let child =
            spawn(port, &folder, &[]).expect("redis-server starts where it could have before");
        Self { child, port, args: Vec::new(), folder }
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        url(self.port)
    }

    /// A guard on this server that answers however slow the machine is.
    pub fn guard(&self, prefix: &str) -> RateGuard {
        self.settings(prefix).deadline(PATIENCE).build().unwrap()
    }

    /// A guard on this server with the usual deadline.
    pub fn settings(&self, prefix: &str) -> RateGuardBuilder {
        RateGuard::redis(self.url()).prefix(prefix)
    }

    /// A connection of the test's own.
    pub fn client(&self) -> redis::Connection {
        connect(self.port).expect("the server of this test answers")
    }

    /// Kills it, as the kernel does when memory is short.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills it if it lives and starts an empty one in its place.
    pub fn restart(&mut self) {
        self.kill();
        // What it had from a primary or for a replica.
        let _ = fs::remove_file(self.folder.path().join("dump.rdb"));
        self.revive();
    }

    /// Starts one in the place of one that was killed, with what that one had saved.
    pub fn revive(&mut self) {
        self.child =
            eventually("redis-server starts again", || spawn(self.port, &self.folder, &self.args));
    }

    /// Stops it in the middle of whatever it does: connections stay, answers do not come.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // A stopped process is killed as well as a running one.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The nodes of a cluster speak to each other on a port that is higher by so much.
        if port < u16::MAX - 10_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

pub fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// A server at this port, unless the port is taken.
fn spawn(port: u16, folder: &Folder, args: &[String]) -> Option<Child> {
    // `scripts/test` says which server, and installs one if there is none.
    let program = env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    // A file comes before all that overrules it.
    let (files, args): (Vec<&String>, Vec<_>) = args.iter().partition(|arg| arg.ends_with(".conf"));
    let mut child = Command::new(program)
        .args(files)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
            folder.text(),
        ])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a Redis server is installed; `scripts/test` sees to that");
    let up = eventually("redis-server answers", || match child.try_wait().unwrap() {
        Some(_exited) => Some(false),
        None => answers(port).then_some(true),
    });
    up.then_some(child)
}

fn answers(port: u16) -> bool {
    let Ok(mut connection) = connect(port) else { return false };
    match redis::cmd("PING").query::<String>(&mut connection) {
        Ok(_) => true,
        // It asks for a password, so it is there.
        Err(error) => error.code() == Some("NOAUTH"),
    }
}

fn connect(port: u16) -> redis::RedisResult<redis::Connection> {
    redis::Client::open(url(port))?.get_connection()
}
