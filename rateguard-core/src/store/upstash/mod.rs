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
    BucketRequest, Operation, RedisLog, Store, StoreError, StoreFuture, Verdict,
    script::{Argument, Batch, BatchOutcome, BatchReply, ReplyEncoding, RequestIds, ScriptRequest},
    server_clock::ServerClock,
    tls::RedisTls,
};
use crate::{BuildError, algorithm::SCRIPT};

pub(crate) struct UpstashStore {
    prefix: String,
    client: Client,
    /// The SHA-1 of the script, by which the server knows it if it has run it before.
    hash: String,
    ids: RequestIds,
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
        let (ids, clock) = (RequestIds::new(), ServerClock::new());
        let hash = Sha1::from(SCRIPT).digest().to_string();
        Ok(Self { prefix, client, hash, ids, log, deadline, clock })
    }

    async fn decide(
        &self,
        deadline: Duration,
        operation: Operation,
        charges: &[BucketRequest<'_>],
    ) -> Result<Verdict, StoreError> {
        let asked = Instant::now();
        let request = ScriptRequest::new(&self.prefix, self.log, operation, charges);
        // If its clock was set forward, the server finds late what is not, and says what time it is.
        for _ in 0..2 {
            let sent = Instant::now();
            let latest = self.clock.at(asked + deadline);
            let mut reply = self.run(&Batch::new(&self.ids, &[(&request, latest)])).await?;
            let outcome = reply.outcomes.pop();
            self.clock.record_reply(
                reply.now,
                sent,
                outcome == Some(BatchOutcome::DeadlineExceeded),
            );
            match outcome {
                Some(BatchOutcome::Decided(verdict)) => return Ok(verdict),
                Some(BatchOutcome::Failed(cause)) => return Err(cause),
                Some(BatchOutcome::DeadlineExceeded) | None => {}
            }
        }
        Err(self.timeout_cause(charges))
    }

    async fn run(&self, batch: &Batch<'_>) -> Result<BatchReply, StoreError> {
        let send = async |command, script| {
            self.client.ask(written(command, script, batch)).await?.integers()
        };
        let reply = match send("EVALSHA", &*self.hash).await {
            // The server has forgotten the script, or never seen it. `EVAL` runs it and makes it known again.
            Err(Failure::NoScript) => send("EVAL", SCRIPT).await,
            reply => reply,
        };
        match reply {
            Ok(reply) => batch.read(&reply, &[]).ok_or(StoreError::InvalidReply),
            Err(Failure::Of(cause)) => Err(cause),
            // It was brought along.
            Err(Failure::NoScript) => Err(StoreError::InvalidReply),
        }
    }
}

/// A command as a JSON array. Numbers are text, as they are in Redis: not every reader of JSON has all 64 bits.
fn written(command: &str, script: &str, batch: &Batch<'_>) -> Bytes {
    let mut words = vec![command.to_owned(), script.to_owned()];
    batch.write(ReplyEncoding::Numbers, |argument| {
        words.push(match argument {
            Argument::Text(text) => text.to_owned(),
            Argument::Number(number) => number.to_string(),
        });
    });
    serde_json::Value::from(words).to_string().into()
}

impl Store for UpstashStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.apply_with_deadline(self.deadline, operation, charges)
    }

    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        charges: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(self.decide(deadline, operation, charges)))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.client.health()
    }

    fn timeout_cause(&self, _: &[BucketRequest<'_>]) -> StoreError {
        // The server is there, and the request waited for one of the connections.
        if self.client.has_answered_within(self.deadline * 9 / 10) {
            StoreError::Overloaded
        } else {
            StoreError::Timeout
        }
    }

    fn close(&self) {
        self.client.close();
    }
}
