//! The server process of a measurement: a limiter in front of an empty handler.

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
};

use crate::{BenchResult, MEASURED_CORE, address, contenders::Contender, cpu_pinning};

/// A server that ends when this value is dropped.
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts the server of a contender. `redis` is the URL of Redis. A server with one worker is pinned to the first
    /// core. A server with more workers may use all cores.
    ///
    /// # Errors
    ///
    /// If the server does not start.
    pub fn start(contender: &Contender, redis: &str, workers: usize) -> BenchResult<Self> {
        let program = env::current_exe()?.with_file_name("contender");
        let program = program.to_str().ok_or("expected a path in UTF-8")?;
        let mut command = match workers {
            1 => cpu_pinning::pinned_command(MEASURED_CORE, program),
            _ => cpu_pinning::unpinned_command(program),
        };
        let mut child = command
            .args([contender.limiter, contender.scenario.as_str(), redis, &workers.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take();
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address: unknown };
        let mut line = String::new();
        BufReader::new(output.ok_or("no output")?).read_line(&mut line)?;
        server.address = address(&line)?;
        Ok(server)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
