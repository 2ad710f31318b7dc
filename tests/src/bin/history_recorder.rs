//! Runs random operations and prints the history of these operations: `history_recorder URL PREFIX SEED TASKS
//! OPERATIONS`.
//!
//! The program prints `ready`, waits for a line on its standard input, and runs OPERATIONS operations in each of
//! TASKS tasks. Then it prints one [`rateguard_tests::history::Event`] per line. SEED determines which operations the
//! tasks request. The results of the operations, and the choice of the checks that are refunded, also depend on
//! timing.

#![allow(clippy::print_stdout, reason = "the parent process reads it")]

use std::{env, error::Error, fmt::Write, io, time::Duration};

use actix_rateguard::{
    Key, Quotas, RateGuard, StoreError,
    store::{Bucket, BucketRequest, Operation, Receipt},
};
use futures_util::future::join_all;
use rateguard_tests::history::{Call, DEBIT_RESET_KEY, Event, KEYS, LIMITS, Part};

/// The deadline of checks, which is longer than any reply takes on a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The maximum number of recent checks from which the program chooses the next check to refund.
const MAX_REFUNDABLE: usize = 6;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, seed, tasks, operations] = <[String; 5]>::try_from(args)
        .map_err(|_| "usage: history_recorder URL PREFIX SEED TASKS OPERATIONS")?;
    let (seed, tasks, operations): (u64, u64, usize) =
        (seed.parse()?, tasks.parse()?, operations.parse()?);

    // With the default deadline, checks would fail on a slow machine.
    let settings = RateGuard::redis(url).prefix(prefix).deadline(TIMEOUT);
    // The denial cache is disabled, so Redis decides every check.
    let guard = settings.denial_cache_ttl(Duration::ZERO).build()?;
    let quotas: Vec<Quotas> =
        LIMITS.iter().map(|(_, rates)| rates.parse()).collect::<Result<_, _>>()?;
    tokio::time::timeout(TIMEOUT, wait_until_connected(&guard, &quotas[0])).await?;

    println!("ready");
    io::stdin().read_line(&mut String::new())?;

    let tasks = (0..tasks).map(|task| {
        let mut recorder = HistoryRecorder {
            guard: guard.clone(),
            quotas: quotas.clone(),
            keys: (0..KEYS).map(Key::from).collect(),
            random: Random(Random(seed.wrapping_add(task)).next()),
            refundable: Vec::new(),
        };
        tokio::spawn(async move {
            let mut history = String::new();
            for _ in 0..operations {
                recorder.pause().await;
                let event = recorder.run_random_operation().await?;
                // A write to a `String` cannot fail.
                let _ = writeln!(history, "{event}");
            }
            Ok::<_, StoreError>(history)
        })
    });
    for history in join_all(tasks).await {
        print!("{}", history??);
    }
    Ok(())
}

/// Sends peeks until Redis replies, because the first connection attempts may fail on a slow machine.
async fn wait_until_connected(guard: &RateGuard, quotas: &Quotas) {
    let key = Key::global();
    let peek = [BucketRequest::new(Bucket::new("connected", 0, &key), quotas.as_slice()[0], 0)];
    while guard.store().apply(Operation::Peek, &peek).get().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct HistoryRecorder {
    guard: RateGuard,
    quotas: Vec<Quotas>,
    keys: Vec<Key>,
    random: Random,
    /// The checks that can be refunded: the store admitted them, their cost is above 0, and no refund has been
    /// requested yet.
    refundable: Vec<Event>,
}

/// A bucket, and the number of units that an operation requests from it.
#[derive(Clone, Copy)]
struct RequestedPart {
    limit: usize,
    quota_index: usize,
    key: u8,
    cost: u32,
}

impl HistoryRecorder {
    /// Sometimes sleeps for up to 39 ms, so that buckets have free capacity again even on a fast machine.
    async fn pause(&mut self) {
        if self.random.below(8) == 0 {
            let pause = self.random.below(40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn run_random_operation(&mut self) -> Result<Event, StoreError> {
        match self.random.below(100) {
            0..6 => {
                let parts = self.random_parts(true);
                self.apply(Operation::Debit, parts, None).await
            }
            6..12 => {
                let parts = self.random_parts(true);
                self.apply(Operation::Reset, parts, None).await
            }
            12..22 => {
                let parts = self.random_parts(false);
                self.apply(Operation::Peek, parts, None).await
            }
            22..52 if !self.refundable.is_empty() => self.refund().await,
            _ => {
                let parts = self.random_parts(false);
                let event = self.apply(Operation::Check, parts, None).await?;
                let has_cost = event.is_allowed && event.parts.iter().any(|part| part.cost > 0);
                if has_cost {
                    self.refundable.truncate(MAX_REFUNDABLE - 1);
                    self.refundable.insert(0, event.clone());
                }
                Ok(event)
            }
        }
    }

    /// Chooses one or two pairs of a limit and a key. For each pair, returns the buckets of all quotas of this
    /// limit.
    fn random_parts(&mut self, is_debit_or_reset: bool) -> Vec<RequestedPart> {
        let mut parts = Vec::new();
        for _ in 0..1 + self.random.below(4) / 3 {
            let limit = self.random.below(LIMITS.len() as u64) as usize;
            let key = self.random.below(KEYS.into()) as u8;
            let key = if is_debit_or_reset { DEBIT_RESET_KEY } else { key };
            // The highest costs exceed some of the limits, so the store denies these requests.
            let cost = if self.random.below(2) == 0 { 1 } else { self.random.below(7) };
            if parts.iter().any(|it: &RequestedPart| (it.limit, it.key) == (limit, key)) {
                continue;
            }
            let cost = cost as u32;
            let quota_indexes = 0..self.quotas[limit].as_slice().len();
            parts.extend(quota_indexes.map(|quota_index| RequestedPart {
                limit,
                quota_index,
                key,
                cost,
            }));
        }
        parts
    }

    /// Refunds all or some of the units that an earlier check took.
    async fn refund(&mut self) -> Result<Event, StoreError> {
        let index = self.random.below(self.refundable.len() as u64) as usize;
        let check = self.refundable.remove(index);
        let is_full = self.random.below(2) == 0;
        let refunded = |part: &Part| {
            let random_cost = self.random.below(u64::from(part.cost) + 1) as u32;
            let cost = if is_full { part.cost } else { random_cost };
            RequestedPart { limit: part.limit, quota_index: part.quota_index, key: part.key, cost }
        };
        let parts = check.parts.iter().map(refunded).collect();
        self.apply(Operation::Refund, parts, Some(&check)).await
    }

    async fn apply(
        &self,
        operation: Operation,
        requested: Vec<RequestedPart>,
        refunded: Option<&Event>,
    ) -> Result<Event, StoreError> {
        let refund_of = refunded.map(|check| check.call);
        let receipt = refunded.map_or_else(Receipt::default, |Event { at, call, .. }| {
            Receipt::new([call.process, call.number, *at])
        });
        let bucket_request = |part: &RequestedPart| {
            let (name, _) = LIMITS[part.limit];
            let quota = self.quotas[part.limit].as_slice()[part.quota_index];
            let bucket = Bucket::new(name, part.quota_index, &self.keys[usize::from(part.key)]);
            let mut bucket_request = BucketRequest::new(bucket, quota, part.cost);
            bucket_request.receipt = receipt;
            bucket_request
        };
        let bucket_requests: Vec<_> = requested.iter().map(bucket_request).collect();
        let verdict = self.guard.store().apply(operation, &bucket_requests).get().await?;

        let mut receipts = verdict.receipts().map(|receipt| receipt.words());
        let [process, number, at] = receipts.next().unwrap_or_default();
        let parts = requested.iter().zip(verdict.statuses()).map(|(part, status)| {
            let RequestedPart { limit, quota_index, key, cost } = *part;
            Part { limit, quota_index, key, cost, status }
        });
        Ok(Event {
            at,
            call: Call { process, number },
            operation,
            refund_of,
            is_allowed: verdict.is_allowed(),
            parts: parts.collect(),
        })
    }
}

/// The random number generator `SplitMix64` of Steele, Lea and Flood, 2014.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
