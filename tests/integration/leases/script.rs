//! Random traces of leases. The script must give the same results as a small model of a log with leases, also after
//! clock steps, with late and repeated returns, and in batches.

use std::{collections::BTreeMap, time::Duration};

use actix_rateguard::{
    Key, Quota,
    store::{Bucket, BucketRequest, BucketStatus, Operation},
};

use super::traces::{self, LeaseModel, Step, lease_of, micros};
use crate::{
    support::{
        lua::{SOURCE, Script, with_test_clock},
        redis_server::{RedisServer, run},
    },
    trace_runner::START,
};

const QUOTAS: [&str; 4] =
    ["6/4s lease 3 for 1s", "6/4s lease 3 for 500ms", "8/4s lease 3 for 1s", "6/4s"];

/// The identity of a unit: the number of the request, the number of the unit, and the lease in microseconds.
type UnitId = (u64, u32, Option<u64>);

/// Returns the name of a unit in the sorted set.
fn name_of(&(request, unit, lease): &UnitId) -> String {
    let lease = lease.map_or_else(String::new, |lease| format!("/{lease}"));
    let unit = if unit == 1 { String::new() } else { format!(":{unit}") };
    format!("process-{request}{lease}{unit}")
}

/// The times of the units in the log.
#[derive(Default)]
struct Log {
    units: BTreeMap<UnitId, u64>,
}

impl Log {
    /// Corrects times that are later than a lease from now, if the newest unit shows that the clock was set back. Of the
    /// units with the latest time, the last one in the order of Redis, by name, is the newest one.
    fn load(&mut self, quota: &Quota, now: u64) {
        let newest = self.units.iter().max_by_key(|(id, time)| (**time, name_of(id)));
        let is_set_back = newest.is_some_and(|((_, _, lease), time)| {
            *time > now + lease_of(quota).unwrap_or(0).max(lease.unwrap_or(0))
        });
        for ((_, _, lease), time) in &mut self.units {
            if is_set_back && *time > now + lease_of(quota).unwrap_or(0) {
                *time = (*time).min(now + lease.unwrap_or(0));
            }
        }
    }

    /// Returns the times of the units that count, in ascending order.
    fn counted(&self, quota: &Quota, now: u64) -> Vec<u64> {
        let is_counted = |time: &u64| time + micros(quota.window()) > now;
        let mut times: Vec<u64> = self.units.values().copied().filter(is_counted).collect();
        times.sort_unstable();
        times
    }

    fn status(&self, quota: &Quota, now: u64, cost: u32) -> BucketStatus {
        let times = self.counted(quota, now);
        let (used, capacity) = (times.len() as u32, quota.capacity());
        let wait_for = |units: u32| match (used + units).saturating_sub(capacity) {
            0 => Duration::ZERO,
            excess => {
                Duration::from_micros(times[excess as usize - 1] + micros(quota.window()) - now)
            }
        };
        let remaining = capacity.saturating_sub(used);
        BucketStatus {
            remaining,
            reset_after: if used > 0 { wait_for(remaining + 1) } else { Duration::ZERO },
            retry_after: (cost <= capacity)
                .then(|| if remaining < cost { wait_for(cost) } else { Duration::ZERO }),
        }
    }
}

impl LeaseModel for Log {
    fn apply(&mut self, id: u64, step: &Step, now: u64) -> (bool, BucketStatus) {
        let Step { operation, quota, cost, .. } = step;
        self.load(quota, now);
        let lease = lease_of(quota);
        let has_room = *cost <= quota.capacity()
            && (*cost == 0 || self.counted(quota, now).len() as u32 + cost <= quota.capacity());
        let mut allowed = true;
        match operation {
            Operation::Check | Operation::Lease | Operation::Debit => {
                allowed = has_room || *operation == Operation::Debit;
                if allowed && *cost > 0 {
                    self.units.retain(|_, time| *time + micros(quota.window()) > now);
                    let (lease, time) = match operation {
                        Operation::Lease => (lease, now + lease.unwrap()),
                        _ => (None, now),
                    };
                    self.units.extend((1..=*cost).map(|unit| ((id, unit, lease), time)));
                }
            }
            Operation::Peek => allowed = has_room,
            Operation::Refund => {
                let [request, ..] = step.receipt.words();
                for unit in 1..=*cost {
                    self.units.remove(&(request, unit, None));
                }
            }
            Operation::Return => {
                let [request, granted, _] = step.receipt.words();
                for unit in 1..=*cost {
                    let id = (request, unit, lease);
                    match step.uses.get(unit as usize - 1) {
                        Some(after) if *after > 0 => {
                            if let Some(time) = self.units.get_mut(&id) {
                                *time = (*time).min(granted + u64::from(*after));
                            }
                        }
                        _ => {
                            self.units.remove(&id);
                        }
                    }
                }
            }
            Operation::Reset => self.units.retain(|_, time| *time > now),
            Operation::Renew => unreachable!("no trace renews permits"),
        }
        (allowed, self.status(quota, now, *cost))
    }
}

/// Returns the first difference between the script and the model.
pub fn difference(source: &str) -> Option<String> {
    traces::difference::<Log>(source, &QUOTAS)
}

#[test]
fn script_and_model_agree_on_leases() {
    assert_eq!(difference(SOURCE), None);
}

/// Returns a defect of the script: leased units that stop counting too early, because their key expires or because a
/// process with another algorithm uses the bucket.
pub fn conversion_defect(source: &str) -> Option<String> {
    let server = RedisServer::start();
    let (mut client, mut other) = (server.client(), server.client());
    let source = with_test_clock(source);
    let key = Key::global();
    let leased: Quota = "6/4s lease 3 for 1s".parse().unwrap();
    for (case, other_quota) in
        ["6/4s", "6/4s fixed_window", "6/4s sliding_window_counter", "6/4s token_bucket"]
            .into_iter()
            .enumerate()
    {
        let prefix = format!("case-{case}");
        let mut script = Script::new(&mut client, &source, prefix.clone());
        let at = |millis: u64| Some(Duration::from_micros(START) + Duration::from_millis(millis));
        let bucket = Bucket::new("leases", 0, &key);
        let with = |quota: Quota, cost| BucketRequest::new(bucket, quota, cost);
        let other_quota: Quota = other_quota.parse().unwrap();
        let verdict = script.call(Operation::Lease, &[with(leased, 3)], at(0)).unwrap();
        // The test clock adds one hour to each lifetime.
        let name = bucket.storage_key(&prefix);
        let lifetime: i64 = redis::cmd("PTTL").arg(name).query(&mut other).unwrap();
        if lifetime < 3_600_000 + 4_900 {
            return Some(format!("the key lives for {lifetime} ms"));
        }
        let mut remaining = |operation, quota, cost, millis| {
            let verdict = script.call(operation, &[with(quota, cost)], at(millis)).unwrap();
            (verdict.is_allowed(), verdict.statuses().next().unwrap().remaining)
        };
        // The process with the other algorithm counts the leased units, and they do not become units of now.
        let found = remaining(Operation::Check, other_quota, 1, 10);
        if found != (true, 2) {
            return Some(format!("{other_quota}: {found:?} during the lease"));
        }
        let found = remaining(Operation::Peek, leased, 1, 4_005);
        if found != (true, 2) {
            return Some(format!("{other_quota}: {found:?} before one window after the lease"));
        }
        let mut returned = with(leased, 3);
        let uses = [20_000, 0, 30_000];
        (returned.receipt, returned.uses) = (verdict.receipts().next().unwrap(), &uses);
        script.call(Operation::Return, &[returned], at(4_006)).unwrap();
        let verdict = script.call(Operation::Peek, &[with(leased, 1)], at(4_006)).unwrap();
        let remaining = verdict.statuses().next().unwrap().remaining;
        if remaining != 3 {
            return Some(format!("{other_quota}: {remaining} units remain after the return"));
        }
    }
    None
}

#[test]
fn other_algorithms_keep_leased_units_until_the_lease_ends() {
    assert_eq!(conversion_defect(SOURCE), None);
}

/// Returns a defect of the script if application servers with and without a lease share a key: a client that uses less
/// than half of its limit has fewer units left than it did not use.
pub fn mixed_servers_defect(source: &str) -> Option<String> {
    let server = RedisServer::start();
    let mut client = server.client();
    let source = with_test_clock(source);
    let key = Key::global();
    let mut script = Script::new(&mut client, &source, "mixed".to_owned());
    let [plain, leased]: [Quota; 2] =
        ["10/4s", "10/4s lease 2 for 500ms"].map(|quota| quota.parse().unwrap());
    (0..40).find_map(|second| {
        let quota = if second % 2 == 0 { plain } else { leased };
        let request = BucketRequest::new(Bucket::new("leases", 0, &key), quota, 1);
        let now = Duration::from_micros(START) + Duration::from_secs(second);
        let verdict = script.call(Operation::Check, &[request], Some(now)).unwrap();
        let remaining = verdict.statuses().next().unwrap().remaining;
        // The change to a sorted set counts the only earlier unit as taken at the time of the change.
        (remaining < 5).then(|| format!("{remaining} units remain in second {second}"))
    })
}

#[test]
fn servers_with_and_without_a_lease_keep_the_times_of_units() {
    assert_eq!(mixed_servers_defect(SOURCE), None);
}

/// A process without a lease, or with a shorter one, must not read all units of the open leases of other processes for
/// each of its checks.
#[test]
fn check_beside_longer_leases_reads_no_list_of_units() {
    let server = RedisServer::start();
    let (mut client, mut other) = (server.client(), server.client());
    let key = Key::global();
    let mut script = Script::new(&mut client, SOURCE, "longer".to_owned());
    let mut call = |operation, quota: &str, cost| {
        let bucket = Bucket::new("leases", 0, &key);
        let request = BucketRequest::new(bucket, quota.parse().unwrap(), cost);
        assert!(script.call(operation, &[request], None).unwrap().is_allowed());
    };
    for _ in 0..3 {
        call(Operation::Lease, "10000/10m lease 1000 for 10s", 1_000);
    }
    for quota in ["10000/10m", "10000/10m lease 1000 for 5s", "10000/10m fixed_window"] {
        call(Operation::Check, quota, 1);
    }
    let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut other).unwrap();
    assert!(!stats.contains("cmdstat_zrangebyscore"), "{stats}");
}

#[test]
fn return_without_memory_gives_the_unused_units_back() {
    let server = RedisServer::start();
    let (mut client, mut other) = (server.client(), server.client());
    let key = Key::global();
    let mut script = Script::new(&mut client, SOURCE, "memory".to_owned());
    let quota: Quota = "1000/10m lease 50 for 10s".parse().unwrap();
    let request = |cost| BucketRequest::new(Bucket::new("leases", 0, &key), quota, cost);
    let granted = script.call(Operation::Lease, &[request(50)], None).unwrap();
    run::<()>(&mut other, "CONFIG SET maxmemory 1");
    let uses = [1_000, 2_000];
    let mut returned = request(50);
    (returned.receipt, returned.uses) = (granted.receipts().next().unwrap(), &uses);
    let verdict = script.call(Operation::Return, &[returned], None).unwrap();
    assert_eq!(verdict.statuses().next().unwrap().remaining, 998);
}
