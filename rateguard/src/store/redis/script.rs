//! Has a server run the script.

use redis::{
    ErrorKind, Pipeline, RedisResult, Script, ServerErrorKind, Value, aio::MultiplexedConnection,
};

use crate::{
    algorithm::SCRIPT,
    store::script::{Argument, Call, Names, Told},
};

pub(super) struct Decide {
    pub(super) names: Names,
    /// The SHA-1 of the source, by which the server knows a script that it has run before.
    hash: String,
}

/// What a server replied to a call.
pub(super) type Replied = RedisResult<Vec<i64>>;

impl Decide {
    pub(super) fn new() -> Self {
        Self { names: Names::new(), hash: Script::new(SCRIPT).get_hash().to_owned() }
    }

    /// Makes these calls, in one pipeline. In a cluster, a single call that `is_asking` is answered by the server that takes
    /// the keys over.
    pub(super) async fn call(
        &self,
        connection: &MultiplexedConnection,
        is_asking: bool,
        calls: &[Call<'_>],
    ) -> RedisResult<Vec<Replied>> {
        let all: Vec<_> = (0..calls.len()).collect();
        let mut replies = self.send(connection, is_asking, calls, &all, false).await?;
        // The server has forgotten the script, or never seen it. `EVAL` runs it and makes it known again.
        let is_unknown = |reply: &Replied| {
            let kind = ErrorKind::Server(ServerErrorKind::NoScript);
            reply.as_ref().is_err_and(|error| error.kind() == kind)
        };
        let unknown: Vec<_> =
            all.into_iter().filter(|place| is_unknown(&replies[*place])).collect();
        if !unknown.is_empty() {
            let again = self.send(connection, is_asking, calls, &unknown, true).await?;
            for (place, reply) in unknown.into_iter().zip(again) {
                replies[place] = reply;
            }
        }
        Ok(replies)
    }

    /// Sends those of the calls that are at these places, the first of them with the script itself if it `brings` it.
    async fn send(
        &self,
        connection: &MultiplexedConnection,
        is_asking: bool,
        calls: &[Call<'_>],
        places: &[usize],
        brings: bool,
    ) -> RedisResult<Vec<Replied>> {
        let mut pipeline = Pipeline::with_capacity(places.len() + usize::from(is_asking));
        // Nothing comes between the two: what is said is said of the next command on the connection.
        if is_asking {
            pipeline.cmd("ASKING");
        }
        for (number, place) in places.iter().enumerate() {
            let mut command = if brings && number == 0 {
                redis::cmd("EVAL").arg(SCRIPT).take()
            } else {
                redis::cmd("EVALSHA").arg(&self.hash).take()
            };
            calls[*place].write(Told::Bytes, |argument| {
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
        Ok(replies.into_iter().skip(skipped).map(numbers).collect())
    }
}

/// What is told in bytes.
fn numbers(reply: Value) -> Replied {
    if let Value::BulkString(bytes) = reply.extract_error()?
        && let (numbers, []) = bytes.as_chunks::<8>()
    {
        return Ok(numbers.iter().map(|bytes| i64::from_be_bytes(*bytes)).collect());
    }
    Err((ErrorKind::UnexpectedReturnType, "not a decision").into())
}
