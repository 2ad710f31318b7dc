//! The resources that a process uses: memory, threads, files and connections. Linux only, because the source is
//! `/proc`.

use std::{fs, io::Result};

use super::storm_server::StormServer;

/// The resources of a server at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStats {
    /// Resident memory in kilobytes.
    pub memory: u64,
    /// The number of threads.
    pub threads: u64,
    /// The number of open files and sockets.
    pub files: u64,
    /// The number of established connections to Redis.
    pub connections: u64,
}

impl ProcessStats {
    /// Reads the resources that this server uses.
    ///
    /// # Errors
    ///
    /// If the process or `/proc` does not exist.
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
            memory: number("VmRSS:"),
            threads: number("Threads:"),
            files: files.len() as u64,
            connections: files.iter().filter(is_to_redis).count() as u64,
        })
    }
}

/// The sockets of all processes that are connected to this port.
fn established_to(port: u16) -> Result<Vec<String>> {
    let port = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp")?;
    let sockets = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The third and fourth words are the remote address and the state (01 is established); the tenth is the inode.
        let is_it = words.get(2)?.ends_with(&port) && *words.get(3)? == "01";
        words.get(9).filter(|_| is_it).map(|socket| (*socket).to_owned())
    });
    Ok(sockets.collect())
}
