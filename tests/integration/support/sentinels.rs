//! Starts three Redis Sentinel processes for one test, and the primary and the replica that they monitor.

use super::{eventually, folder::Folder, redis_server::RedisServer};

/// The name of the monitored service in the configuration of the sentinels.
pub const SERVICE: &str = "limits";

pub struct Sentinels {
    pub primary: RedisServer,
    pub replica: RedisServer,
    pub sentinels: Vec<RedisServer>,
    _folder: Folder,
}

impl Sentinels {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts sentinels. Their configuration contains these additional lines.
    pub fn start_with(lines: &str) -> Self {
        let folder = Folder::new();
        let primary = RedisServer::start();
        let port = primary.port().to_string();
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
        let sentinels = (0..3)
            .map(|number| {
                let settings = format!(
                    "sentinel monitor {SERVICE} 127.0.0.1 {port} 2\n\
                     sentinel down-after-milliseconds {SERVICE} 1000\n\
                     sentinel failover-timeout {SERVICE} 5000\n\
                     {lines}\n"
                );
                let file = folder.file(&format!("{number}.conf"), &settings);
                RedisServer::start_with(&[&file, "--sentinel"])
            })
            .collect();
        let sentinels = Self { primary, replica, sentinels, _folder: folder };
        if lines.is_empty() {
            sentinels.wait_until_ready();
        }
        sentinels
    }

    /// Waits until the replica has all data of the primary, and until the sentinels can perform a failover.
    pub fn wait_until_ready(&self) {
        eventually("the replica is synchronized", || {
            let info: String =
                redis::cmd("INFO").arg("replication").query(&mut self.replica.client()).unwrap();
            info.contains("master_link_status:up").then_some(())
        });
        for sentinel in &self.sentinels {
            eventually("the sentinel has discovered the replica and the other sentinels", || {
                let mut client = sentinel.client();
                let can_elect = sentinel_command("CKQUORUM").exec(&mut client).is_ok();
                let info: String = redis::cmd("INFO").arg("sentinel").query(&mut client).unwrap();
                (can_elect && info.contains("slaves=1,sentinels=3")).then_some(())
            });
        }
    }

    /// Returns the URL of the service, which contains the addresses of all three sentinels.
    pub fn url(&self) -> String {
        let addresses: Vec<_> =
            self.sentinels.iter().map(|it| format!("127.0.0.1:{}", it.port())).collect();
        format!("redis+sentinel://{}/{SERVICE}", addresses.join(","))
    }
}

/// Creates the command `SENTINEL <subcommand> limits`.
pub fn sentinel_command(subcommand: &str) -> redis::Cmd {
    let mut command = redis::cmd("SENTINEL");
    command.arg(subcommand).arg(SERVICE);
    command
}
