//! Has a server run the script.

use redis::{
    ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};

use crate::{
    StoreError,
    algorithm::SCRIPT,
    store::{
        script::{Argument, Batch, BatchReply, ReplyEncoding, RequestIds},
        server_error::cause_of_text,
    },
};

pub(super) struct ScriptRunner {
    pub(super) ids: RequestIds,
    /// The SHA-1 of the source, by which the server knows a script that it has run before.
    hash: String,
}

/// What a server replied to a batch.
pub(super) struct RawReply {
    numbers: Vec<i64>,
    /// Why requests failed, in our words: nothing of the server's text is kept.
    errors: Vec<StoreError>,
}

impl RawReply {
    pub(super) fn read(&self, batch: &Batch<'_>) -> RedisResult<BatchReply> {
        batch.read(&self.numbers, &self.errors).ok_or_else(invalid_reply)
    }
}

pub(super) fn invalid_reply() -> RedisError {
    (ErrorKind::UnexpectedReturnType, "not a decision").into()
}

impl ScriptRunner {
    pub(super) fn new() -> Self {
        Self { ids: RequestIds::new(), hash: Script::new(SCRIPT).get_hash().to_owned() }
    }

    /// Sends these batches, in one pipeline. In a cluster, the server that imports the slot answers a single batch that
    /// `is_asking`.
    pub(super) async fn run(
        &self,
        connection: &MultiplexedConnection,
        is_asking: bool,
        batches: &[Batch<'_>],
    ) -> RedisResult<Vec<RedisResult<RawReply>>> {
        let all: Vec<_> = (0..batches.len()).collect();
        let mut replies = self.send(connection, is_asking, batches, &all, false).await?;
        // The server has forgotten the script, or never seen it. `EVAL` runs it and makes it known again.
        let is_unknown = |reply: &RedisResult<RawReply>| {
            let kind = ErrorKind::Server(ServerErrorKind::NoScript);
            reply.as_ref().is_err_and(|error| error.kind() == kind)
        };
        let unknown: Vec<_> =
            all.into_iter().filter(|place| is_unknown(&replies[*place])).collect();
        if !unknown.is_empty() {
            let again = self.send(connection, is_asking, batches, &unknown, true).await?;
            for (place, reply) in unknown.into_iter().zip(again) {
                replies[place] = reply;
            }
        }
        Ok(replies)
    }

    /// Sends the batches at these places. With `with_source`, the first of them brings the script along.
    async fn send(
        &self,
        connection: &MultiplexedConnection,
        is_asking: bool,
        batches: &[Batch<'_>],
        places: &[usize],
        with_source: bool,
    ) -> RedisResult<Vec<RedisResult<RawReply>>> {
        let mut pipeline = Pipeline::with_capacity(places.len() + usize::from(is_asking));
        // `ASKING` is for the next command on the connection, and a pipeline is sent as a whole.
        if is_asking {
            pipeline.cmd("ASKING");
        }
        for (number, place) in places.iter().enumerate() {
            let mut command = if with_source && number == 0 {
                redis::cmd("EVAL").arg(SCRIPT).take()
            } else {
                redis::cmd("EVALSHA").arg(&self.hash).take()
            };
            batches[*place].write(ReplyEncoding::Bytes, |argument| {
                match argument {
                    Argument::Text(text) => command.arg(text),
                    Argument::Number(number) => command.arg(number),
                };
            });
            pipeline.add_command(command);
        }
        let mut connection = connection.clone();
        let skipped = usize::from(is_asking);
        let replies = connection.send_packed_commands(&pipeline, 0, skipped + places.len()).await?;
        Ok(replies.into_iter().skip(skipped).map(decode).collect())
    }
}

/// Bytes, or an array of bytes and error texts.
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
