//! Measures the resources that a process uses: memory, threads, files and connections. This works only on Linux,
//! because the data comes from `/proc`.

use std::{fs, io::Result};

use super::storm_server::{StormServer, WORKERS};

/// The number of connections of a server to Redis: one of the I/O thread, one of each worker, and one of the thread
/// that renews permits.
pub const CONNECTIONS: u64 = 2 + WORKERS as u64;

/// The resources that a server uses at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStats {
    /// The id of the process. A server that was killed and started again has another process.
    pub process: u32,
    /// The resident memory in kilobytes.
    pub memory: u64,
    /// The number of threads.
    pub threads: u64,
    /// The number of open files and sockets.
    pub files: u64,
    /// The number of established connections to Redis.
    pub connections: u64,
}

impl ProcessStats {
    /// Measures the resources that this server uses.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has ended, or if there is no `/proc`.
    pub fn of(server: &StormServer) -> Result<Self> {
        let process = format!("/proc/{}", server.id());
        let status = fs::read_to_string(format!("{process}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let files = fs::read_dir(format!("{process}/fd"))?.flatten();
        let files: Vec<_> = files.filter_map(|file| fs::read_link(file.path()).ok()).collect();
        let sockets = established_to(server.redis())?;
        let is_to_redis = |file: &&std::path::PathBuf| {
            sockets.iter().any(|socket| file.to_str() == Some(&format!("socket:[{socket}]")))
        };
        Ok(Self {
            process: server.id(),
            memory: number("VmRSS:"),
            threads: number("Threads:"),
            files: files.len() as u64,
            connections: files.iter().filter(is_to_redis).count() as u64,
        })
    }
}

/// Returns the inodes of all sockets that are connected to this port. The sockets may belong to any process.
fn established_to(port: u16) -> Result<Vec<String>> {
    let port = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp")?;
    let sockets = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The third and fourth words are the remote address and the state of the socket. The state 01 means
        // established. The tenth word is the inode.
        let is_it = words.get(2)?.ends_with(&port) && *words.get(3)? == "01";
        words.get(9).filter(|_| is_it).map(|socket| (*socket).to_owned())
    });
    Ok(sockets.collect())
}
