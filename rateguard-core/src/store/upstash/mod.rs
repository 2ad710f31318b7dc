//! The Upstash store. For each check, it sends one HTTPS request with a script call to the REST API of Upstash Redis.

mod address;
mod client;
mod connection;
mod pool;
mod reply;
mod tls;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::body::Bytes;
use sha1_smol::Sha1;

use self::{address::Endpoint, client::Client, connection::RestServer, reply::Failure};
use super::{
    BucketRequest, Operation, Store, StoreError, StoreFuture, Verdict,
    script::{Argument, Batch, BatchOutcome, BatchReply, RequestIds, ScriptRequest},
    server_clock::ServerClock,
    tls::RedisTls,
};
use crate::{BuildError, LogEncoding, UpstashError, algorithm::SCRIPT};

/// The encoding of replies: the numbers of the protocol, because JSON cannot contain bytes.
const REPLY_ENCODING: &str = "numbers";

pub(crate) struct UpstashStore {
    prefix: String,
    client: Client,
    /// The SHA-1 of the script. `EVALSHA` runs the script with this hash from the server's cache, so the source is not
    /// sent again.
    hash: String,
    ids: RequestIds,
    log: LogEncoding,
    deadline: Duration,
    clock: ServerClock,
}

/// The URL, token and TLS settings of an Upstash database.
pub(crate) struct Account {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) tls: RedisTls,
}

impl UpstashStore {
    /// Creates a store for this database, and starts to connect.
    pub(crate) fn open(
        account: &Account,
        prefix: String,
        log: LogEncoding,
        deadline: Duration,
    ) -> Result<Self, BuildError> {
        let endpoint =
            Endpoint::parse(&account.url, &account.token).map_err(BuildError::Upstash)?;
        let no_authorities = BuildError::Upstash(UpstashError::Certificates);
        let tls = Arc::new(account.tls.client_config().ok_or(no_authorities)?);
        let client = Client::open(RestServer { endpoint, tls }).map_err(BuildError::Thread)?;
        let (ids, clock) = (RequestIds::new(), ServerClock::new());
        let hash = Sha1::from(SCRIPT).digest().to_string();
        Ok(Self { prefix, client, hash, ids, log, deadline, clock })
    }

    async fn decide(
        &self,
        deadline: Duration,
        operation: Operation,
        requests: &[BucketRequest<'_>],
    ) -> Result<Verdict, StoreError> {
        let deadline = Instant::now() + deadline;
        let request = ScriptRequest::new(&self.prefix, self.log, operation, requests);
        // If the server's clock was set forward, the script rejects requests that are not late. The reply has corrected
        // the estimate of the server's clock, so send the request once more.
        for _ in 0..2 {
            let sent = Instant::now();
            let server_deadline = self.clock.at(deadline);
            let batch = Batch::new(&self.ids, &[(&request, server_deadline)]);
            let mut reply = self.run(&batch).await?;
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
        Err(self.timeout_cause(requests))
    }

    async fn run(&self, batch: &Batch<'_>) -> Result<BatchReply, StoreError> {
        let send = async |command, script| {
            self.client.send(encode(command, script, batch)).await?.integers()
        };
        let reply = match send("EVALSHA", &*self.hash).await {
            // The script is not in the server's cache. `EVAL` sends the source and adds the script to the cache.
            Err(Failure::NoScript) => send("EVAL", SCRIPT).await,
            reply => reply,
        };
        match reply {
            Ok(reply) => batch.read(&reply, &[]).ok_or(StoreError::InvalidReply),
            Err(Failure::Store(cause)) => Err(cause),
            // A reply to `EVAL` cannot have this error, because `EVAL` sends the source.
            Err(Failure::NoScript) => Err(StoreError::InvalidReply),
        }
    }
}

/// Encodes a command as a JSON array. Encode numbers as texts, because some JSON parsers do not support integers with
/// 64 bits.
fn encode(command: &str, script: &str, batch: &Batch<'_>) -> Bytes {
    let mut arguments = vec![command.to_owned(), script.to_owned()];
    batch.write(REPLY_ENCODING, |argument| {
        arguments.push(match argument {
            Argument::Text(text) => text.to_owned(),
            Argument::Number(number) => number.to_string(),
        });
    });
    serde_json::Value::from(arguments).to_string().into()
}

impl Store for UpstashStore {
    fn apply<'a>(
        &'a self,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        self.apply_with_deadline(self.deadline, operation, requests)
    }

    fn apply_with_deadline<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        requests: &'a [BucketRequest<'a>],
    ) -> StoreFuture<'a> {
        StoreFuture::Pending(Box::pin(self.decide(deadline, operation, requests)))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.client.health()
    }

    fn timeout_cause(&self, _: &[BucketRequest<'_>]) -> StoreError {
        // If the server has replied to other requests, this request has probably waited for a free connection.
        if self.client.has_replied_within(self.deadline * 9 / 10) {
            StoreError::Overloaded
        } else {
            StoreError::Timeout
        }
    }

    fn close(&self) {
        self.client.close();
    }
}
