//! The script, called as the store calls it, at a time that the test sets in place of the server's.

use std::time::Duration;

use rateguard::store::{Charge, Level, Operation, Receipt, Verdict};

/// The script as it is.
pub const SOURCE: &str = concat!(
    include_str!("../../../rateguard/src/algorithm/begin.lua"),
    include_str!("../../../rateguard/src/algorithm/sliding_window.lua"),
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
    let source = with(source, "redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }");
    with(&source, "MARGIN_MS = 1000", "MARGIN_MS = 3600000")
}

pub struct Script<'a> {
    connection: &'a mut redis::Connection,
    hash: String,
    prefix: String,
    calls: u64,
}

impl<'a> Script<'a> {
    pub fn new(connection: &'a mut redis::Connection, source: &str, prefix: String) -> Self {
        let hash = redis::cmd("SCRIPT").arg("LOAD").arg(source).query(connection);
        Self { connection, hash: hash.expect("the script is Lua"), prefix, calls: 0 }
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
        command
            .arg(format!("{operation:?}").to_lowercase())
            .arg(format!("call-{}", self.calls))
            .arg(0);
        for charge in charges {
            let (units, refill) = charge.quota.token();
            let [call, at, _] = charge.receipt.words();
            command
                .arg(charge.quota.algorithm().to_string())
                .arg(charge.quota.window().as_micros() as u64)
                .arg(charge.quota.capacity())
                .arg(units)
                .arg(refill)
                .arg(charge.cost)
                .arg(format!("call-{call}"))
                .arg(at);
        }
        if let Some(now) = now {
            command.arg(now.as_secs()).arg(now.subsec_micros());
        }
        let reply: Vec<i64> = command.query(self.connection)?;
        let micros = |number: i64| Duration::from_micros(number.try_into().unwrap());
        let levels = reply[2..].chunks(3).map(|level| {
            let after = Level {
                remaining: level[0].try_into().unwrap(),
                reset_after: micros(level[1]),
                retry_after: (level[2] >= 0).then(|| micros(level[2])),
            };
            (after, Receipt::new([self.calls, reply[1] as u64, 0]))
        });
        Ok(Verdict::new(reply[0] == 1, levels))
    }
}
