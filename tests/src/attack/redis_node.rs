//! A Redis server of a measurement.

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
    /// The folder in which the Redis server stores the state of its cluster.
    folder: PathBuf,
}

impl RedisNode {
    /// Starts a server on a free port, with additional arguments.
    ///
    /// # Errors
    ///
    /// If the server does not start.
    pub fn start(args: &[String]) -> AttackResult<Self> {
        Self::start_with(|_| Ok(args.to_vec()))
    }

    /// Starts a server whose arguments depend on its port.
    ///
    /// # Errors
    ///
    /// If the server does not start.
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
            // Another process may have bound the port first, so the process id is compared.
            if let Ok(process_id) = self.info("server", "process_id") {
                return process_id == id;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// If the server does not accept the connection.
    pub fn client(&self) -> AttackResult<Connection> {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let connection = client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        Ok(connection)
    }

    /// Runs a command and returns its reply.
    ///
    /// # Errors
    ///
    /// If the reply is an error or has another type.
    pub fn command<T: FromRedisValue>(&self, words: &[&str]) -> AttackResult<T> {
        let (name, args) = words.split_first().ok_or("no command")?;
        Ok(redis::cmd(name).arg(args).query(&mut self.client()?)?)
    }

    /// Reads a number from a section of `INFO`.
    ///
    /// # Errors
    ///
    /// If the section does not contain the number.
    pub fn info(&self, section: &str, name: &str) -> AttackResult<f64> {
        let info: String = self.command(&["INFO", section])?;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| format!("no {name}"))?.parse()?)
    }

    /// The CPU time of the process so far, as reported by the operating system.
    ///
    /// # Errors
    ///
    /// If the operating system does not report the CPU time.
    pub fn process_cpu(&self) -> AttackResult<Duration> {
        self.process.cpu()
    }

    /// The CPU time so far, as reported by Redis.
    ///
    /// # Errors
    ///
    /// If Redis does not report the CPU time.
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

/// Returns a free port. The cluster bus uses this port plus 10,000, so the sum must also be a valid port.
fn free_port() -> AttackResult<u16> {
    for _ in 0..100 {
        // The hashers of the standard library have different random seeds, so each call returns a random number.
        let port = 12_000 + RandomState::new().build_hasher().finish() as u16 % 18_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port".into())
}
