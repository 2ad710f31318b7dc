//! Sentinel: which server is the primary now.

use std::time::Duration;

use redis::{ConnectionInfo, aio::MultiplexedConnection};
use tokio::{sync::Mutex, time::sleep};

use super::{
    StoreError,
    error::classify,
    keeper::TEST_EVERY,
    source::{at, connect},
};

/// How long one sentinel may take to answer before the next one is asked.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);

/// The sentinels of a service, and how to connect to its primary.
pub(super) struct Sentinels {
    sentinels: Vec<ConnectionInfo>,
    service: String,
    /// All but the address.
    primary: ConnectionInfo,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The sentinel that is asked next, by its place.
    asked: usize,
    connection: Option<MultiplexedConnection>,
    /// Where the last connection leads.
    primary: Option<Address>,
}

type Address = (String, u16);

impl Sentinels {
    pub(super) fn new(
        sentinels: Vec<ConnectionInfo>,
        service: String,
        primary: ConnectionInfo,
    ) -> Self {
        Self { sentinels, service, primary, known: Mutex::default() }
    }

    /// A connection to what is said to be the primary. Whether it takes itself for it is another question.
    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut known = self.known.lock().await;
        let (host, port) = self.ask(&mut known).await?;
        let primary = at(&self.primary, &host, port);
        known.primary = Some((host, port));
        let connected = connect(primary, None).await;
        if connected.is_err() {
            self.pass_over(&mut known);
        }
        connected
    }

    /// Where the last connection leads is no primary.
    pub(super) async fn led_astray(&self) {
        self.pass_over(&mut *self.known.lock().await);
    }

    /// Asks the next sentinel the next time: one that is cut off from the others says for ever what was true before.
    fn pass_over(&self, known: &mut Known) {
        known.connection = None;
        known.asked = (known.asked + 1) % self.sentinels.len();
    }

    /// Ends when another server is the primary. One that was cut off may not know that it is not any more.
    pub(super) async fn until_elsewhere(&self) {
        loop {
            sleep(TEST_EVERY).await;
            let mut known = self.known.lock().await;
            if let Ok(primary) = self.ask(&mut known).await
                && known.primary.as_ref() != Some(&primary)
            {
                return;
            }
        }
    }

    /// Asks one sentinel after the other until one answers, beginning with the one that did so last, unless what it said was wrong.
    async fn ask(&self, known: &mut Known) -> Result<Address, StoreError> {
        let mut cause = StoreError::Unreachable;
        for _ in &self.sentinels {
            match self.ask_one(known).await {
                Ok(primary) => return Ok(primary),
                Err(error) => cause = error,
            }
            self.pass_over(known);
        }
        Err(cause)
    }

    async fn ask_one(&self, known: &mut Known) -> Result<Address, StoreError> {
        let mut connection = match known.connection.clone() {
            Some(connection) => connection,
            None => {
                let sentinel = self.sentinels[known.asked].clone();
                connect(sentinel, Some(ANSWER_TIMEOUT)).await?
            }
        };
        let mut question = redis::cmd("SENTINEL");
        question.arg("get-master-addr-by-name").arg(&self.service);
        let answer = question.query_async::<Option<Address>>(&mut connection).await;
        let primary = answer.map_err(|error| classify(&error))?;
        known.connection = Some(connection);
        primary.ok_or(StoreError::NoPrimary)
    }
}
