//! Samples the permits and the leased units in the Redis of a storm, which is a test that injects random faults. Each
//! sample is one script call, so it shows one moment of Redis, and uses the clock of Redis.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use actix_rateguard::Algorithm;
use redis::RedisResult;

use super::{
    history::Bucket,
    limits::{policy_index, quota},
    now, redis_process,
};

/// The pause between two samples.
const PAUSE: Duration = Duration::from_millis(15);
/// The number of samples after which the thread lists the keys again.
const LIST_EVERY: usize = 30;

/// Returns the permits that are valid now, and the units of each log that count now. A key with permits has the window
/// 0 in ARGV. The script returns names for such a key, and a count for a log.
const SAMPLE: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local text = function(number) return string.format('(%.0f', number) end
local reply = {}
for i, key in ipairs(KEYS) do
  local window = tonumber(ARGV[i])
  local found
  if window == 0 then
    found = redis.pcall('ZRANGEBYSCORE', key, text(now), '+inf')
  else
    found = {tostring(redis.pcall('ZCOUNT', key, text(now - window), '+inf'))}
  end
  reply[i] = found.err and {} or found
end
return reply";

/// The samples of a storm. Times are in microseconds since 1970, directly before the sample.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// The number of samples.
    pub count: usize,
    /// The samples with more valid permits or counted units than the limit: the bucket, the time and the number.
    pub over_limit: Vec<(Bucket, u64, usize)>,
    /// The maximum number of valid permits or counted units for each policy and quota.
    pub most: BTreeMap<(usize, usize), usize>,
    /// For each process, the last time at which one of its permits was valid. The key is the id of the process in
    /// receipts.
    pub last_valid: BTreeMap<u64, u64>,
}

/// Samples the Redis server at this port until `stop` is set.
#[must_use]
pub fn sample(port: u16, stop: &AtomicBool) -> Samples {
    let mut samples = Samples::default();
    let (mut keys, mut left) = (Vec::new(), 0);
    let mut connection = None;
    while !stop.load(Relaxed) {
        if connection.is_none() {
            connection = redis_process::connect(port).ok();
        }
        if let Some(open) = &mut connection {
            if left == 0 {
                keys = list_keys(open).unwrap_or(keys);
                left = LIST_EVERY;
            }
            left -= 1;
            match samples.take(&keys, open) {
                Ok(()) => {}
                // An error reply leaves the connection usable, for example while Redis runs another script.
                Err(error) if error.code().is_some() => {}
                Err(_) => connection = None,
            }
        }
        thread::sleep(PAUSE);
    }
    samples
}

fn list_keys(connection: &mut redis::Connection) -> RedisResult<Vec<(String, Bucket, u64)>> {
    let names: Vec<String> = redis::cmd("KEYS").arg("storm:*").query(connection)?;
    Ok(names.into_iter().filter_map(bucket_of).collect())
}

/// Parses a Redis key such as `storm:{digest}:export{2}{permits}`. Returns the key, its bucket, and the window of its
/// log in microseconds, or 0 if it has permits. Returns `None` if the bucket has neither permits nor a lease.
#[must_use]
pub fn bucket_of(key: String) -> Option<(String, Bucket, u64)> {
    let (digest, name) = key.strip_prefix("storm:{")?.split_once("}:")?;
    let (name, has_permits) = match name.strip_suffix("{permits}") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let (name, index) = match name.split_once('{') {
        Some((name, number)) => (name, number.strip_suffix('}')?.parse::<usize>().ok()? - 1),
        None => (name, 0),
    };
    let policy = policy_index(name)?;
    let bucket = Bucket { policy, quota_index: index, key: u128::from_str_radix(digest, 16).ok()? };
    let quota = quota(policy, index)?;
    let is_judged = if has_permits {
        quota.algorithm() == Algorithm::Concurrency
    } else {
        quota.lease().is_some()
    };
    let window = if has_permits { 0 } else { quota.window().as_micros() as u64 };
    is_judged.then_some((key, bucket, window))
}

impl Samples {
    fn take(
        &mut self,
        keys: &[(String, Bucket, u64)],
        connection: &mut redis::Connection,
    ) -> RedisResult<()> {
        let mut call = redis::cmd("EVAL");
        call.arg(SAMPLE).arg(keys.len());
        call.arg(keys.iter().map(|(key, ..)| key).collect::<Vec<_>>());
        call.arg(keys.iter().map(|(.., window)| window).collect::<Vec<_>>());
        let sent = now();
        let reply: Vec<Vec<String>> = call.query(connection)?;
        self.count += 1;
        for ((_, bucket, window), found) in keys.iter().zip(reply) {
            let count = match &found[..] {
                [count] if *window > 0 => count.parse().unwrap_or(0),
                _ => found.len(),
            };
            let most = self.most.entry((bucket.policy, bucket.quota_index)).or_default();
            *most = count.max(*most);
            let limit = quota(bucket.policy, bucket.quota_index).map_or(0, |it| it.capacity());
            if count > limit as usize {
                self.over_limit.push((*bucket, sent, count));
            }
            if *window == 0 {
                let process = |name: &String| u64::from_str_radix(name.split('-').next()?, 16).ok();
                for process in found.iter().filter_map(process) {
                    self.last_valid.insert(process, sent);
                }
            }
        }
        Ok(())
    }
}
