//! Calls the script.

use std::time::Duration;

use redis::{
    Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, Value, aio::MultiplexedConnection,
    from_redis_value,
};

use crate::{
    algorithm::SCRIPT,
    store::{Charge, Level, Operation, Receipt, Verdict},
};

pub(super) struct Decide {
    /// The SHA-1 of the source, by which the server knows a script that it has run before.
    hash: String,
}

/// A name that no other call has: of the process, and of the call in it.
#[derive(Clone, Copy)]
pub(super) struct CallName {
    pub(super) process: u64,
    pub(super) number: u64,
}

impl CallName {
    fn text(self) -> String {
        format!("{:016x}-{:x}", self.process, self.number)
    }
}

/// What the script is to do.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) charges: &'a [Charge<'a>],
    /// The keys of the charges.
    pub(super) keys: &'a [String],
    pub(super) name: CallName,
    /// When it is too late, on the server's clock; 0 if that is not known.
    pub(super) latest: i64,
}

impl Decide {
    pub(super) fn new() -> Self {
        Self { hash: Script::new(SCRIPT).get_hash().to_owned() }
    }

    /// Has the server do it. In a cluster, who `is_asking` is answered by the server that takes the keys over.
    pub(super) async fn call(
        &self,
        connection: &MultiplexedConnection,
        is_asking: bool,
        asked: &Call<'_>,
    ) -> RedisResult<Reply> {
        let Call { operation, charges, name, .. } = *asked;
        let call = |command: &str, script: &str| {
            let mut command = redis::cmd(command);
            command.arg(script).arg(asked.keys.len()).arg(asked.keys);
            command.arg(word(operation)).arg(name.text()).arg(asked.latest);
            for charge in charges {
                write_charge(&mut command, charge);
            }
            send(connection.clone(), is_asking, command)
        };
        let reply = match call("EVALSHA", &self.hash).await {
            // The server has forgotten the script, or never seen it. `EVAL` runs it and makes it known again.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                call("EVAL", SCRIPT).await?
            }
            reply => reply?,
        };
        if let [-1, now] = *reply {
            return Ok(Reply { now, verdict: None });
        }
        match (verdict(operation, charges, name, &reply), reply.get(1)) {
            (Some(verdict), Some(now)) => Ok(Reply { now: *now, verdict: Some(verdict) }),
            _ => Err((ErrorKind::UnexpectedReturnType, "not a decision").into()),
        }
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

/// What the script replied.
pub(super) struct Reply {
    /// When, by the server's clock.
    pub(super) now: i64,
    /// `None` if it was too late to do anything.
    pub(super) verdict: Option<Verdict>,
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Check => "check",
        Operation::Peek => "peek",
        Operation::Charge => "charge",
        Operation::Refund => "refund",
        Operation::Reset => "reset",
    }
}

fn write_charge(command: &mut Cmd, charge: &Charge<'_>) {
    let (units, refill) = charge.quota.token();
    let [process, number, at] = charge.receipt.words();
    command
        .arg(charge.quota.algorithm().name())
        .arg(charge.quota.window().as_micros() as u64)
        .arg(charge.quota.capacity())
        .arg(units)
        .arg(refill)
        .arg(if charge.is_gate { -i64::from(charge.cost) } else { charge.cost.into() })
        .arg(CallName { process, number }.text())
        .arg(at);
}

/// Reads the reply, and takes nothing for granted that a proxy may have made of it.
fn verdict(
    operation: Operation,
    charges: &[Charge<'_>],
    name: CallName,
    reply: &[i64],
) -> Option<Verdict> {
    let [admitted @ 0..=1, now, levels @ ..] = reply else { return None };
    let now = u64::try_from(*now).ok()?;
    let (levels, []) = levels.as_chunks::<3>() else { return None };
    if levels.len() != charges.len() {
        return None;
    }
    let is_allowed = *admitted == 1;
    let read = |(reply, charge): (&[i64; 3], &Charge<'_>)| {
        let [remaining, reset, retry] = *reply;
        let after = Level {
            remaining: u32::try_from(remaining).ok().filter(|it| *it <= charge.quota.capacity())?,
            reset_after: micros(reset)?,
            retry_after: if retry == -1 { None } else { Some(micros(retry)?) },
        };
        Some((after, Receipt::new([name.process, name.number, now])))
    };
    let levels: Vec<_> = levels.iter().zip(charges).map(read).collect::<Option<_>>()?;
    let has_room = |(level, _): &(Level, Receipt)| level.retry_after == Some(Duration::ZERO);
    let is_sound = match operation {
        // What was just taken may leave no room for as much once more.
        Operation::Check if is_allowed => {
            levels.iter().all(|(level, _)| level.retry_after.is_some())
        }
        Operation::Check | Operation::Peek => is_allowed == levels.iter().all(has_room),
        Operation::Charge | Operation::Refund | Operation::Reset => is_allowed,
    };
    is_sound.then(|| Verdict::new(is_allowed, levels))
}

fn micros(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, Quota, store::Bucket};

    #[test]
    fn only_a_decision_is_taken_for_one() {
        let quota: Quota = "5/minute".parse().unwrap();
        let key = Key::global();
        let charge = |cost| Charge::new(Bucket::new("p", 0, &key), quota, cost);
        let name = CallName { process: 1, number: 2 };
        let minute = 60_000_000;
        let read = |operation, reply: &[i64]| verdict(operation, &[charge(1)], name, reply);

        for reply in [
            [1, 9, 4, minute, 0],
            [1, 9, 0, minute, minute],
            [0, 9, 0, minute, minute],
            [0, 9, 3, 1, -1],
        ] {
            let verdict = read(Operation::Check, &reply).expect("a decision");
            assert_eq!(verdict.is_allowed(), reply[0] == 1, "{reply:?}");
            assert_eq!(verdict.receipts().next(), Some(Receipt::new([1, 2, 9])));
        }
        for reply in [
            &[1, 9, 6, minute, 0][..],
            &[1, 9, -1, minute, 0],
            &[1, 9, 4, minute, -1],
            &[1, 9, 4, -2, 0],
            &[0, 9, 4, minute, 0],
            &[2, 9, 4, minute, 0],
            &[1, -9, 4, minute, 0],
            &[1, 9, 4, minute],
            &[1, 9],
            &[],
        ] {
            assert_eq!(read(Operation::Check, reply), None, "{reply:?}");
        }
        assert_eq!(read(Operation::Peek, &[1, 9, 0, minute, minute]), None);
        assert_eq!(read(Operation::Refund, &[0, 9, 0, minute, minute]), None);
        assert!(read(Operation::Refund, &[1, 9, 0, minute, minute]).is_some());
        let two = [charge(1), charge(1)];
        assert_eq!(verdict(Operation::Check, &two, name, &[1, 9, 4, minute, 0]), None);
    }
}
