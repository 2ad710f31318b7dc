//! Calls the Lua script with the same arguments that the Redis store sends. A test can set the time that the script
//! uses.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_rateguard::{
    Algorithm, CalendarPeriod, Quota,
    store::{BucketRequest, BucketStatus, Operation, Receipt, Verdict, calendar_bounds},
};

#[path = "../../../rateguard-core/src/algorithm/script.rs"]
mod script;

/// The source of the script that the store runs in Redis.
pub const SOURCE: &str = script::SCRIPT;

/// Replaces a part of the script. The part must occur exactly once.
pub fn replace_once(source: &str, old: &str, new: &str) -> String {
    assert_eq!(source.matches(old).count(), 1, "{old}");
    source.replace(old, new)
}

/// Changes the script so that it uses the time that the test sends. The changed script also sets each expiry about 1
/// hour later, so that no key expires during a slow test.
pub fn with_test_clock(source: &str) -> String {
    let source = replace_once(source, "call('TIME')", "{ table.remove(ARGV), table.remove(ARGV) }");
    replace_once(&source, "MARGIN_MS = 1000", "MARGIN_MS = 3600000")
}

pub struct Script<'a> {
    connection: &'a mut redis::Connection,
    hash: String,
    prefix: String,
    /// The number of requests in all batches.
    calls: u64,
    batches: u64,
    /// The name of the exact log algorithm in the script. The name depends on the encoding of the logs.
    log: &'static str,
    /// The starts of three successive calendar periods and the end of the last one, in place of those around the time
    /// of the call.
    pub periods: Option<[Duration; 4]>,
}

impl<'a> Script<'a> {
    pub fn new(connection: &'a mut redis::Connection, source: &str, prefix: String) -> Self {
        let hash = redis::cmd("SCRIPT").arg("LOAD").arg(source).query(connection);
        let hash = hash.expect("the script is valid Lua");
        Self {
            connection,
            hash,
            prefix,
            calls: 0,
            batches: 0,
            log: "sliding_window",
            periods: None,
        }
    }

    /// Makes the script store exact logs as sorted sets.
    pub fn with_sorted_sets(self) -> Self {
        Self { log: "sliding_window_sorted_set", ..self }
    }

    /// Sends one request. If the script was changed by [`with_test_clock`], it uses the time `now`.
    pub fn call(
        &mut self,
        operation: Operation,
        bucket_requests: &[BucketRequest<'_>],
        now: Option<Duration>,
    ) -> redis::RedisResult<Verdict> {
        let mut verdicts = self.batch(&[(operation, bucket_requests)], now)?;
        Ok(verdicts.remove(0))
    }

    /// Sends these requests in one batch. If several requests use the same bucket, the batch contains the key of this
    /// bucket only once.
    pub fn batch(
        &mut self,
        requests: &[(Operation, &[BucketRequest<'_>])],
        now: Option<Duration>,
    ) -> redis::RedisResult<Vec<Verdict>> {
        let first = self.calls + 1;
        self.calls += requests.len() as u64;
        let mut keys: Vec<String> = Vec::new();
        let mut quotas: Vec<Quota> = Vec::new();
        let mut shapes: Vec<Vec<String>> = Vec::new();
        // For each request: the position of its shape in `shapes`, followed by the positions of its keys. A shape is an
        // operation with its quotas and costs, but without keys, so several requests can have the same shape.
        let mut list: Vec<Vec<usize>> = Vec::new();
        for (operation, bucket_requests) in requests {
            let mut shape = vec![format!("{operation:?}").to_lowercase()];
            shape.extend(["0".to_owned(), bucket_requests.len().to_string()]);
            let mut positions = vec![0];
            for bucket_request in *bucket_requests {
                let mut key = bucket_request.bucket.storage_key(&self.prefix);
                if bucket_request.quota.algorithm().has_permits() {
                    key.push_str("{permits}");
                }
                positions.push(position(&mut keys, key));
                let cost = i64::from(bucket_request.cost);
                shape.push(position(&mut quotas, bucket_request.quota).to_string());
                shape.push((if bucket_request.check_only { -cost } else { cost }).to_string());
            }
            positions[0] = position(&mut shapes, shape);
            list.push(positions);
        }
        let is_default_order =
            (1..).zip(&list).all(|(number, positions)| *positions == [1, number]);
        let numbers = list.concat().iter().map(usize::to_string).collect::<Vec<_>>().join(" ");

        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys.len()).arg(&keys);
        // The script accepts the flag `mixed` for every batch. The test omits the flag in every other batch that does
        // not need it, and then requests a reply in bytes, because the script decides some of these batches without
        // its general code.
        let is_plain = |(operation, _): &(Operation, &[BucketRequest<'_>])| {
            !matches!(
                operation,
                Operation::Refund | Operation::Renew | Operation::Return | Operation::Reset
            )
        };
        let needs_flag = quotas.len() > 1 || !requests.iter().all(is_plain);
        let (encoding, flag) = if needs_flag || self.batches.is_multiple_of(2) {
            ("numbers", "mixed")
        } else {
            ("bytes", "")
        };
        self.batches += 1;
        command.arg("process").arg(first).arg(encoding).arg(flag).arg(quotas.len());
        for quota in &quotas {
            let is_log = quota.algorithm() == Algorithm::SlidingWindow;
            let lease = quota.lease().map(|lease| lease.duration().as_micros() as u64);
            let (units, refill) = if is_log { (lease.unwrap_or(0), 0) } else { quota.token() };
            let name = match quota.algorithm() {
                Algorithm::SlidingWindow if lease.is_some() => "sliding_window_sorted_set",
                Algorithm::SlidingWindow => self.log,
                Algorithm::TokenBucket if lease.is_some() => "token_bucket_leases",
                algorithm => algorithm.name(),
            };
            command
                .arg(name)
                .arg(quota.window().as_micros() as u64)
                .arg(quota.capacity())
                .arg(units)
                .arg(refill)
                .arg(lease.filter(|_| !is_log));
            if let Some(period) = quota.calendar_period() {
                let periods = self.periods.unwrap_or_else(|| periods_around(period, now));
                command.arg(&periods.map(|time| time.as_micros() as u64));
            }
        }
        command.arg(shapes.len()).arg(shapes.concat());
        command.arg(if is_default_order { "" } else { &numbers });
        let has_receipts = |operation: &Operation| {
            matches!(operation, Operation::Refund | Operation::Renew | Operation::Return)
        };
        for (operation, bucket_requests) in requests.iter().filter(|(it, _)| has_receipts(it)) {
            for bucket_request in *bucket_requests {
                let [request, at, _] = bucket_request.receipt.words();
                command.arg(format!("process-{request}"));
                if *operation == Operation::Return {
                    let uses = bucket_request.uses.iter().map(|after| format!(" {after}"));
                    command.arg(format!("{at}{}", uses.collect::<String>()));
                } else {
                    command.arg(at);
                }
            }
        }
        if let Some(now) = now {
            command.arg(now.subsec_micros()).arg(now.as_secs());
        }
        let reply = decode(command.query(self.connection)?)?;
        let (at, mut rest) = (reply[0] as u64, &reply[1..]);
        let micros = |number: i64| Duration::from_micros(number.try_into().unwrap());
        let mut verdicts = Vec::new();
        for (id, (_, bucket_requests)) in (first..).zip(requests) {
            if rest[0] == -1 {
                let kind = redis::ErrorKind::UnexpectedReturnType;
                return Err((kind, "the script considers the request late").into());
            }
            let (statuses, after) = rest[1..].split_at(3 * bucket_requests.len());
            let statuses = statuses.chunks(3).map(|level| {
                let after = BucketStatus {
                    remaining: level[0].try_into().unwrap(),
                    reset_after: micros(level[1]),
                    retry_after: (level[2] >= 0).then(|| micros(level[2])),
                };
                (after, Receipt::new([id, at, 0]))
            });
            verdicts.push(Verdict::new(rest[0] == 1, statuses));
            rest = after;
        }
        assert!(rest.is_empty(), "the reply has more than the requests");
        Ok(verdicts)
    }
}

/// Returns the starts of the calendar period before the time `now`, of the period that contains `now`, and of the next
/// two periods.
fn periods_around(period: CalendarPeriod, now: Option<Duration>) -> [Duration; 4] {
    let now = now.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    let current = calendar_bounds(period, now);
    let previous = calendar_bounds(period, current.start - Duration::from_micros(1));
    let next = calendar_bounds(period, current.end);
    [previous.start, current.start, current.end, next.end]
}

/// Decodes a reply of the script. Returns the error text of a request that failed as an error.
fn decode(reply: redis::Value) -> redis::RedisResult<Vec<i64>> {
    match reply {
        redis::Value::BulkString(bytes) => {
            let (numbers, _) = bytes.as_chunks::<8>();
            Ok(numbers.iter().map(|it| i64::from_be_bytes(*it)).collect())
        }
        redis::Value::Array(values) if matches!(values[0], redis::Value::BulkString(_)) => {
            let text = redis::from_redis_value(values[1].clone())?;
            Err((redis::ErrorKind::UnexpectedReturnType, "a request failed", text).into())
        }
        other => Ok(redis::from_redis_value(other)?),
    }
}

/// Returns the position of an item, counted from 1. If the list does not contain the item, it is appended first.
fn position<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    let position = items.iter().position(|it| *it == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    });
    position + 1
}
