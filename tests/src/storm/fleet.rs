//! The application servers of a storm, which is a test that injects random faults. A fault can kill or stop a server.

use std::{
    io::Result,
    mem,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{
            AtomicU16, AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
};

use super::{
    evidence::History,
    load::Connection,
    storm_server::{ServerSettings, StormServer},
};

/// The address of a server. Its port changes when the server is killed and started again.
#[derive(Debug)]
pub struct ServerAddress {
    port: AtomicU16,
    /// The number of times that the server was killed or started again. It is odd while no server runs.
    changes: AtomicU64,
}

impl ServerAddress {
    fn new(port: u16) -> Self {
        Self { port: AtomicU16::new(port), changes: AtomicU64::new(0) }
    }

    /// Returns a number that changes when the server is killed or started again. `None` if no server runs.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        Some(self.changes.load(Acquire)).filter(|changes| changes.is_multiple_of(2))
    }

    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not accept the connection.
    pub fn connect(&self) -> Result<Connection> {
        Connection::to(self.port.load(Acquire))
    }
}

/// The application servers, and the histories of the servers that were killed.
#[derive(Debug)]
pub struct Fleet {
    folder: PathBuf,
    settings: Vec<ServerSettings>,
    servers: Vec<StormServer>,
    addresses: Arc<[ServerAddress]>,
    /// The servers that were killed, each with its index.
    killed: Vec<(usize, StormServer)>,
}

impl Fleet {
    /// Starts a server for each item of `settings`. The servers write their histories into `folder`.
    ///
    /// # Errors
    ///
    /// Returns an error if a server does not start.
    pub fn start(settings: Vec<ServerSettings>, folder: &Path) -> Result<Self> {
        let start = |(index, settings): (usize, &ServerSettings)| {
            StormServer::start(settings, folder.join(format!("history-{index}")))
        };
        let servers: Vec<StormServer> =
            settings.iter().enumerate().map(start).collect::<Result<_>>()?;
        let addresses = servers.iter().map(|server| ServerAddress::new(server.port())).collect();
        Ok(Self { folder: folder.to_owned(), settings, servers, addresses, killed: Vec::new() })
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> &[StormServer] {
        &self.servers
    }

    /// The addresses of the servers.
    #[must_use]
    pub fn addresses(&self) -> Arc<[ServerAddress]> {
        Arc::clone(&self.addresses)
    }

    /// The number of servers that were killed.
    #[must_use]
    pub fn kills(&self) -> usize {
        self.killed.len()
    }

    /// Kills the server with this index with SIGKILL.
    ///
    /// # Errors
    ///
    /// Returns an error if the process cannot be killed.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        // The clients of the server read this number first, so they do not report the end of their connections.
        self.addresses[index].changes.fetch_add(1, Release);
        self.servers[index].kill()
    }

    /// Starts a server again after a call of [`kill`](Self::kill).
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not start.
    pub fn restart(&mut self, index: usize) -> Result<()> {
        let history = self.folder.join(format!("history-{index}-{}", self.killed.len() + 1));
        let server = StormServer::start(&self.settings[index], history)?;
        let address = &self.addresses[index];
        address.port.store(server.port(), Release);
        address.changes.fetch_add(1, Release);
        self.killed.push((index, mem::replace(&mut self.servers[index], server)));
        Ok(())
    }

    /// Stops all servers, and returns the histories of all processes. `redis` is the port of Redis.
    ///
    /// # Errors
    ///
    /// Returns an error if a server failed, or if its history is invalid.
    pub fn histories(self, redis: u16) -> Result<Vec<History>> {
        let running = self.servers.into_iter().enumerate();
        let all = running.chain(self.killed).map(|(index, server)| {
            let settings = &self.settings[index];
            let killed_at = server.killed_at();
            let records = server.records()?;
            Ok(History {
                server: index,
                servers: settings.servers,
                mode: settings.mode,
                is_proxied: settings.redis != redis,
                killed_at,
                stalls: Vec::new(),
                calls: records.calls,
                requests: records.requests,
                polls: records.polls,
            })
        });
        all.collect()
    }
}
