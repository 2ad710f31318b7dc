//! A real Redis for one test, on a free port of 127.0.0.1.

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

use rateguard::{RateGuard, RateGuardBuilder};
use redis::{Connection, FromRedisValue};

use super::{PATIENCE, eventually, folder::Folder};

pub struct RedisServer {
    child: Child,
    place: Place,
    port: u16,
    args: Vec<String>,
    folder: Folder,
}

/// Where a server runs.
#[derive(Clone)]
pub struct Place {
    pub host: String,
    /// A program and its arguments that runs what follows them in its stead, as `env` and `ip netns exec` do.
    pub within: Vec<String>,
}

impl Place {
    pub fn usual() -> Self {
        Self { host: "127.0.0.1".to_owned(), within: Vec::new() }
    }
}

impl RedisServer {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further command-line arguments, of which what ends in `.conf` is a file with settings.
    pub fn start_with(args: &[&str]) -> Self {
        Self::start_in(Place::usual(), args)
    }

    /// Elsewhere than usual.
    pub fn start_in(place: Place, args: &[&str]) -> Self {
        // Another process may take the port before the server does.
        let started = (0..10).find_map(|_| Self::try_start(place.clone(), free_port(), args));
        started.expect("redis-server starts")
    }

    /// A server that may be started at this port later.
    pub fn start_at(port: u16) -> Self {
        let started = Self::try_start(Place::usual(), port, &[]);
        started.expect("redis-server starts where it could have before")
    }

    /// `None` if the port is taken.
    fn try_start(place: Place, port: u16, args: &[&str]) -> Option<Self> {
        let folder = Folder::new();
        let own = ["--dir", folder.text()];
        let args: Vec<String> = own.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        let child = spawn(&place, port, &args)?;
        Some(Self { child, place, port, args, folder })
    }

    /// Where it keeps its data.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://{}:{}", self.place.host, self.port)
    }

    /// A guard on this server that answers however slow the machine is.
    pub fn guard(&self, prefix: &str) -> RateGuard {
        self.settings(prefix).deadline(PATIENCE).build().unwrap()
    }

    /// A guard on this server with the usual deadline, that asks it for each check.
    pub fn settings(&self, prefix: &str) -> RateGuardBuilder {
        self.as_usual(prefix).remember_denials(Duration::ZERO)
    }

    /// The same with all that is usual.
    pub fn as_usual(&self, prefix: &str) -> RateGuardBuilder {
        RateGuard::redis(self.url()).prefix(prefix)
    }

    /// A connection of the test's own.
    pub fn client(&self) -> Connection {
        connect(&self.place.host, self.port).expect("the server of this test answers")
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
            eventually("redis-server starts again", || spawn(&self.place, self.port, &self.args));
    }

    /// Stops it in the middle of whatever it does: connections stay, answers do not come.
    pub fn freeze(&self) {
        self.signal("-STOP");
        // Which takes a moment, in which it may go on.
        eventually("it has stopped", || {
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

/// What the server answers to this command, whose words have blanks between them.
pub fn run<T: FromRedisValue>(client: &mut Connection, command: &str) -> T {
    let mut words = command.split(' ');
    let mut built = redis::cmd(words.next().unwrap());
    built.arg(words.collect::<Vec<_>>());
    built.query(client).unwrap_or_else(|error| panic!("{command}: {error}"))
}

/// How many entries there are in a packed log of which none has expired.
pub fn logged(client: &mut Connection, key: &str) -> u32 {
    let log: Vec<u8> = redis::cmd("GET").arg(key).query(client).unwrap();
    let (entries, rest) = log.as_chunks::<13>();
    assert_eq!(rest, b"");
    entries.len().try_into().unwrap()
}

/// A number that the server tells about itself.
pub fn statistic(client: &mut Connection, name: &str) -> u64 {
    let info: String = run(client, "INFO stats");
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().parse().unwrap()
}

/// How many connections the server has taken so far.
pub fn connections_so_far(client: &mut Connection) -> u64 {
    statistic(client, "total_connections_received")
}

/// Ends all connections but this one.
pub fn end_connections(client: &mut Connection) {
    let _: u64 = run(client, "CLIENT KILL TYPE normal SKIPME yes");
}

/// Returns the server's program: `scripts/test` says which one, and installs one if there is none.
///
/// It panics in a test of `without_redis`, which `scripts/matrix` would not run on this program. The test runner names the
/// thread of a test after it.
pub fn program() -> OsString {
    let thread = thread::current();
    let skipped = thread.name().is_some_and(|name| name.starts_with("without_redis::"));
    assert!(!skipped, "a test in `without_redis/` starts no Redis server; move it out of there");
    env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// A server at this port, unless the port is taken.
fn spawn(place: &Place, port: u16, args: &[String]) -> Option<Child> {
    let mut command = place.within.iter().map(OsString::from).chain([program()]);
    // A file comes before all that overrules it.
    let (files, args): (Vec<&String>, Vec<_>) = args.iter().partition(|arg| arg.ends_with(".conf"));
    let mut child = Command::new(command.next().unwrap())
        .args(command)
        .args(files)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            &place.host,
            "--save",
            "",
            "--appendonly",
            "no",
        ])
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a Redis server is installed; `scripts/test` sees to that");
    let up = eventually("redis-server answers", || match child.try_wait().unwrap() {
        Some(_exited) => Some(false),
        None => answers(&place.host, port, child.id()).then_some(true),
    });
    up.then_some(child)
}

/// Whether it is this process that answers there, not one that was quicker to take the port.
fn answers(host: &str, port: u16, process: u32) -> bool {
    let Ok(mut connection) = connect(host, port) else { return false };
    match redis::cmd("INFO").arg("server").query::<String>(&mut connection) {
        Ok(about) => about.lines().any(|line| line == format!("process_id:{process}")),
        // It asks for a password, or has to read its data first, so it is there.
        Err(error) => matches!(error.code(), Some("LOADING" | "NOAUTH")),
    }
}

fn connect(host: &str, port: u16) -> redis::RedisResult<Connection> {
    redis::Client::open(format!("redis://{host}:{port}"))?.get_connection()
}
