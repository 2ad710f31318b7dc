//! Random traces of leases, with which tests compare the script and a small model of a bucket with leases.

use std::time::Duration;

use actix_rateguard::{
    Key, Quota,
    store::{Bucket, BucketRequest, BucketStatus, Operation, Receipt},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::{
    support::{
        lua::{Script, with_test_clock},
        redis_server::RedisServer,
    },
    trace_runner::START,
    traces::seed,
};

const ROUNDS: usize = 40;
const STEPS: usize = 120;

/// A model of one bucket.
pub trait LeaseModel: Default {
    /// Applies the request with this number at the time `now`, in microseconds.
    fn apply(&mut self, id: u64, step: &Step, now: u64) -> (bool, BucketStatus);
}

pub fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

/// Returns the duration of the lease in microseconds.
pub fn lease_of(quota: &Quota) -> Option<u64> {
    quota.lease().map(|lease| micros(lease.duration()))
}

/// A request of a trace.
#[derive(Clone, Debug)]
pub struct Step {
    pub operation: Operation,
    pub quota: Quota,
    pub cost: u32,
    pub receipt: Receipt,
    pub uses: Vec<u32>,
}

fn random_step(random: &mut SmallRng, quotas: &[&str], history: &[Step]) -> Step {
    if !history.is_empty() && random.random_ratio(2, 5) {
        let recent = history.len().saturating_sub(6)..history.len();
        let mut step = history[random.random_range(recent)].clone();
        if step.operation == Operation::Lease {
            step.operation = Operation::Return;
            let lease = lease_of(&step.quota).unwrap() as u32;
            let used = random.random_range(0..=step.cost);
            step.uses = (0..used).map(|_| random.random_range(0..3) * (lease / 2)).collect();
        } else {
            step.operation = Operation::Refund;
        }
        return step;
    }
    let quota: Quota = quotas.choose(random).unwrap().parse().unwrap();
    let operation = match random.random_range(0..20) {
        0 => Operation::Peek,
        1 => Operation::Debit,
        2 => Operation::Reset,
        3..10 if quota.lease().is_some() => Operation::Lease,
        _ => Operation::Check,
    };
    let cost = *[0, 1, 1, 1, 2, 3, 7].choose(random).unwrap();
    let cost = if operation == Operation::Lease { cost.max(1) } else { cost };
    // A debit takes at most the capacity.
    let cost = if operation == Operation::Debit { cost.min(3) } else { cost };
    Step { operation, quota, cost, receipt: Receipt::default(), uses: Vec::new() }
}

fn request<'a>(key: &'a Key, step: &'a Step) -> BucketRequest<'a> {
    let mut request = BucketRequest::new(Bucket::new("leases", 0, key), step.quota, step.cost);
    (request.receipt, request.uses) = (step.receipt, &step.uses);
    request
}

/// Returns the first difference between the script and the model, with requests of these quotas.
pub fn difference<M: LeaseModel>(source: &str, quotas: &[&str]) -> Option<String> {
    let server = RedisServer::start();
    let mut client = server.client();
    let source = with_test_clock(source);
    let seed = seed();
    (0..ROUNDS).find_map(|round| {
        let mut random = SmallRng::seed_from_u64(seed.wrapping_add(round as u64));
        let script = Script::new(&mut client, &source, format!("round-{round}"));
        let found = trace::<M>(&mut random, quotas, &mut script.with_sorted_sets());
        found.map(|found| format!("RATEGUARD_SEED={seed}, round {round}: {found}"))
    })
}

fn trace<M: LeaseModel>(
    random: &mut SmallRng,
    quotas: &[&str],
    script: &mut Script<'_>,
) -> Option<String> {
    let key = Key::global();
    let mut model = M::default();
    let mut history: Vec<Step> = Vec::new();
    let (mut now, mut wait, mut next_id) = (START, 100_000, 1);
    for number in 0..STEPS {
        now = match random.random_range(0..12) {
            0 | 1 => now + random.random_range(0..1_500_000),
            2 | 3 => now + wait,
            4 => now + wait.saturating_sub(1),
            5 => now.saturating_sub(random.random_range(0..6_000_000)).max(START / 2),
            6 | 7 => now + 500_000,
            _ => now,
        };
        let steps: Vec<Step> =
            (0..random.random_range(1..5)).map(|_| random_step(random, quotas, &history)).collect();
        let requests: Vec<_> = steps.iter().map(|step| [request(&key, step)]).collect();
        let batch: Vec<(Operation, &[BucketRequest<'_>])> =
            steps.iter().zip(&requests).map(|(step, it)| (step.operation, &it[..])).collect();
        let verdicts = script.batch(&batch, Some(Duration::from_micros(now))).unwrap();
        for (step, verdict) in steps.iter().zip(&verdicts) {
            let expected = model.apply(next_id, step, now);
            let found = (verdict.is_allowed(), verdict.statuses().next().unwrap());
            if found != expected {
                return Some(format!(
                    "step {number} at {now}, {step:?}: script {found:?}, model {expected:?}"
                ));
            }
            wait = match expected.1.retry_after {
                Some(retry) if !retry.is_zero() => micros(retry),
                _ => wait,
            };
            let takes = matches!(step.operation, Operation::Check | Operation::Lease);
            if takes && verdict.is_allowed() && step.cost > 0 {
                let receipt = verdict.receipts().next().unwrap();
                history.push(Step { receipt, ..step.clone() });
            }
            next_id += 1;
        }
    }
    None
}
