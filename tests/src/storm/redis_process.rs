//! The Redis that the storm is about: a process of its own, that keeps what it is told or forgets it.

use std::{
    env, fs,
    hash::{BuildHasher, Hasher, RandomState},
    io::{Error, Result},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{RedisResult, Value};

use super::{PATIENCE, clock::Clock, within};

/// Who gives orders, whatever the rights and the password of others are.
const ORDERS: &str = "storm:storm";

/// A server in a folder of its own.
#[derive(Debug)]
pub struct RedisProcess {
    child: Child,
    port: u16,
    folder: PathBuf,
    clock: Option<Clock>,
}

impl RedisProcess {
    /// Starts it, with what it keeps below this folder, and this clock or the system's.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(folder: &Path, clock: Option<Clock>) -> Result<Self> {
        let folder = folder.join("redis");
        fs::create_dir_all(&folder)?;
        for _ in 0..20 {
            let port = port();
            if let Ok(child) = spawn(port, &folder, clock.as_ref()) {
                return Ok(Self { child, port, folder, clock });
            }
        }
        Err(Error::other("no Redis server starts; `scripts/test` says how to get one"))
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its clock, if it has one of its own.
    #[must_use]
    pub fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// Lets it go on after it was stopped.
    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
    }

    /// Stops it, and waits until it does nothing any more.
    pub fn stop(&self) {
        self.signal("STOP");
        // Its state is the first word after its name, which is in brackets. Where there is no `/proc`, nobody can tell.
        let stat = || fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok();
        let _ = within(PATIENCE, || match stat() {
            Some(stat) => stat.rsplit(')').next()?.trim_start().starts_with('T').then_some(()),
            None => Some(()),
        });
    }

    /// Kills it, as the kernel does when memory is short.
    ///
    /// # Errors
    ///
    /// If that cannot be.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Lets it forget everything, while it is not there.
    ///
    /// # Errors
    ///
    /// If that cannot be.
    pub fn forget(&self) -> Result<()> {
        fs::remove_dir_all(&self.folder)?;
        fs::create_dir_all(&self.folder)
    }

    /// Starts it again after it was killed.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_again(&mut self) -> Result<()> {
        let clock = self.clock.as_ref();
        let started = within(PATIENCE, || spawn(self.port, &self.folder, clock).ok());
        self.child = started.map_err(|_| Error::other("the Redis server does not start again"))?;
        Ok(())
    }

    /// A connection for orders, whose answers may take so long.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    pub fn connect(&self) -> RedisResult<redis::Connection> {
        connect(self.port)
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        // A stopped process is killed as well as a running one.
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// Gives an order.
///
/// # Errors
///
/// As the server says.
pub fn order(connection: &mut redis::Connection, words: &[&str]) -> RedisResult<Value> {
    let (name, args) = words.split_first().unwrap_or((&"PING", &[]));
    redis::cmd(name).arg(args).query(connection)
}

/// A port below those that the system gives to outgoing connections, which might take it while the server is away.
fn port() -> u16 {
    loop {
        // Two hashers of the standard library have different random seeds.
        let port = 10_000 + RandomState::new().build_hasher().finish() as u16 % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn spawn(port: u16, folder: &Path, clock: Option<&Clock>) -> Result<Child> {
    let program = env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let mut command = Command::new(program);
    if let Some(clock) = clock {
        clock.give_to(&mut command);
    }
    let mut child = command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(folder)
        .args(["--user", "storm", "on", ">storm", "~*", "&*", "+@all"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Another storm may have been faster to take the port.
    let own = format!("process_id:{}", child.id());
    let answers = || {
        let info =
            redis::cmd("INFO").arg("server").query::<String>(&mut connect(port).ok()?).ok()?;
        Some(info.lines().any(|line| line == own))
    };
    let up = within(PATIENCE, || match child.try_wait() {
        Ok(None) => answers(),
        _ => Some(false),
    });
    if up == Ok(true) {
        return Ok(child);
    }
    let _ = (child.kill(), child.wait());
    Err(Error::other("it does not answer"))
}

fn connect(port: u16) -> RedisResult<redis::Connection> {
    let client = redis::Client::open(format!("redis://{ORDERS}@127.0.0.1:{port}"))?;
    let connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(connection)
}
