//! The script, called as the store calls it, at a time that the test sets in place of the server's.

use std::time::Duration;

use rateguard::{
    Algorithm,
    store::{Charge, Level, Operation, Receipt, Verdict},
};

/// The script as it is.
pub const SOURCE: &str = concat!(
    include_str!("../../../rateguard/src/algorithm/begin.lua"),
    include_str!("../../../rateguard/src/algorithm/sliding_window.lua"),
    include_str!("../../../rateguard/src/algorithm/sorted_set.lua"),
    include_str!("../../../rateguard/src/algorithm/sliding_window_counter.lua"),
    include_str!("../../../rateguard/src/algorithm/fixed_window.lua"),
    include_str!("../../../rateguard/src/algorithm/token_bucket.lua"),
    include_str!("../../../rateguard/src/algorithm/decide.lua"),
);

/// The script with this in place of that, which is there once.
pub fn with(source: &str, what: &str, by: &str) -> String {
    assert_eq!(source.matches(what).count(), 1, "{what}");
    source.replace(what, by)
}

/// The script with the time of the test, and keys that outlive the test however slow it is.
pub fn with_time_of_the_test(source: &str) -> String {
    let source = with(source, "call('TIME')", "{ table.remove(ARGV), table.remove(ARGV) }");
    with(&source, "MARGIN_MS = 1000", "MARGIN_MS = 3600000")
}

pub struct Script<'a> {
    connection: &'a mut redis::Connection,
    hash: String,
    prefix: String,
    calls: u64,
    /// The name that the script has for the exact log.
    log: &'static str,
}

impl<'a> Script<'a> {
    pub fn new(connection: &'a mut redis::Connection, source: &str, prefix: String) -> Self {
        let hash = redis::cmd("SCRIPT").arg("LOAD").arg(source).query(connection);
        let hash = hash.expect("the script is Lua");
        Self { connection, hash, prefix, calls: 0, log: "sliding_window" }
    }

    /// The same with logs that are sorted sets.
    pub fn with_sorted_sets(self) -> Self {
        Self { log: "sliding_window_sorted_set", ..self }
    }

    /// At this time, if the script has that of the test.
    pub fn call(
        &mut self,
        operation: Operation,
        charges: &[Charge<'_>],
        now: Option<Duration>,
    ) -> redis::RedisResult<Verdict> {
        self.calls += 1;
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(charges.len());
        for charge in charges {
            command.arg(charge.bucket.storage_key(&self.prefix));
        }
        command.arg("process").arg(self.calls).arg("numbers");
        command.arg(format!("{operation:?}").to_lowercase()).arg(0).arg(charges.len()).arg(1);
        for charge in charges {
            let (units, refill) = charge.quota.token();
            let algorithm = charge.quota.algorithm();
            let is_log = algorithm == Algorithm::SlidingWindow;
            command
                .arg(if is_log { self.log } else { algorithm.name() })
                .arg(charge.quota.window().as_micros() as u64)
                .arg(charge.quota.capacity())
                .arg(units)
                .arg(refill)
                .arg(charge.cost);
        }
        command.arg("");
        if operation == Operation::Refund {
            for charge in charges {
                let [call, at, _] = charge.receipt.words();
                command.arg(format!("process-{call}")).arg(at);
            }
        }
        if let Some(now) = now {
            command.arg(now.subsec_micros()).arg(now.as_secs());
        }
        let reply: Vec<i64> = command.query(self.connection)?;
        let micros = |number: i64| Duration::from_micros(number.try_into().unwrap());
        let levels = reply[2..].chunks(3).map(|level| {
            let after = Level {
                remaining: level[0].try_into().unwrap(),
                reset_after: micros(level[1]),
                retry_after: (level[2] >= 0).then(|| micros(level[2])),
            };
            (after, Receipt::new([self.calls, reply[0] as u64, 0]))
        });
        Ok(Verdict::new(reply[1] == 1, levels))
    }
}
