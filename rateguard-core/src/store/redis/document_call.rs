//! Runs the script of a document on a Redis server. Such calls are rare and large, so they are not in the batches of
//! the checks, and they use the connection of the I/O thread.

use redis::{Cmd, Pipeline, RedisResult, aio::MultiplexedConnection, from_redis_value};

use super::{
    error::{classify, needs_reconnect},
    link::Link,
    pending_request::RequestError,
    script_runner::invalid_reply,
};
use crate::store::script::DocumentCall;

impl Link {
    /// Runs the script of a document, and returns its reply. There is no deadline. If `asking` is true, an `ASKING`
    /// command is sent before the script.
    pub(super) async fn run_document_call(
        &self,
        call: &DocumentCall,
        asking: bool,
    ) -> Result<Vec<String>, RequestError> {
        let active = self.live().await.map_err(RequestError::Store)?;
        send(&active.connection, call, asking).await.map_err(|error| {
            let cause = classify(&error);
            // Other errors may concern only this script, so they say nothing about the checks.
            if needs_reconnect(cause) {
                self.record_error(active.generation, cause);
            }
            RequestError::Redis(error)
        })
    }
}

async fn send(
    connection: &MultiplexedConnection,
    call: &DocumentCall,
    asking: bool,
) -> RedisResult<Vec<String>> {
    let mut pipeline = Pipeline::new();
    if asking {
        pipeline.cmd("ASKING");
    }
    let mut command = Cmd::new();
    call.command().for_each(|part| {
        command.arg(part);
    });
    pipeline.add_command(command);
    let replies = 1 + usize::from(asking);
    let mut connection = connection.clone();
    let replies = connection.send_packed_commands(&pipeline, 0, replies).await?;
    let reply = replies.into_iter().last().ok_or_else(invalid_reply)?;
    from_redis_value(reply.extract_error()?).map_err(|_| invalid_reply())
}
