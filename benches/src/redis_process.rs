//! The Redis process of a measurement. Each measurement starts an empty one.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use redis::{Client, Connection, FromRedisValue};

use crate::{BenchResult, cpu_pinning};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A server that ends when this value is dropped.
pub struct RedisProcess {
    child: Child,
    port: u16,
}

/// The resources that a server has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// The CPU time in microseconds.
    pub cpu_us: f64,
    /// The number of commands, including those in scripts and transactions.
    pub commands: f64,
    /// The number of script calls.
    pub script_calls: f64,
}

/// The server program: the value of `REDIS_SERVER`, or `redis-server`.
#[must_use]
pub fn program() -> String {
    env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

impl RedisProcess {
    /// Starts a server on a free port, pinned to this core.
    ///
    /// # Errors
    ///
    /// If the server does not start.
    pub fn start(core: usize) -> BenchResult<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = cpu_pinning::pinned_command(core, &program())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { child, port };
        let started = Instant::now();
        while !server.is_up() {
            if started.elapsed() > TIMEOUT {
                return Err("redis-server does not start".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Whether the server at the port is this process. Another process may have taken the port first.
    fn is_up(&self) -> bool {
        let id = self.client().and_then(|mut client| field(&mut client, "server", "process_id"));
        id.is_ok_and(|id| id == f64::from(self.child.id()))
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// If the server does not accept the connection.
    pub fn client(&self) -> BenchResult<Connection> {
        Ok(Client::open(self.url())?.get_connection()?)
    }

    /// The resources used so far.
    ///
    /// # Errors
    ///
    /// If the server does not report them.
    pub fn usage(&self) -> BenchResult<Usage> {
        let client = &mut self.client()?;
        let seconds =
            field(client, "cpu", "used_cpu_user")? + field(client, "cpu", "used_cpu_sys")?;
        let commands = field(client, "stats", "total_commands_processed")?;
        Ok(Usage { cpu_us: seconds * 1e6, commands, script_calls: script_calls(client)? })
    }

    /// Runs a command and returns its reply.
    ///
    /// # Errors
    ///
    /// If the reply is an error or has another type.
    pub fn command<T: FromRedisValue>(&self, words: &[&str]) -> BenchResult<T> {
        let mut command = redis::Cmd::new();
        words.iter().for_each(|word| {
            command.arg(*word);
        });
        Ok(command.query(&mut self.client()?)?)
    }
}

impl Drop for RedisProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number of calls of `EVALSHA` and `EVAL`. 0 before the first call.
fn script_calls(client: &mut Connection) -> BenchResult<f64> {
    let info: String = redis::cmd("INFO").arg("commandstats").query(client)?;
    let calls = |line: &str| {
        let (_, fields) = line.strip_prefix("cmdstat_eval")?.split_once("calls=")?;
        fields.split(',').next()?.parse::<f64>().ok()
    };
    Ok(info.lines().filter_map(calls).sum())
}

fn field(client: &mut Connection, section: &str, name: &str) -> BenchResult<f64> {
    let info: String = redis::cmd("INFO").arg(section).query(client)?;
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.ok_or_else(|| format!("no {name}"))?.parse()?)
}
