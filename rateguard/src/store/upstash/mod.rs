//! Redis at Upstash, through its REST interface: one script call for each check, as a request over HTTPS.

mod address;
mod client;
mod connection;
mod pool;
mod reply;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::body::Bytes;
use sha1_smol::Sha1;

pub use self::address::UpstashError;
use self::{address::Address, client::Client, connection::Server, reply::Failure};
use super::{
    Answer, Charge, Operation, RedisLog, Store, StoreError, Verdict,
    script::{Argument, Ask, Call, Names, Outcome, Reply, Told},
    server_clock::ServerClock,
    tls::RedisTls,
};
use crate::{BuildError, algorithm::SCRIPT};

pub(crate) struct UpstashStore {
    prefix: String,
    client: Client,
    /// The SHA-1 of the script, by which the server knows it if it has run it before.
    hash: String,
    names: Names,
    log: RedisLog,
    deadline: Duration,
    clock: ServerClock,
}

/// Which database.
pub(crate) struct Account {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) tls: RedisTls,
}

impl UpstashStore {
    /// A store for this database, which begins to connect.
    pub(crate) fn open(
        account: &Account,
        prefix: String,
        log: RedisLog,
        deadline: Duration,
    ) -> Result<Self, BuildError> {
        let address = Address::parse(&account.url, &account.token).map_err(BuildError::Upstash)?;
        let no_authorities = BuildError::Upstash(UpstashError::Certificates);
        let tls = Arc::new(account.tls.client_config().ok_or(no_authorities)?);
        let client = Client::open(Server { address, tls }).map_err(BuildError::Thread)?;
        let (names, clock) = (Names::new(), ServerClock::new());
        let hash = Sha1::from(SCRIPT).digest().to_string();
        Ok(Self { prefix, client, hash, names, log, deadline, clock })
    }

    async fn decide(
        &self,
        deadline: Duration,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Result<Verdict, StoreError> {
        let asked = Instant::now();
        let ask = Ask::new(&self.prefix, self.log, operation, charges);
        // If its clock was set forward, the server finds late what is not, and says what time it is.
        for _ in 0..2 {
            let sent = Instant::now();
            let latest = self.clock.at(asked + deadline);
            let mut reply = self.call(&Call::new(&self.names, &[(&ask, latest)])).await?;
            let outcome = reply.outcomes.pop();
            self.clock.heard(reply.now, sent, outcome == Some(Outcome::Late));
            if let Some(Outcome::Decided(verdict)) = outcome {
                return Ok(verdict);
            }
        }
        Err(StoreError::Timeout)
    }

    async fn call(&self, call: &Call<'_>) -> Result<Reply, StoreError> {
        let run = async |command, script| {
            self.client.ask(written(command, script, call)).await?.integers()
        };
        let reply = match run("EVALSHA", &*self.hash).await {
            // The server has forgotten the script, or never seen it. `EVAL` runs it and makes it known again.
            Err(Failure::NoScript) => run("EVAL", SCRIPT).await,
            reply => reply,
        };
        match reply {
            Ok(reply) => call.read(1, &reply).ok_or(StoreError::Unintelligible),
            Err(Failure::Of(cause)) => Err(cause),
            // It was brought along.
            Err(Failure::NoScript) => Err(StoreError::Unintelligible),
        }
    }
}

/// A command as a JSON array. Numbers are text, as they are in Redis: not every reader of JSON has all 64 bits.
fn written(command: &str, script: &str, call: &Call<'_>) -> Bytes {
    let mut words = vec![command.to_owned(), script.to_owned()];
    call.write(Told::Numbers, |argument| {
        words.push(match argument {
            Argument::Text(text) => text.to_owned(),
            Argument::Number(number) => number.to_string(),
        });
    });
    serde_json::Value::from(words).to_string().into()
}

impl Store for UpstashStore {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        self.apply_within(self.deadline, operation, charges)
    }

    fn apply_within<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        charges: &'a [Charge<'a>],
    ) -> Answer<'a> {
        Answer::Later(Box::pin(self.decide(deadline, operation, charges)))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.client.health()
    }

    fn close(&self) {
        self.client.close();
    }
}
