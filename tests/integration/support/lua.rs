//! The script, called as the store calls it, at a time that the test sets in place of the server's.

use std::time::Duration;

use rateguard::{
    Algorithm, Quota,
    store::{Charge, Level, Operation, Receipt, Verdict},
};

/// The script as it is.
pub const SOURCE: &str = concat!(
    include_str!("../../../rateguard/src/algorithm/prelude.lua"),
    include_str!("../../../rateguard/src/algorithm/sliding_window.lua"),
    include_str!("../../../rateguard/src/algorithm/sliding_window_sorted_set.lua"),
    include_str!("../../../rateguard/src/algorithm/sliding_window_counter.lua"),
    include_str!("../../../rateguard/src/algorithm/fixed_window.lua"),
    include_str!("../../../rateguard/src/algorithm/token_bucket.lua"),
    include_str!("../../../rateguard/src/algorithm/main.lua"),
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

    /// Sends one request, at this time if the script has that of the test.
    pub fn call(
        &mut self,
        operation: Operation,
        charges: &[Charge<'_>],
        now: Option<Duration>,
    ) -> redis::RedisResult<Verdict> {
        let mut verdicts = self.batch(&[(operation, charges)], now)?;
        Ok(verdicts.remove(0))
    }

    /// Sends these requests in one batch, each bucket named once.
    pub fn batch(
        &mut self,
        requests: &[(Operation, &[Charge<'_>])],
        now: Option<Duration>,
    ) -> redis::RedisResult<Vec<Verdict>> {
        let first = self.calls + 1;
        self.calls += requests.len() as u64;
        let mut keys: Vec<String> = Vec::new();
        let mut quotas: Vec<Quota> = Vec::new();
        let mut shapes: Vec<Vec<String>> = Vec::new();
        // For each request, the positions of its shape and of its keys.
        let mut list: Vec<Vec<usize>> = Vec::new();
        for (operation, charges) in requests {
            let mut shape = vec![format!("{operation:?}").to_lowercase()];
            shape.extend(["0".to_owned(), charges.len().to_string()]);
            let mut positions = vec![0];
            for charge in *charges {
                positions.push(position(&mut keys, charge.bucket.storage_key(&self.prefix)));
                let cost = i64::from(charge.cost);
                shape.push(position(&mut quotas, charge.quota).to_string());
                shape.push((if charge.is_gate { -cost } else { cost }).to_string());
            }
            positions[0] = position(&mut shapes, shape);
            list.push(positions);
        }
        let is_usual = (1..).zip(&list).all(|(number, positions)| *positions == [1, number]);
        let numbers = list.concat().iter().map(usize::to_string).collect::<Vec<_>>().join(" ");

        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys.len()).arg(&keys);
        // It is no harm if nothing is mixed.
        command.arg("process").arg(first).arg("numbers").arg("mixed").arg(quotas.len());
        for quota in &quotas {
            let (units, refill) = quota.token();
            let is_log = quota.algorithm() == Algorithm::SlidingWindow;
            command
                .arg(if is_log { self.log } else { quota.algorithm().name() })
                .arg(quota.window().as_micros() as u64)
                .arg(quota.capacity())
                .arg(units)
                .arg(refill);
        }
        command.arg(shapes.len()).arg(shapes.concat());
        command.arg(if is_usual { "" } else { &numbers });
        let refunds = requests.iter().filter(|(operation, _)| *operation == Operation::Refund);
        for charge in refunds.flat_map(|(_, charges)| *charges) {
            let [request, at, _] = charge.receipt.words();
            command.arg(format!("process-{request}")).arg(at);
        }
        if let Some(now) = now {
            command.arg(now.subsec_micros()).arg(now.as_secs());
        }
        let reply: Vec<i64> = command.query(self.connection)?;
        let (at, mut rest) = (reply[0] as u64, &reply[1..]);
        let micros = |number: i64| Duration::from_micros(number.try_into().unwrap());
        let mut verdicts = Vec::new();
        for (id, (_, charges)) in (first..).zip(requests) {
            let (levels, after) = rest[1..].split_at(3 * charges.len());
            let levels = levels.chunks(3).map(|level| {
                let after = Level {
                    remaining: level[0].try_into().unwrap(),
                    reset_after: micros(level[1]),
                    retry_after: (level[2] >= 0).then(|| micros(level[2])),
                };
                (after, Receipt::new([id, at, 0]))
            });
            verdicts.push(Verdict::new(rest[0] == 1, levels));
            rest = after;
        }
        assert!(rest.is_empty(), "the reply has more than the requests");
        Ok(verdicts)
    }
}

/// The position of the item, counted from 1, which is added if it is not there.
fn position<T: PartialEq>(known: &mut Vec<T>, item: T) -> usize {
    let position = known.iter().position(|it| *it == item).unwrap_or_else(|| {
        known.push(item);
        known.len() - 1
    });
    position + 1
}
