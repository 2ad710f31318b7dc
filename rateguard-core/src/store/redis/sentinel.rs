//! Sentinel: which server is the primary now.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{ConnectionInfo, aio::MultiplexedConnection};
use tokio::time::{sleep, timeout};

use super::{
    StoreError,
    connector::{at, connect},
    error::classify,
    reconnect::HEARTBEAT_INTERVAL,
};

/// How long a sentinel may take to answer, with connecting.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);

/// The sentinels of a service, and how to connect to its primary.
pub(super) struct Sentinels {
    sentinels: Vec<Sentinel>,
    service: String,
    /// All but the address.
    primary: ConnectionInfo,
    /// Where the last connection leads.
    leads_to: Mutex<Option<Address>>,
}

type Address = (String, u16);

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
        Self { sentinels, service, primary, leads_to: Mutex::new(None) }
    }

    /// A connection to what is said to be the primary. Whether it takes itself for it is another question.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        let (host, port) = self.ask().await?;
        let primary = at(&self.primary, &host, port);
        *self.leads_to.lock().unwrap_or_else(PoisonError::into_inner) = Some((host, port));
        connect(primary, None).await
    }

    /// Ends when another server is the primary. One that was cut off may not know that it is not any more.
    pub(super) async fn primary_changed(&self) {
        loop {
            sleep(HEARTBEAT_INTERVAL).await;
            if let Ok(primary) = self.ask().await {
                // One assignment cannot be left half done.
                let leads_to = self.leads_to.lock().unwrap_or_else(PoisonError::into_inner);
                if leads_to.as_ref() != Some(&primary) {
                    return;
                }
            }
        }
    }

    /// What most of the sentinels have heard of, or those who answer: one that is cut off says for ever what was true before,
    /// and its epoch is an old one.
    async fn ask(&self) -> Result<Address, StoreError> {
        let enough = self.sentinels.len() / 2 + 1;
        let ask = async |sentinel: &Sentinel| {
            let told = timeout(ANSWER_TIMEOUT, sentinel.told(&self.service)).await;
            told.unwrap_or(Err(StoreError::Unreachable))
        };
        let mut asking: FuturesUnordered<_> = self.sentinels.iter().map(ask).collect();
        let (mut told, mut cause) = (Vec::new(), None);
        while let Some(answer) = asking.next().await {
            match answer {
                Ok(primary) => told.push(primary),
                Err(error) => cause = Some(error),
            }
            let agreed = told.iter().find(|primary| votes(&told, primary) >= enough);
            if let Some((_, primary)) = agreed {
                return Ok(primary.clone());
            }
        }
        let newest = told.iter().max_by_key(|primary| (primary.0, votes(&told, primary)));
        newest.map(|(_, primary)| primary.clone()).ok_or(cause.unwrap_or(StoreError::Unreachable))
    }
}

/// How many say the same.
fn votes(told: &[(u64, Address)], primary: &(u64, Address)) -> usize {
    told.iter().filter(|it| *it == primary).count()
}

impl Sentinel {
    /// The number of the last failover that it has heard of, and the primary since.
    async fn told(&self, service: &str) -> Result<(u64, Address), StoreError> {
        // It is asked once at a time.
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => connect(self.server.clone(), Some(ANSWER_TIMEOUT)).await?,
        };
        let mut question = redis::cmd("SENTINEL");
        question.arg("MASTER").arg(service);
        let answer = question.query_async::<HashMap<String, String>>(&mut connection).await;
        let answer = answer.map_err(|error| match classify(&error) {
            // `ERR No such master with that name`.
            StoreError::InvalidReply if error.code() == Some("ERR") => StoreError::NoPrimary,
            cause => cause,
        });
        // If it was lost, or gave no answer, the next question goes on another.
        let fields = match answer {
            Err(StoreError::NoPrimary) => {
                *kept = Some(connection);
                return Err(StoreError::NoPrimary);
            }
            answer => answer?,
        };
        *kept = Some(connection);
        let read = |name: &str| fields.get(name).ok_or(StoreError::InvalidReply);
        let number = |text: &String| text.parse().map_err(|_| StoreError::InvalidReply);
        let port = read("port")?.parse().map_err(|_| StoreError::InvalidReply)?;
        Ok((number(read("config-epoch")?)?, (read("ip")?.clone(), port)))
    }
}
