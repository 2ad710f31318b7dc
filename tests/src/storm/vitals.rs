//! What a process holds: memory, threads, files, connections. Told by `/proc`, so on Linux alone.

use std::{fs, io::Result};

use super::site::Site;

/// What a server held at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Kilobytes in memory.
    pub memory: u64,
    /// Threads.
    pub threads: u64,
    /// Open files and sockets.
    pub files: u64,
    /// Established connections to Redis.
    pub connections: u64,
}

impl Vitals {
    /// Of this server, now.
    ///
    /// # Errors
    ///
    /// If it is not there, or `/proc` is not.
    pub fn of(site: &Site) -> Result<Self> {
        let process = format!("/proc/{}", site.id());
        let status = fs::read_to_string(format!("{process}/status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let files = fs::read_dir(format!("{process}/fd"))?.flatten();
        let files: Vec<_> = files.filter_map(|file| fs::read_link(file.path()).ok()).collect();
        let sockets = established_to(site.redis())?;
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

/// The sockets that are connected to this port.
fn established_to(port: u16) -> Result<Vec<String>> {
    let port = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp")?;
    let sockets = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Its number, from, to, state (01 is established), and after five others the socket.
        let is_it = words.get(2)?.ends_with(&port) && *words.get(3)? == "01";
        words.get(9).filter(|_| is_it).map(|socket| (*socket).to_owned())
    });
    Ok(sockets.collect())
}
