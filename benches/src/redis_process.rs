//! A Redis of one measurement's own, so that nothing is left of the one before.

use std::{
    env,
    net::TcpListener,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use redis::{Client, Connection, FromRedisValue};

use crate::{Outcome, pinned};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that ends with this value.
pub struct RedisProcess {
    child: Child,
    port: u16,
}

/// What a server tells about itself.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// CPU time, in microseconds.
    pub cpu_us: f64,
    /// Commands, those of scripts and transactions among them.
    pub commands: f64,
}

/// The program: what `REDIS_SERVER` says, as for the tests.
#[must_use]
pub fn program() -> String {
    env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

impl RedisProcess {
    /// A server on a free port, on this core.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(core: usize) -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = pinned::command(core, &program())
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { child, port };
        let started = Instant::now();
        while !server.is_up() {
            if started.elapsed() > PATIENCE {
                return Err("redis-server does not start".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Whether the server at the port is this one, and nobody who was faster.
    fn is_up(&self) -> bool {
        let id = self.client().and_then(|mut client| field(&mut client, "server", "process_id"));
        id.is_ok_and(|id| id == f64::from(self.child.id()))
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection for looking at it.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn client(&self) -> Outcome<Connection> {
        Ok(Client::open(self.url())?.get_connection()?)
    }

    /// What it has used so far.
    ///
    /// # Errors
    ///
    /// If it does not tell.
    pub fn usage(&self) -> Outcome<Usage> {
        let client = &mut self.client()?;
        let seconds =
            field(client, "cpu", "used_cpu_user")? + field(client, "cpu", "used_cpu_sys")?;
        let commands = field(client, "stats", "total_commands_processed")?;
        Ok(Usage { cpu_us: seconds * 1e6, commands })
    }

    /// What it answers to these words.
    ///
    /// # Errors
    ///
    /// If that is an error, or of another type.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> Outcome<T> {
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

fn field(client: &mut Connection, section: &str, name: &str) -> Outcome<f64> {
    let info: String = redis::cmd("INFO").arg(section).query(client)?;
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(line.ok_or_else(|| format!("no {name}"))?.parse()?)
}
