//! The Upstash store. For each check, it sends one HTTPS request to the REST API of Upstash Redis. The request
//! contains one script call.

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

use self::{
    address::Endpoint,
    client::Client,
    connection::{RestCommand, RestServer},
    reply::Failure,
};
use super::{
    BucketRequest, Keyspace, Operation, StoreError,
    script::{
        Argument, Batch, BatchOutcome, BatchReply, DocumentCall, ScriptBy, ScriptCommand,
        ScriptRequest, ScriptStore, Transport,
    },
    server_clock::ServerClock,
    tls::RedisTls,
};
use crate::{BuildError, UpstashError, store::log_encoding::LogEncoding};

/// Selects a reply that consists of numbers of the Redis protocol, because JSON cannot contain bytes.
const REPLY_ENCODING: &str = "numbers";

/// The store that holds its buckets in an Upstash database.
pub(crate) type UpstashStore = ScriptStore<UpstashTransport>;

/// The connections to an Upstash database.
pub(crate) struct UpstashTransport {
    client: Client,
    command: ScriptCommand,
    clock: ServerClock,
    /// If the server has replied to any request within this time, the server counts as available.
    max_silence: Duration,
}

/// The URL, the token and the TLS settings for an Upstash database.
pub(crate) struct Account {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) tls: RedisTls,
}

impl UpstashStore {
    /// Creates a store for this database, and starts to connect to the server.
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
        let label = endpoint.label();
        let keyspace = Keyspace { server: label.text.clone(), prefix, pool: label.pool };
        let server = RestServer { endpoint, tls };
        let client = Client::open(server, label).map_err(BuildError::Thread)?;
        let transport = UpstashTransport {
            client,
            command: ScriptCommand::new(),
            clock: ServerClock::new(),
            max_silence: deadline * 9 / 10,
        };
        Ok(Self::new(transport, keyspace, log, deadline))
    }
}

impl UpstashTransport {
    async fn run(&self, batch: &Batch<'_>) -> Result<BatchReply, StoreError> {
        let send = async |by| {
            self.client.send(RestCommand::of_check(self.encode(by, batch))).await?.integers()
        };
        let reply = match send(ScriptBy::Hash).await {
            // The script is not in the cache of the server, so send its source.
            Err(Failure::NoScript) => send(ScriptBy::Source).await,
            reply => reply,
        };
        match reply {
            Ok(reply) => batch.read(&reply, &[]).ok_or(StoreError::InvalidReply),
            Err(Failure::Store(cause)) => Err(cause),
            // This error cannot be a reply to `EVAL`, because `EVAL` sends the source of the script.
            Err(Failure::NoScript) => Err(StoreError::InvalidReply),
        }
    }

    /// Encodes a command as a JSON array. Numbers are encoded as texts, because some JSON parsers do not support
    /// 64-bit integers.
    fn encode(&self, by: ScriptBy, batch: &Batch<'_>) -> Bytes {
        let mut arguments = Vec::new();
        self.command.write(batch, by, REPLY_ENCODING, |argument| {
            arguments.push(match argument {
                Argument::Text(text) => text.to_owned(),
                Argument::Number(number) => number.to_string(),
            });
        });
        serde_json::Value::from(arguments).to_string().into()
    }
}

impl Transport for UpstashTransport {
    type Request = ScriptRequest;

    const HOLDS_DEADLINE: bool = false;

    fn request(
        prefix: &str,
        log: LogEncoding,
        operation: Operation,
        buckets: &[BucketRequest<'_>],
    ) -> ScriptRequest {
        ScriptRequest::new(prefix, log, operation, buckets)
    }

    async fn send(
        &self,
        _: &[BucketRequest<'_>],
        request: &Arc<ScriptRequest>,
        deadline: Duration,
    ) -> Result<BatchOutcome, StoreError> {
        let sent = Instant::now();
        let batch =
            self.command.batch(&[(request, self.clock.at(sent + deadline))], || self.clock.now());
        let mut reply = self.run(&batch).await?;
        reply.update_clock(&self.clock, sent);
        reply.outcomes.pop().ok_or(StoreError::InvalidReply)
    }

    async fn run_document_call(&self, call: &DocumentCall) -> Result<Vec<String>, StoreError> {
        let command: Vec<&str> = call.command().collect();
        let command = serde_json::Value::from(command).to_string();
        let command = RestCommand::of_document(command.into());
        let reply = self.client.send(command).await.and_then(|reply| reply.texts());
        reply.map_err(|failure| match failure {
            Failure::Store(cause) => cause,
            // This error cannot be a reply to `EVAL`, because `EVAL` sends the source of the script.
            Failure::NoScript => StoreError::InvalidReply,
        })
    }

    fn health(&self) -> Result<(), StoreError> {
        self.client.health()
    }

    fn server(&self, _: &[BucketRequest<'_>]) -> usize {
        0
    }

    fn is_congested(&self, _: &[BucketRequest<'_>]) -> bool {
        // If the server has replied to other requests, the reason for the missing reply is probably that this request
        // waited for a free connection.
        self.client.has_replied_within(self.max_silence)
    }

    fn close(&self) {
        self.client.close();
    }
}
