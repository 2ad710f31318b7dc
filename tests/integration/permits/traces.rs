//! Random traces of permits. The script and the store in memory must give the same results, also after clock steps, with
//! several leases, and in batches.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use actix_rateguard::{
    Clock, Key, MemoryStore, Quota,
    store::{Bucket, BucketRequest, Operation, Receipt, Store, StoreFuture, Verdict},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use crate::{
    support::{
        lua::{SOURCE, Script, with_test_clock},
        redis_server::RedisServer,
    },
    trace_runner::START,
    traces::seed,
};

const QUOTAS: [&str; 5] = [
    "1 concurrent lease 1s",
    "2 concurrent lease 1s",
    "3 concurrent lease 3s",
    "5 concurrent lease 3s",
    "4 concurrent lease 60s",
];
// The window does not end during a trace. `traces.rs` tests windows that end.
const RATE: &str = "60/365d fixed_window";
const ROUNDS: usize = 40;
const STEPS: usize = 120;

/// A clock that a test can also set back.
#[derive(Clone)]
struct TestClock(Arc<AtomicU64>);

impl Clock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_micros(self.0.load(SeqCst))
    }
}

/// The data of one bucket request.
#[derive(Clone, Copy, Debug)]
struct Part {
    key: usize,
    index: usize,
    quota: Quota,
    cost: u32,
    check_only: bool,
}

/// An operation of a trace. `receipts` has the number of an earlier operation whose permits it releases or renews.
#[derive(Clone, Debug)]
struct Step {
    operation: Operation,
    parts: Vec<Part>,
    earlier: Option<usize>,
}

/// The receipts that both stores returned for an operation.
struct Receipts {
    step: Step,
    script: Vec<Receipt>,
    memory: Vec<Receipt>,
}

fn random_step(random: &mut SmallRng, history: &[Receipts]) -> Step {
    let earlier = (!history.is_empty()).then(|| {
        let recent = history.len().saturating_sub(12)..history.len();
        random.random_range(recent)
    });
    if let Some(earlier) = earlier.filter(|_| random.random_ratio(1, 2)) {
        let operation =
            *[Operation::Refund, Operation::Renew, Operation::Renew].choose(random).unwrap();
        let parts = history[earlier].step.parts.clone();
        return Step { operation, parts, earlier: Some(earlier) };
    }
    let operation = match random.random_range(0..20) {
        0 => Operation::Peek,
        1 => Operation::Debit,
        2 => Operation::Reset,
        _ => Operation::Check,
    };
    let quota = QUOTAS.choose(random).unwrap().parse().unwrap();
    let cost = *[0, 1, 1, 1, 1, 2, 3].choose(random).unwrap();
    let check_only = operation == Operation::Check && random.random_ratio(1, 8);
    let key = random.random_range(0..2);
    let mut parts = vec![Part { key, index: 0, quota, cost, check_only }];
    match random.random_range(0..6) {
        0 => parts.push(Part {
            index: 1,
            quota: RATE.parse().unwrap(),
            check_only: false,
            ..parts[0]
        }),
        1 => parts.push(Part { key: 1 - key, ..parts[0] }),
        _ => {}
    }
    Step { operation, parts, earlier: None }
}

fn requests<'a>(
    keys: &'a [Key],
    step: &Step,
    receipts: Option<&[Receipt]>,
) -> Vec<BucketRequest<'a>> {
    let request = |(index, part): (usize, &Part)| {
        let bucket = Bucket::new("permits", part.index, &keys[part.key]);
        let mut request = BucketRequest::new(bucket, part.quota, part.cost);
        request.check_only = part.check_only;
        request.receipt = receipts.map_or(Receipt::default(), |receipts| receipts[index]);
        request
    };
    step.parts.iter().enumerate().map(request).collect()
}

fn apply(store: &MemoryStore, operation: Operation, requests: &[BucketRequest<'_>]) -> Verdict {
    match store.apply(operation, requests) {
        StoreFuture::Ready(verdict) => verdict.unwrap(),
        StoreFuture::Pending(_) => panic!("the store in memory replies immediately"),
    }
}

/// Returns the first difference between the script and the store in memory.
pub fn difference(source: &str) -> Option<String> {
    let server = RedisServer::start();
    let (mut client, mut other) = (server.client(), server.client());
    let source = with_test_clock(source);
    let seed = seed();
    (0..ROUNDS).find_map(|round| {
        let mut random = SmallRng::seed_from_u64(seed.wrapping_add(round as u64));
        let prefix = format!("round-{round}");
        let mut script = Script::new(&mut client, &source, prefix.clone());
        let clock = TestClock(Arc::new(AtomicU64::new(START)));
        let memory = MemoryStore::new().clock(clock.clone());
        let found = trace(&mut random, &mut script, &memory, &clock, &mut |now| {
            remove_expired(&mut other, &prefix, now);
        });
        found.map(|found| format!("RATEGUARD_SEED={seed}, round {round}: {found}"))
    })
}

/// Removes the permits that have expired. The script removes them only when a request takes a permit. So if the clock is
/// set back before, they count again until they expire a second time. The store in memory forgets them at the next
/// request for their key.
fn remove_expired(client: &mut redis::Connection, prefix: &str, now: u64) {
    let pattern = format!("{prefix}:*{{permits}}");
    let names: Vec<String> = redis::cmd("KEYS").arg(pattern).query(client).unwrap();
    for name in names {
        let mut command = redis::cmd("ZREMRANGEBYSCORE");
        command.arg(name).arg("-inf").arg(now).query::<()>(client).unwrap();
    }
}

fn trace(
    random: &mut SmallRng,
    script: &mut Script<'_>,
    memory: &MemoryStore,
    clock: &TestClock,
    remove_expired: &mut dyn FnMut(u64),
) -> Option<String> {
    let keys = [Key::from("one"), Key::from("other")];
    let mut history: Vec<Receipts> = Vec::new();
    let mut wait = Duration::from_millis(100);
    for number in 0..STEPS {
        let now = clock.0.load(SeqCst);
        let next = match random.random_range(0..8) {
            0 => now + random.random_range(0..1_500_000),
            1 => now + wait.as_micros() as u64,
            2 => now + (wait.as_micros() as u64).saturating_sub(1),
            3 => now.saturating_sub(random.random_range(0..8_000_000)).max(START / 2),
            4 => now + random.random_range(0..300_000),
            _ => now,
        };
        if next < now {
            remove_expired(now);
            let quota = QUOTAS[QUOTAS.len() - 1].parse().unwrap();
            for key in &keys {
                let peek = [BucketRequest::new(Bucket::new("permits", 0, key), quota, 1)];
                apply(memory, Operation::Peek, &peek);
                // If the clock was set back earlier, a peek also shortens leases, so both stores need it.
                script.call(Operation::Peek, &peek, Some(clock.now())).unwrap();
            }
        }
        clock.0.store(next, SeqCst);
        let steps: Vec<Step> =
            (0..random.random_range(1..5)).map(|_| random_step(random, &history)).collect();
        let of_script: Vec<_> = steps
            .iter()
            .map(|step| {
                (step.operation, requests(&keys, step, step.earlier.map(|it| &*history[it].script)))
            })
            .collect();
        let batch: Vec<_> = of_script.iter().map(|(operation, it)| (*operation, &**it)).collect();
        let verdicts = script.batch(&batch, Some(clock.now())).unwrap();
        for (step, of_script) in steps.into_iter().zip(verdicts) {
            let receipts = step.earlier.map(|it| history[it].memory.clone());
            let of_memory =
                apply(memory, step.operation, &requests(&keys, &step, receipts.as_deref()));
            let results = [&of_script, &of_memory]
                .map(|it| (it.is_allowed(), it.statuses().collect::<Vec<_>>()));
            if results[0] != results[1] {
                let (step, now) = (&step, clock.now());
                return Some(format!(
                    "step {number} at {now:?}, {step:?}: script and memory: {results:#?}"
                ));
            }
            let waits = of_memory.statuses().filter_map(|status| status.retry_after);
            wait = waits.filter(|wait| !wait.is_zero()).min().unwrap_or(wait);
            let takes = matches!(step.operation, Operation::Check | Operation::Debit);
            if takes && of_memory.is_allowed() {
                let (script, memory) =
                    (of_script.receipts().collect(), of_memory.receipts().collect());
                history.push(Receipts { step, script, memory });
            }
        }
    }
    None
}

#[test]
fn script_and_memory_agree_on_permits() {
    assert_eq!(difference(SOURCE), None);
}

/// Returns whether the key of permits lives until all of its leases have ended, after each kind of change.
pub fn keeps_keys(source: &str) -> bool {
    let server = RedisServer::start();
    let (mut client, mut other) = (server.client(), server.client());
    let key = Key::global();
    let bucket = Bucket::new("permits", 0, &key);
    let name = bucket.storage_key("keys") + "{permits}";
    let mut script = Script::new(&mut client, source, "keys".to_owned());
    let mut lifetime = || redis::cmd("PTTL").arg(&name).query::<i64>(&mut other).unwrap();
    let request = |lease: &str, receipt| {
        let quota = format!("9 concurrent lease {lease}").parse().unwrap();
        let mut request = BucketRequest::new(bucket, quota, 1);
        request.receipt = receipt;
        request
    };
    let mut call = |operation, lease, receipt| {
        let verdict = script.call(operation, &[request(lease, receipt)], None).unwrap();
        verdict.receipts().next().unwrap()
    };
    let (short, long) = (50_000..70_000, 3_500_000..3_700_000);
    let mut third = server.client();
    let mut shorten = || redis::cmd("EXPIRE").arg(&name).arg(10).query::<()>(&mut third).unwrap();
    let first = call(Operation::Check, "60s", Receipt::default());
    let mut is_long_enough = short.contains(&lifetime());
    shorten();
    call(Operation::Renew, "60s", first);
    is_long_enough &= short.contains(&lifetime());
    call(Operation::Check, "1h", Receipt::default());
    is_long_enough &= long.contains(&lifetime());
    call(Operation::Check, "60s", Receipt::default());
    is_long_enough &= long.contains(&lifetime());
    shorten();
    call(Operation::Renew, "60s", first);
    is_long_enough & long.contains(&lifetime())
}

#[test]
fn key_of_permits_lives_until_the_last_lease_ends() {
    assert!(keeps_keys(SOURCE));
}
