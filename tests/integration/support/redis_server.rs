//! A Redis server for one test, on a free port of 127.0.0.1.

use std::{
    env,
    ffi::OsString,
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use actix_rateguard::{RateGuard, RateGuardBuilder, builder::Redis};
use redis::{Connection, FromRedisValue};

use super::{TEST_TIMEOUT, eventually, folder::Folder};

pub struct RedisServer {
    child: Child,
    location: Location,
    port: u16,
    args: Vec<String>,
    folder: Folder,
}

/// The address of a server, and the wrapper that starts its process.
#[derive(Clone)]
pub struct Location {
    pub host: String,
    /// The words before the server's command line: a program that runs the command, such as `env` or `ip netns exec`.
    pub wrapper: Vec<String>,
}

impl Location {
    pub fn local() -> Self {
        Self { host: "127.0.0.1".to_owned(), wrapper: Vec::new() }
    }
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with further command-line arguments; an argument that ends in `.conf` is a settings file.
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_at_location(Location::local(), args)
    }

    /// Starts a server at another location than 127.0.0.1.
    pub fn start_at_location(location: Location, args: &[&str]) -> Self {
        // Another process may take the port before the server does, so the function tries several ports.
        let started = (0..10).find_map(|_| Self::try_start(location.clone(), free_port(), args));
        started.expect("redis-server starts")
    }

    /// Starts a server at a port that the test has chosen before.
    pub fn start_at(port: u16) -> Self {
        let started = Self::try_start(Location::local(), port, &[]);
        started.expect("redis-server starts at its port")
    }

    /// Starts a server, or returns `None` if the port is taken.
    fn try_start(location: Location, port: u16, args: &[&str]) -> Option<Self> {
        let folder = Folder::new();
        let own = ["--dir", folder.text()];
        let args: Vec<String> = own.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        let child = spawn(&location, port, &args)?;
        Some(Self { child, location, port, args, folder })
    }

    /// The server's working folder, with its RDB file.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.location.host, self.port)
    }

    /// A guard on this server without a denial cache, with a deadline of [`TEST_TIMEOUT`] for slow machines.
    pub fn guard(&self, prefix: &str) -> RateGuard {
        self.settings(prefix).deadline(TEST_TIMEOUT).build().unwrap()
    }

    /// Settings of a guard on this server without a denial cache, with the default deadline.
    pub fn settings(&self, prefix: &str) -> RateGuardBuilder<Redis> {
        self.settings_with_denial_cache(prefix).denial_cache_ttl(Duration::ZERO)
    }

    /// Settings of a guard on this server with only default values.
    pub fn settings_with_denial_cache(&self, prefix: &str) -> RateGuardBuilder<Redis> {
        RateGuard::redis(self.url()).prefix(prefix)
    }

    /// A new connection to this server.
    pub fn client(&self) -> Connection {
        connect(&self.location.host, self.port).expect("the test's server accepts connections")
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills the server and starts it again without data.
    pub fn restart(&mut self) {
        self.kill();
        // The server may have saved its data to this file for replication.
        let _ = fs::remove_file(self.folder.path().join("dump.rdb"));
        self.restart_with_data();
    }

    /// Starts a killed server again with its saved data.
    pub fn restart_with_data(&mut self) {
        self.child = eventually("redis-server starts again", || {
            spawn(&self.location, self.port, &self.args)
        });
    }

    /// Stops the process with SIGSTOP: connections stay open, and no reply is sent.
    pub fn freeze(&self) {
        self.signal("-STOP");
        // The process may run for a moment after the signal.
        eventually("the process is stopped", || {
            let state = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
            state.contains(") T ").then_some(())
        });
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
        // SIGKILL also ends a stopped process.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // A cluster node also listens on a second port, which is higher by 10,000.
        if port < u16::MAX - 10_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

pub fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// Runs a command, given as words with single spaces between them.
pub fn run<T: FromRedisValue>(client: &mut Connection, command: &str) -> T {
    let mut words = command.split(' ');
    let mut built = redis::cmd(words.next().unwrap());
    built.arg(words.collect::<Vec<_>>());
    built.query(client).unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// The number of entries in a packed log that has no expired entry.
pub fn packed_log_len(client: &mut Connection, key: &str) -> u32 {
    let log: Vec<u8> = redis::cmd("GET").arg(key).query(client).unwrap();
    let (entries, rest) = log.as_chunks::<13>();
    assert_eq!(rest, b"");
    entries.len().try_into().unwrap()
}

/// Returns a number from the section `stats` of `INFO`.
pub fn info_stat(client: &mut Connection, name: &str) -> u64 {
    let info: String = run(client, "INFO stats");
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().parse().unwrap()
}

/// The number of connections that the server has accepted since its start.
pub fn total_connections(client: &mut Connection) -> u64 {
    info_stat(client, "total_connections_received")
}

/// Closes all connections except this one.
pub fn kill_connections(client: &mut Connection) {
    let _: u64 = run(client, "CLIENT KILL TYPE normal SKIPME yes");
}

/// Returns the server's executable: `REDIS_SERVER`, which `scripts/test` sets, or `redis-server`.
///
/// The function panics in tests of `without_redis`, because `scripts/matrix` does not run these tests with each server
/// version. The thread of a test has the name of the test.
pub fn program() -> OsString {
    let thread = thread::current();
    let is_forbidden = thread.name().is_some_and(|name| name.starts_with("without_redis::"));
    assert!(!is_forbidden, "tests in `without_redis/` must not start Redis; move this test");
    env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// Starts a server at this port, or returns `None` if the port is taken.
fn spawn(location: &Location, port: u16, args: &[String]) -> Option<Child> {
    let mut command = location.wrapper.iter().map(OsString::from).chain([program()]);
    // Redis expects the settings file before the options that override it.
    let (files, args): (Vec<&String>, Vec<_>) = args.iter().partition(|arg| arg.ends_with(".conf"));
    let mut child = Command::new(command.next().unwrap())
        .args(command)
        .args(files)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            &location.host,
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("no Redis server is installed; run `scripts/test`, which installs one");
    let is_up =
        eventually("redis-server accepts connections", || match child.try_wait().unwrap() {
            Some(_exited) => Some(false),
            None => is_listening(&location.host, port, child.id()).then_some(true),
        });
    is_up.then_some(child)
}

/// Whether this process listens on the port, and not another process that took the port first.
fn is_listening(host: &str, port: u16, process: u32) -> bool {
    let Ok(mut connection) = connect(host, port) else { return false };
    match redis::cmd("INFO").arg("server").query::<String>(&mut connection) {
        Ok(info) => info.lines().any(|line| line == format!("process_id:{process}")),
        // A server that requires a password or still loads its data is listening, too.
        Err(error) => matches!(error.code(), Some("LOADING" | "NOAUTH")),
    }
}

fn connect(host: &str, port: u16) -> redis::RedisResult<Connection> {
    redis::Client::open(format!("redis://{host}:{port}"))?.get_connection()
}
