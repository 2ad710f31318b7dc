//! Controls the Redis server of a storm, which is a test that injects random faults. The process can be frozen or
//! killed, and it can be restarted with or without its data.

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

use super::{TIMEOUT, clock::Clock, process_signal, retry_until};

/// The credentials of the admin user. Faults that change the default user do not affect the admin user.
const ADMIN_CREDENTIALS: &str = "storm:storm";

/// A Redis process that stores its data in a separate folder.
#[derive(Debug)]
pub struct RedisProcess {
    child: Child,
    port: u16,
    folder: PathBuf,
    clock: Option<Clock>,
}

impl RedisProcess {
    /// Starts Redis with its data in a folder below `folder`. Without a `clock`, Redis uses the system clock.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not start.
    pub fn start(folder: &Path, clock: Option<Clock>) -> Result<Self> {
        let folder = folder.join("redis");
        fs::create_dir_all(&folder)?;
        for _ in 0..20 {
            let port = port();
            if let Ok(child) = spawn(port, &folder, clock.as_ref(), None) {
                return Ok(Self { child, port, folder, clock });
            }
        }
        Err(Error::other("redis-server does not start; run `scripts/test` to install it"))
    }

    /// Starts a replica of this Redis, and waits until it has all data. The replica uses the same clock.
    ///
    /// # Errors
    ///
    /// Returns an error if the replica does not start.
    pub fn start_replica(&self) -> Result<Self> {
        let port = port();
        let folder = self.folder.with_file_name(format!("redis-{port}"));
        fs::create_dir_all(&folder)?;
        let child = spawn(port, &folder, self.clock.as_ref(), Some(self.port))?;
        let replica = Self { child, port, folder, clock: self.clock.clone() };
        let synchronized = retry_until(TIMEOUT, || {
            let mut info = redis::cmd("INFO");
            let info: String = info.arg("replication").query(&mut replica.connect().ok()?).ok()?;
            info.contains("master_link_status:up").then_some(())
        });
        synchronized.map_err(|_| Error::other("the replica does not synchronize"))?;
        Ok(replica)
    }

    /// Returns whether a replica of this Redis can [take over](Self::take_over) its port. This needs Redis 7.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not accept a connection.
    pub fn can_be_replaced(&self) -> RedisResult<bool> {
        let set_own = ["CONFIG", "SET", "port", &self.port.to_string()];
        Ok(run_command(&mut self.connect()?, &set_own).is_ok())
    }

    /// Makes Redis listen on this port instead of its own. This needs Redis 7.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not listen on the port.
    pub fn take_over(&mut self, port: u16) -> Result<()> {
        let listening = retry_until(TIMEOUT, || {
            let mut connection = self.connect().ok()?;
            run_command(&mut connection, &["CONFIG", "SET", "port", &port.to_string()]).ok()
        });
        listening.map_err(|_| Error::other("the replica does not listen on the port"))?;
        self.port = port;
        Ok(())
    }

    /// The port of Redis.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The clock of Redis that faults can set forward or back; `None` if Redis uses the system clock.
    #[must_use]
    pub fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// Resumes Redis after a call of [`freeze`](Self::freeze).
    pub fn resume(&self) {
        process_signal::resume(self.id());
    }

    /// Freezes Redis, and waits until the process has stopped.
    pub fn freeze(&self) {
        process_signal::freeze(self.id());
    }

    /// Kills Redis with SIGKILL.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    /// Deletes all data. Redis must not be running during this call.
    ///
    /// # Errors
    ///
    /// Returns an error if the folder cannot be deleted.
    pub fn delete_data(&self) -> Result<()> {
        fs::remove_dir_all(&self.folder)?;
        fs::create_dir_all(&self.folder)
    }

    /// Starts Redis again after a call of [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not start.
    pub fn restart(&mut self) -> Result<()> {
        let clock = self.clock.as_ref();
        let started = retry_until(TIMEOUT, || spawn(self.port, &self.folder, clock, None).ok());
        self.child = started.map_err(|_| Error::other("redis-server does not restart"))?;
        Ok(())
    }

    /// Opens a connection as the admin user. A command on this connection may take up to 5 seconds.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not accept the connection.
    pub fn connect(&self) -> RedisResult<redis::Connection> {
        connect(self.port)
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        // SIGKILL also ends a process that is frozen.
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// Runs a command and returns the reply.
///
/// # Errors
///
/// Returns an error if the server returns an error, or if the connection fails.
pub fn run_command(connection: &mut redis::Connection, words: &[&str]) -> RedisResult<Value> {
    let (name, args) = words.split_first().unwrap_or((&"PING", &[]));
    redis::cmd(name).arg(args).query(connection)
}

/// Returns a free port below the range that the system uses for outgoing connections. Otherwise an outgoing
/// connection could get this port while Redis is not running.
fn port() -> u16 {
    loop {
        // Each new hasher of the standard library has a different random seed, so each call of `finish` returns a
        // random number.
        let port = 10_000 + RandomState::new().build_hasher().finish() as u16 % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Starts Redis. If `primary` is the port of another Redis, starts a replica of it.
fn spawn(port: u16, folder: &Path, clock: Option<&Clock>, primary: Option<u16>) -> Result<Child> {
    let program = env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let mut command = Command::new(program);
    if let Some(clock) = clock {
        clock.attach_to(&mut command);
    }
    if let Some(primary) = primary {
        command.args(["--replicaof", "127.0.0.1", &primary.to_string()]);
    }
    let mut child = command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(folder)
        .args(["--repl-diskless-sync-delay", "0"])
        .args(["--user", "storm", "on", ">storm", "~*", "&*", "+@all"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Another process may have bound the port first. The process id in the reply shows whether the new server sent
    // the reply.
    let own = format!("process_id:{}", child.id());
    let is_own = || {
        let info =
            redis::cmd("INFO").arg("server").query::<String>(&mut connect(port).ok()?).ok()?;
        Some(info.lines().any(|line| line == own))
    };
    let up = retry_until(TIMEOUT, || match child.try_wait() {
        Ok(None) => is_own(),
        _ => Some(false),
    });
    if up == Ok(true) {
        return Ok(child);
    }
    let _ = (child.kill(), child.wait());
    Err(Error::other("redis-server does not reply"))
}

/// Opens a connection to the Redis server at this port, as the admin user.
///
/// # Errors
///
/// Returns an error if Redis does not accept the connection.
pub fn connect(port: u16) -> RedisResult<redis::Connection> {
    let client = redis::Client::open(format!("redis://{ADMIN_CREDENTIALS}@127.0.0.1:{port}"))?;
    let connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(connection)
}
