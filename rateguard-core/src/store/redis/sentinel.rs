//! Finds the primary of a service through Redis Sentinel.

use std::{
    collections::HashMap,
    io::ErrorKind,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{ConnectionInfo, aio::MultiplexedConnection};
use tokio::time::{sleep, timeout};

use super::{
    connect::{at, connect},
    error::classify,
    heartbeat_interval::HEARTBEAT_INTERVAL,
};
use crate::store::{StoreError, connection::ServerLabel};

/// A sentinel must reply within this time. The time to connect to the sentinel is included.
const REPLY_TIMEOUT: Duration = Duration::from_millis(300);

/// The sentinels that monitor a service, and the settings for connections to the primary of this service.
pub(super) struct Sentinels {
    sentinels: Vec<Sentinel>,
    service: String,
    /// The settings for connections to the primary. The address in these settings is not used, because the sentinels
    /// report the address.
    primary: ConnectionInfo,
    /// The address that `primary` returned last.
    last_primary: Mutex<Option<PrimaryAddress>>,
}

/// The host and the port of a primary.
type PrimaryAddress = (String, u16);

struct Sentinel {
    server: ConnectionInfo,
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl Sentinels {
    pub(super) fn new(
        sentinels: Vec<ConnectionInfo>,
        service: String,
        primary: ConnectionInfo,
    ) -> Self {
        let sentinel = |server| Sentinel { server, connection: tokio::sync::Mutex::default() };
        let sentinels = sentinels.into_iter().map(sentinel).collect();
        Self { sentinels, service, primary, last_primary: Mutex::new(None) }
    }

    /// Describes the primary in log messages.
    pub(super) fn label(&self) -> ServerLabel {
        let description = format!("the primary of service {}, from sentinels", self.service);
        ServerLabel::of_nodes(&description, self.sentinels.iter().map(|it| &it.server))
    }

    /// Returns the settings for connections to the primary that the sentinels report. The sentinels may report an old
    /// primary, so the caller must verify that the server is a primary.
    pub(super) async fn primary(&self) -> Result<ConnectionInfo, StoreError> {
        let (host, port) = self.query_primary().await?;
        let primary = at(&self.primary, &host, port);
        *self.last_primary.lock().unwrap_or_else(PoisonError::into_inner) = Some((host, port));
        Ok(primary)
    }

    /// Waits until the sentinels report a primary that differs from the last result of [`primary`](Self::primary). This is necessary because a primary that is isolated from the sentinels may not detect that they have
    /// replaced it.
    pub(super) async fn primary_changed(&self) {
        loop {
            sleep(HEARTBEAT_INTERVAL).await;
            if let Ok(primary) = self.query_primary().await {
                // Code under this lock only assigns one value, so the value is consistent even if the lock is
                // poisoned.
                let last_primary = self.last_primary.lock().unwrap_or_else(PoisonError::into_inner);
                if last_primary.as_ref() != Some(&primary) {
                    return;
                }
            }
        }
    }

    /// Returns the primary that a majority of all sentinels report. If there is no majority, returns the primary with
    /// the largest epoch in the replies. A sentinel that is isolated may report an old primary, but only with an old
    /// epoch.
    async fn query_primary(&self) -> Result<PrimaryAddress, StoreError> {
        let majority = self.sentinels.len() / 2 + 1;
        let query = async |sentinel: &Sentinel| {
            let reply = timeout(REPLY_TIMEOUT, sentinel.query(&self.service)).await;
            reply.unwrap_or(Err(StoreError::Unreachable(Some(ErrorKind::TimedOut.into()))))
        };
        let mut queries: FuturesUnordered<_> = self.sentinels.iter().map(query).collect();
        let (mut reports, mut cause) = (Vec::new(), None);
        while let Some(reply) = queries.next().await {
            match reply {
                Ok(report) => reports.push(report),
                Err(error) => cause = Some(error),
            }
            let agreed = reports.iter().find(|report| votes(&reports, report) >= majority);
            if let Some((_, primary)) = agreed {
                return Ok(primary.clone());
            }
        }
        let newest = reports.iter().max_by_key(|report| (report.0, votes(&reports, report)));
        newest
            .map(|(_, primary)| primary.clone())
            .ok_or(cause.unwrap_or(StoreError::Unreachable(None)))
    }
}

/// Returns how many of the reports are equal to `report`.
fn votes(reports: &[(u64, PrimaryAddress)], report: &(u64, PrimaryAddress)) -> usize {
    reports.iter().filter(|it| *it == report).count()
}

impl Sentinel {
    /// Returns the primary that this sentinel reports, and the configuration epoch of this primary. Each failover
    /// increases the epoch, so the primary with the larger epoch is newer.
    async fn query(&self, service: &str) -> Result<(u64, PrimaryAddress), StoreError> {
        let mut idle = self.connection.lock().await;
        let mut connection = match idle.take() {
            Some(connection) => connection,
            None => connect(self.server.clone(), Some(REPLY_TIMEOUT)).await?,
        };
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(service);
        let reply = command.query_async::<HashMap<String, String>>(&mut connection).await;
        let reply = reply.map_err(|error| match classify(&error) {
            // The server is not a sentinel.
            StoreError::UnknownCommand => StoreError::WrongServerKind,
            // The error text is `ERR No such master with that name`.
            StoreError::InvalidReply if error.code() == Some("ERR") => StoreError::NoPrimary,
            cause => cause,
        });
        // After `NoPrimary`, the next query can use the connection again. After any other error, or if this future is
        // dropped, `idle` stays empty, so the next query opens a new connection.
        let fields = match reply {
            Err(StoreError::NoPrimary) => {
                *idle = Some(connection);
                return Err(StoreError::NoPrimary);
            }
            reply => reply?,
        };
        *idle = Some(connection);
        let read = |name: &str| fields.get(name).ok_or(StoreError::InvalidReply);
        let number = |text: &String| text.parse().map_err(|_| StoreError::InvalidReply);
        let port = read("port")?.parse().map_err(|_| StoreError::InvalidReply)?;
        Ok((number(read("config-epoch")?)?, (read("ip")?.clone(), port)))
    }
}
