//! Has a server run the script.

use redis::{
    Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, Value, aio::MultiplexedConnection,
    from_redis_value,
};

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

    /// Does what the call says, unless it is later than that. In a cluster, who `is_asking` is answered by the server that
    /// takes the keys over.
    pub(super) async fn call(
        &self,
        connection: &MultiplexedConnection,
        is_asking: bool,
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
            send(connection.clone(), is_asking, command)
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

async fn send(
    mut connection: MultiplexedConnection,
    is_asking: bool,
    command: Cmd,
) -> RedisResult<Vec<i64>> {
    if !is_asking {
        return command.query_async(&mut connection).await;
    }
    // Nothing comes between the two: what is said is said of the next command on the connection.
    let mut both = redis::pipe();
    both.cmd("ASKING").add_command(command);
    let mut replies = connection.send_packed_commands(&both, 0, 2).await?;
    let reply = replies.pop().unwrap_or(Value::Nil).extract_error()?;
    Ok(from_redis_value(reply)?)
}
