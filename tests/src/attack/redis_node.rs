//! Starts and controls the Redis server of a measurement.

use std::{
    env, fs,
    hash::{BuildHasher, Hasher, RandomState},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use redis::{Client, Connection, FromRedisValue};

use super::{AttackResult, TIMEOUT, process::ChildProcess};

/// A Redis server that ends when this value is dropped.
#[derive(Debug)]
pub struct RedisNode {
    process: ChildProcess,
    port: u16,
    /// The folder for the state that the server stores about its cluster.
    folder: PathBuf,
}

impl RedisNode {
    /// Starts a server on a free port. `args` are additional command line arguments.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn start(args: &[String]) -> AttackResult<Self> {
        Self::start_with(|_| Ok(args.to_vec()))
    }

    /// Starts a server whose command line arguments depend on its port.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn start_with(args: impl Fn(u16) -> AttackResult<Vec<String>>) -> AttackResult<Self> {
        let program = env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        for _ in 0..10 {
            let port = free_port()?;
            let folder = env::temp_dir().join(format!("rateguard-attack-redis-{port}"));
            fs::create_dir_all(&folder)?;
            let child = Command::new(&program)
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args(["--save", "", "--appendonly", "no", "--dir"])
                .arg(&folder)
                .args(args(port)?)
                .stdout(Stdio::null())
                .spawn()?;
            let mut node = Self { process: ChildProcess(child), port, folder };
            if node.wait_until_up() {
                return Ok(node);
            }
        }
        Err("redis-server does not start".into())
    }

    fn wait_until_up(&mut self) -> bool {
        let (start, id) = (Instant::now(), f64::from(self.process.0.id()));
        while start.elapsed() < TIMEOUT && matches!(self.process.0.try_wait(), Ok(None)) {
            // Another process may have bound the port first. The process id in the reply shows whether the new
            // server sent the reply.
            if let Ok(process_id) = self.info("server", "process_id") {
                return process_id == id;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// The port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Opens a connection to the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not accept the connection.
    pub fn client(&self) -> AttackResult<Connection> {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let connection = client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        Ok(connection)
    }

    /// Runs a command and returns the reply.
    ///
    /// # Errors
    ///
    /// Returns an error if the reply is an error, or if it cannot be converted to `T`.
    pub fn command<T: FromRedisValue>(&self, words: &[&str]) -> AttackResult<T> {
        let (name, args) = words.split_first().ok_or("no command")?;
        Ok(redis::cmd(name).arg(args).query(&mut self.client()?)?)
    }

    /// Returns the number with this name from a section of the reply to `INFO`.
    ///
    /// # Errors
    ///
    /// Returns an error if the section does not contain the number.
    pub fn info(&self, section: &str, name: &str) -> AttackResult<f64> {
        let info: String = self.command(&["INFO", section])?;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| format!("no {name}"))?.parse()?)
    }

    /// The CPU time that the process has used until now, as reported by the operating system.
    ///
    /// # Errors
    ///
    /// Returns an error if the operating system does not report the CPU time.
    pub fn process_cpu(&self) -> AttackResult<Duration> {
        self.process.cpu()
    }

    /// The CPU time that the process has used until now, as reported by Redis.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not report the CPU time.
    pub fn cpu(&self) -> AttackResult<Duration> {
        let seconds = self.info("cpu", "used_cpu_user")? + self.info("cpu", "used_cpu_sys")?;
        Ok(Duration::from_secs_f64(seconds))
    }
}

impl Drop for RedisNode {
    fn drop(&mut self) {
        self.process.end();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Returns a free port. Redis uses the port plus 10,000 for the cluster bus, so this sum must also be a valid port.
fn free_port() -> AttackResult<u16> {
    for _ in 0..100 {
        // Each new hasher of the standard library has a different random seed, so each call of `finish` returns a
        // random number.
        let port = 12_000 + RandomState::new().build_hasher().finish() as u16 % 18_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port".into())
}
