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
        redis_server::RedisServer,
    },
    trace_runner::START,
};

const QUOTAS: [&str; 4] =
    ["6/4s lease 3 for 1s", "6/4s lease 3 for 500ms", "8/4s lease 3 for 1s", "6/4s"];

/// The identity of a unit: the number of the request, the number of the unit, and the lease in microseconds.
type UnitId = (u64, u32, Option<u64>);

/// The times of the units in the log.
#[derive(Default)]
struct Log {
    units: BTreeMap<UnitId, u64>,
}

impl Log {
    /// Corrects times that are later than a lease from now.
    fn load(&mut self, quota: &Quota, now: u64) {
        for ((_, _, lease), time) in &mut self.units {
            if *time > now + lease_of(quota).unwrap_or(0) {
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
