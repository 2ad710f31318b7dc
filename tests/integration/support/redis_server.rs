//! Starts and controls a Redis server for one test, on a free port of 127.0.0.1.

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

/// The host of a server, and the wrapper with which its process is started.
#[derive(Clone)]
pub struct Location {
    pub host: String,
    /// The words before the command line of the server. They are a program that runs this command line, such as `env`
    /// or `ip netns exec`.
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

    /// Starts a server with additional command line arguments. An argument that ends with `.conf` is the path of a
    /// settings file.
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_at_location(Location::local(), args)
    }

    /// Starts a server on the host of this location, with the wrapper of this location.
    pub fn start_at_location(location: Location, args: &[&str]) -> Self {
        // Another process may bind the port before the server does. Therefore the function tries several ports.
        let started = (0..10).find_map(|_| Self::try_start(location.clone(), free_port(), args));
        started.expect("redis-server starts")
    }

    /// Starts a server on a port that the test has already chosen.
    pub fn start_at(port: u16) -> Self {
        let started = Self::try_start(Location::local(), port, &[]);
        started.expect("redis-server starts at its port")
    }

    /// Starts a server. Returns `None` if another process uses the port.
    fn try_start(location: Location, port: u16, args: &[&str]) -> Option<Self> {
        let folder = Folder::new();
        let own = ["--dir", folder.text()];
        let args: Vec<String> = own.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        let child = spawn(&location, port, &args)?;
        Some(Self { child, location, port, args, folder })
    }

    /// Returns the working folder of the server, which also contains its RDB file.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.location.host, self.port)
    }

    /// Returns a guard on this server. The guard has no denial cache. Its deadline is [`TEST_TIMEOUT`], which is long
    /// enough for slow machines.
    pub fn guard(&self, prefix: &str) -> RateGuard {
        self.settings(prefix).deadline(TEST_TIMEOUT).build().unwrap()
    }

    /// Returns the settings of a guard on this server. The denial cache is disabled, and the deadline has its default
    /// value.
    pub fn settings(&self, prefix: &str) -> RateGuardBuilder<Redis> {
        self.settings_with_denial_cache(prefix).denial_cache_ttl(Duration::ZERO)
    }

    /// Returns the settings of a guard on this server. Except for the prefix, they have their default values, so the
    /// denial cache is enabled.
    pub fn settings_with_denial_cache(&self, prefix: &str) -> RateGuardBuilder<Redis> {
        RateGuard::redis(self.url()).prefix(prefix)
    }

    /// Opens a new connection to this server.
    pub fn client(&self) -> Connection {
        connect(&self.location.host, self.port).expect("the test's server accepts connections")
    }

    /// Opens a new connection to this server. The result is `None` if the server does not accept it or closes it.
    pub fn try_client(&self) -> Option<Connection> {
        connect(&self.location.host, self.port).ok()
    }

    /// Kills the server with the signal SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Kills the server, and starts it again without its data.
    pub fn restart(&mut self) {
        self.kill();
        // A primary may save its data to this file when it sends the data to a replica.
        let _ = fs::remove_file(self.folder.path().join("dump.rdb"));
        self.restart_with_data();
    }

    /// Starts the server again after it was killed. The server loads the data that it has saved.
    pub fn restart_with_data(&mut self) {
        self.child = eventually("redis-server starts again", || {
            spawn(&self.location, self.port, &self.args)
        });
    }

    /// Freezes the process with the signal SIGSTOP. Its connections stay open, but the server sends no replies.
    pub fn freeze(&self) {
        self.signal("-STOP");
        // The process may still run for a moment after the signal.
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
        // SIGKILL also ends a process that is frozen.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // A cluster node also needs a second port, whose number is higher by 10,000.
        if port < u16::MAX - 10_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

pub fn url(port: u16) -> String {
    format!("redis://127.0.0.1:{port}")
}

/// Runs a Redis command, whose words are separated by single spaces.
pub fn run<T: FromRedisValue>(client: &mut Connection, command: &str) -> T {
    let mut words = command.split(' ');
    let mut built = redis::cmd(words.next().unwrap());
    built.arg(words.collect::<Vec<_>>());
    built.query(client).unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// Returns the number of entries in a packed log, in which each entry has 13 bytes. The log must not contain expired
/// entries.
pub fn packed_log_len(client: &mut Connection, key: &str) -> u32 {
    let log: Vec<u8> = redis::cmd("GET").arg(key).query(client).unwrap();
    let (entries, rest) = log.as_chunks::<13>();
    assert_eq!(rest, b"");
    entries.len().try_into().unwrap()
}

/// Returns a number from the section `stats` of the reply to `INFO`.
pub fn info_stat(client: &mut Connection, name: &str) -> u64 {
    let info: String = run(client, "INFO stats");
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().parse().unwrap()
}

/// Returns the number of connections that the server has accepted since its start.
pub fn total_connections(client: &mut Connection) -> u64 {
    info_stat(client, "total_connections_received")
}

/// Closes all connections of clients to the server, except the connection `client`.
pub fn kill_connections(client: &mut Connection) {
    let _: u64 = run(client, "CLIENT KILL TYPE normal SKIPME yes");
}

/// Returns the path of the server program: the value of `REDIS_SERVER`, which `scripts/test` sets, or `redis-server`.
///
/// The function panics if a test of `without_redis` calls it, because `scripts/matrix` does not repeat these tests with
/// each version of Redis. The function finds the name of the test in the name of the thread.
pub fn program() -> OsString {
    let thread = thread::current();
    let is_forbidden = thread.name().is_some_and(|name| name.starts_with("without_redis::"));
    assert!(!is_forbidden, "tests in `without_redis/` must not start Redis; move this test");
    env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// Starts a server on this port. Returns `None` if another process uses the port.
fn spawn(location: &Location, port: u16, args: &[String]) -> Option<Child> {
    let mut command = location.wrapper.iter().map(OsString::from).chain([program()]);
    // Redis expects the settings file before the options, because the options override the settings of the file.
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

/// Returns whether the process with this id listens on the port. The result is `false` if another process has bound the
/// port first.
fn is_listening(host: &str, port: u16, process: u32) -> bool {
    let Ok(mut connection) = connect(host, port) else { return false };
    match redis::cmd("INFO").arg("server").query::<String>(&mut connection) {
        Ok(info) => info.lines().any(|line| line == format!("process_id:{process}")),
        // The server requires a password or is still loading its data. In both cases, it is listening.
        Err(error) => matches!(error.code(), Some("LOADING" | "NOAUTH")),
    }
}

fn connect(host: &str, port: u16) -> redis::RedisResult<Connection> {
    redis::Client::open(format!("redis://{host}:{port}"))?.get_connection()
}

/// Returns how many script calls the server has run.
pub fn script_calls(server: &RedisServer) -> u64 {
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut server.client()).unwrap();
    let calls = |line: &str| {
        let count = line.split_once("calls=")?.1.split_once(',')?.0;
        count.parse::<u64>().ok()
    };
    stats.lines().filter(|line| line.starts_with("cmdstat_eval")).filter_map(calls).sum()
}
