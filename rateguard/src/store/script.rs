//! The script, as whatever server runs it is asked: what a call says, and what the reply to it means.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{Charge, Level, Operation, Receipt, Verdict};

/// One call of the script.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    /// Where the charges are kept.
    pub(super) keys: &'a [String],
    pub(super) charges: &'a [Charge<'a>],
    pub(super) name: CallName,
    /// On the server's clock, when nobody waits for the reply any more; 0 if that is not known.
    pub(super) latest: i64,
}

/// An argument of the command.
#[derive(Clone, Copy)]
pub(super) enum Argument<'a> {
    Text(&'a str),
    Number(i64),
}

/// What the script replied.
pub(super) struct Reply {
    /// When, by the server's clock.
    pub(super) now: i64,
    /// `None` if it was too late to do anything.
    pub(super) verdict: Option<Verdict>,
}

impl Call<'_> {
    /// Says what follows the script in `EVALSHA` and `EVAL`, in its order.
    pub(super) fn write(&self, mut argument: impl FnMut(Argument<'_>)) {
        argument(Argument::Number(self.keys.len() as i64));
        self.keys.iter().for_each(|key| argument(Argument::Text(key)));
        argument(Argument::Text(word(self.operation)));
        argument(Argument::Text(&self.name.text()));
        argument(Argument::Number(self.latest));
        for charge in self.charges {
            write_charge(charge, &mut argument);
        }
    }

    /// The reply, unless it is none of the script's.
    pub(super) fn read(&self, reply: &[i64]) -> Option<Reply> {
        if let [-1, now] = *reply {
            return Some(Reply { now, verdict: None });
        }
        let verdict = verdict(self.operation, self.charges, self.name, reply)?;
        Some(Reply { now: *reply.get(1)?, verdict: Some(verdict) })
    }
}

/// A name that no other call has: of the process, and of the call in it.
#[derive(Clone, Copy)]
pub(super) struct CallName {
    process: u64,
    number: u64,
}

impl CallName {
    fn text(self) -> String {
        format!("{:016x}-{:x}", self.process, self.number)
    }
}

/// Names for calls that no other process and no other call has.
pub(super) struct CallNames {
    process: u64,
    next: AtomicU64,
}

impl CallNames {
    pub(super) fn new() -> Self {
        // Two hashers of the standard library have different random seeds.
        Self { process: RandomState::new().hash_one("process"), next: AtomicU64::new(0) }
    }

    pub(super) fn next(&self) -> CallName {
        CallName { process: self.process, number: self.next.fetch_add(1, Relaxed) }
    }
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

fn write_charge(charge: &Charge<'_>, argument: &mut impl FnMut(Argument<'_>)) {
    let (units, refill) = charge.quota.token();
    let [process, number, at] = charge.receipt.words();
    let cost = i64::from(charge.cost);
    argument(Argument::Text(charge.quota.algorithm().name()));
    // All that is counted is below 2^53.
    argument(Argument::Number(charge.quota.window().as_micros() as i64));
    argument(Argument::Number(charge.quota.capacity().into()));
    argument(Argument::Number(units as i64));
    argument(Argument::Number(refill as i64));
    argument(Argument::Number(if charge.is_gate { -cost } else { cost }));
    argument(Argument::Text(&CallName { process, number }.text()));
    argument(Argument::Number(at as i64));
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
