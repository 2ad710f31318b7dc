//! Runs the script on a Redis server.

use std::pin::pin;

use futures_util::future::poll_immediate;
use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};

use super::{script_error::cause_of_text, script_test::ScriptTest};
use crate::{
    StoreError,
    store::{
        log_encoding::LogEncoding,
        script::{Argument, Batch, BatchReply, ScriptBy, ScriptCommand},
    },
};

/// Selects a reply that contains eight bytes for each number. The client decodes these bytes faster than the numbers
/// of the Redis protocol.
const REPLY_ENCODING: &str = "bytes";

pub(super) struct ScriptRunner {
    pub(super) command: ScriptCommand,
    pub(super) test: ScriptTest,
}

/// The reason why a pipeline has no replies.
#[derive(Debug)]
pub(super) enum SendError {
    /// The connection was already lost, so the server did not receive the batches.
    NotSent(RedisError),
    /// The connection was lost before the replies. The server may have run the batches.
    NoReply(RedisError),
}

impl SendError {
    pub(super) fn into_inner(self) -> RedisError {
        match self {
            Self::NotSent(error) | Self::NoReply(error) => error,
        }
    }
}

/// The reply of a server to one batch, before the outcomes of the requests are decoded.
pub(super) struct RawReply {
    numbers: Vec<i64>,
    /// For each error text in the reply, the [`StoreError`]. The texts are not stored, because servers quote
    /// arguments in error texts.
    errors: Vec<StoreError>,
}

impl RawReply {
    pub(super) fn read(&self, batch: &Batch<'_>) -> RedisResult<BatchReply> {
        batch.read(&self.numbers, &self.errors).ok_or_else(invalid_reply)
    }
}

pub(super) fn invalid_reply() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "the reply is not a valid decision").into()
}

impl ScriptRunner {
    /// `prefix` is the text with which all Redis keys of the store begin.
    pub(super) fn new(prefix: &str, log: LogEncoding) -> Self {
        Self { command: ScriptCommand::new(), test: ScriptTest::new(prefix, log) }
    }

    /// Sends these batches in one pipeline, and returns one reply for each batch. If `asking` is true, there must be
    /// only one batch, and an `ASKING` command is sent before it. A cluster node requires this command while it
    /// imports the cluster slot.
    pub(super) async fn run(
        &self,
        connection: &MultiplexedConnection,
        asking: bool,
        batches: &[Batch<'_>],
    ) -> Result<Vec<RedisResult<RawReply>>, SendError> {
        let all: Vec<_> = (0..batches.len()).collect();
        let mut replies = self.send(connection, asking, batches, &all, false).await?;
        // Some batches fail if the script is not in the cache of the server. Send these batches again with the source
        // of the script. `EVAL` also adds the script to the cache.
        let is_no_script = |reply: &RedisResult<RawReply>| {
            let kind = ErrorKind::Server(ServerErrorKind::NoScript);
            reply.as_ref().is_err_and(|error| error.kind() == kind)
        };
        let failed: Vec<_> =
            all.into_iter().filter(|index| is_no_script(&replies[*index])).collect();
        if !failed.is_empty() {
            let retried = self.send(connection, asking, batches, &failed, true).await;
            // The server has already run the other batches, so the caller must not send all of them again.
            let retried = retried.map_err(|error| SendError::NoReply(error.into_inner()))?;
            for (index, reply) in failed.into_iter().zip(retried) {
                replies[index] = reply;
            }
        }
        Ok(replies)
    }

    /// Sends the batches that have these indices. If `with_source` is true, the first of them contains the source of
    /// the script.
    async fn send(
        &self,
        connection: &MultiplexedConnection,
        asking: bool,
        batches: &[Batch<'_>],
        indices: &[usize],
        with_source: bool,
    ) -> Result<Vec<RedisResult<RawReply>>, SendError> {
        let mut pipeline = Pipeline::with_capacity(indices.len() + usize::from(asking));
        // `ASKING` applies only to the next command on the connection. This next command is the batch, because the
        // client library sends no other command inside a pipeline.
        if asking {
            pipeline.cmd("ASKING");
        }
        for (position, index) in indices.iter().enumerate() {
            let by = if with_source && position == 0 { ScriptBy::Source } else { ScriptBy::Hash };
            let mut command = Cmd::new();
            self.command.write(&batches[*index], by, REPLY_ENCODING, |argument| {
                match argument {
                    Argument::Text(text) => command.arg(text),
                    Argument::Number(number) => command.arg(number),
                };
            });
            pipeline.add_command(command);
        }
        let mut connection = connection.clone();
        let skipped = usize::from(asking);
        let reply_count = skipped + indices.len();
        let mut replies = pin!(connection.send_packed_commands(&pipeline, 0, reply_count));
        // The first poll passes the commands to the task of the connection. If this task has ended, the poll returns an
        // error, and the commands were not sent.
        let replies = match poll_immediate(replies.as_mut()).await {
            Some(replies) => replies.map_err(SendError::NotSent)?,
            None => replies.await.map_err(SendError::NoReply)?,
        };
        Ok(replies.into_iter().skip(skipped).map(decode).collect())
    }
}

/// Decodes a reply. The reply is either a byte string, or an array of a byte string and error texts.
fn decode(reply: Value) -> RedisResult<RawReply> {
    let (bytes, errors) = match reply.extract_error()? {
        Value::BulkString(bytes) => (bytes, Vec::new()),
        Value::Array(values) => {
            let mut values = values.into_iter();
            let Some(Value::BulkString(bytes)) = values.next() else {
                return Err(invalid_reply());
            };
            (bytes, values.map(|text| error_of(&text)).collect())
        }
        _ => return Err(invalid_reply()),
    };
    let (numbers, []) = bytes.as_chunks::<8>() else { return Err(invalid_reply()) };
    Ok(RawReply { numbers: numbers.iter().map(|it| i64::from_be_bytes(*it)).collect(), errors })
}

fn error_of(text: &Value) -> StoreError {
    let text = match text {
        Value::BulkString(text) => str::from_utf8(text).unwrap_or_default(),
        Value::SimpleString(text) => text,
        _ => "",
    };
    cause_of_text(text)
}
