//! A Redis server of one measurement's own.

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

use super::{Outcome, PATIENCE, process::OwnProcess};

/// A server that ends with this value.
#[derive(Debug)]
pub struct RedisNode {
    process: OwnProcess,
    port: u16,
    /// Where it keeps the state of its cluster.
    folder: PathBuf,
}

impl RedisNode {
    /// Starts one on a free port, with further arguments.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(args: &[String]) -> Outcome<Self> {
        Self::start_with(|_| Ok(args.to_vec()))
    }

    /// Starts one with arguments that depend on its port.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_with(args: impl Fn(u16) -> Outcome<Vec<String>>) -> Outcome<Self> {
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
            let mut node = Self { process: OwnProcess(child), port, folder };
            if node.is_up_soon() {
                return Ok(node);
            }
        }
        Err("redis-server does not start".into())
    }

    fn is_up_soon(&mut self) -> bool {
        let (start, id) = (Instant::now(), f64::from(self.process.0.id()));
        while start.elapsed() < PATIENCE && matches!(self.process.0.try_wait(), Ok(None)) {
            // Another server may have been faster to take the port.
            if let Ok(answering) = self.info("server", "process_id") {
                return answering == id;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection of the measurement's own.
    ///
    /// # Errors
    ///
    /// If the server does not accept it.
    pub fn client(&self) -> Outcome<Connection> {
        let client = Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let connection = client.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        Ok(connection)
    }

    /// Its reply to a command.
    ///
    /// # Errors
    ///
    /// If that is an error, or of another type.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Outcome<T> {
        let (name, args) = words.split_first().ok_or("no command")?;
        Ok(redis::cmd(name).arg(args).query(&mut self.client()?)?)
    }

    /// A number in a section of `INFO`.
    ///
    /// # Errors
    ///
    /// If it is not there.
    pub fn info(&self, section: &str, name: &str) -> Outcome<f64> {
        let info: String = self.ask(&["INFO", section])?;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.ok_or_else(|| format!("no {name}"))?.parse()?)
    }

    /// CPU time so far, as the system sees it.
    ///
    /// # Errors
    ///
    /// If the system does not tell.
    pub fn process_cpu(&self) -> Outcome<Duration> {
        self.process.cpu()
    }

    /// CPU time so far, as the server sees it.
    ///
    /// # Errors
    ///
    /// If the server does not tell.
    pub fn cpu(&self) -> Outcome<Duration> {
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

/// A free port that leaves room for the cluster bus, whose port is higher by 10,000.
fn free_port() -> Outcome<u16> {
    for _ in 0..100 {
        // Two hashers of the standard library have different random seeds.
        let port = 12_000 + RandomState::new().build_hasher().finish() as u16 % 18_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port".into())
}
