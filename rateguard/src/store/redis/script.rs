//! Calls the script.

use redis::{ErrorKind, RedisResult, Script, ServerErrorKind, aio::MultiplexedConnection};

use crate::{
    algorithm::SCRIPT,
    store::script::{Argument, Call, Reply},
};

pub(super) struct Decide {
    /// The SHA-1 of the source, by which the server knows a script that it has run before.
    hash: String,
}

impl Decide {
    pub(super) fn new() -> Self {
        Self { hash: Script::new(SCRIPT).get_hash().to_owned() }
    }

    /// Does what the call says, unless it is later than that.
    pub(super) async fn call(
        &self,
        connection: &mut MultiplexedConnection,
        call: &Call<'_>,
    ) -> RedisResult<Reply> {
        let run = |command: &str, script: &str| {
            let mut command = redis::cmd(command);
            command.arg(script);
            call.write(|argument| {
                match argument {
                    Argument::Text(text) => command.arg(text),
                    Argument::Number(number) => command.arg(number),
                };
            });
            let mut connection = connection.clone();
            async move { command.query_async::<Vec<i64>>(&mut connection).await }
        };
        let reply = match run("EVALSHA", &self.hash).await {
            // The server has forgotten the script, or never seen it. `EVAL` runs it and makes it known again.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                run("EVAL", SCRIPT).await?
            }
            reply => reply?,
        };
        call.read(&reply).ok_or((ErrorKind::UnexpectedReturnType, "not a decision").into())
    }
}
