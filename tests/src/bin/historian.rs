//! Does all kinds of things at random and writes down what came of them: `historian URL PREFIX SEED TASKS OPERATIONS`.
//!
//! It says `ready`, waits for a line, lets so many tasks do so many operations each, and ends with a line of
//! [`rateguard_tests::history::Event`] for each of them. The seed says what is asked for; what is answered, and so what
//! there is to give back, is a matter of time.

#![allow(clippy::print_stdout, reason = "its parent reads it")]

use std::{env, error::Error, fmt::Write, io, time::Duration};

use futures_util::future::join_all;
use rateguard::{
    Key, Quotas, RateGuard, StoreError,
    store::{Bucket, Charge, Operation, Receipt},
};
use rateguard_tests::history::{Call, Event, KEYS, LIMITS, Part, ROUGH_KEY};

/// Far more than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many checks can be given back, of the last ones that took something.
const HELD: usize = 6;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [url, prefix, seed, tasks, operations] = <[String; 5]>::try_from(args)
        .map_err(|_| "usage: historian URL PREFIX SEED TASKS OPERATIONS")?;
    let (seed, tasks, operations): (u64, u64, usize) =
        (seed.parse()?, tasks.parse()?, operations.parse()?);

    // A slow machine must not turn an answer into none.
    let settings = RateGuard::redis(url).prefix(prefix).deadline(PATIENCE);
    // Each answer is to be that of Redis.
    let guard = settings.remember_denials(Duration::ZERO).build()?;
    let quotas: Vec<Quotas> =
        LIMITS.iter().map(|(_, rates)| rates.parse()).collect::<Result<_, _>>()?;
    tokio::time::timeout(PATIENCE, connected(&guard, &quotas[0])).await?;

    println!("ready");
    io::stdin().read_line(&mut String::new())?;

    let tasks = (0..tasks).map(|task| {
        let mut historian = Historian {
            guard: guard.clone(),
            quotas: quotas.clone(),
            keys: (0..KEYS).map(Key::from).collect(),
            random: Random(Random(seed.wrapping_add(task)).next()),
            held: Vec::new(),
        };
        tokio::spawn(async move {
            let mut history = String::new();
            for _ in 0..operations {
                historian.pause().await;
                let event = historian.act().await?;
                // Writing to a `String` cannot fail.
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

/// Asks until there is an answer: on a slow machine the first attempts to connect may fail.
async fn connected(guard: &RateGuard, quotas: &Quotas) {
    let key = Key::global();
    let peek = [Charge::new(Bucket::new("connected", 0, &key), quotas.as_slice()[0], 0)];
    while guard.store().apply(Operation::Peek, &peek).get().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Historian {
    guard: RateGuard,
    quotas: Vec<Quotas>,
    keys: Vec<Key>,
    random: Random,
    /// Checks that took something and may give it back.
    held: Vec<Event>,
}

/// What is asked of one bucket.
#[derive(Clone, Copy)]
struct Wanted {
    limit: usize,
    place: usize,
    key: u8,
    cost: u32,
}

impl Historian {
    /// Now and then, so that also on a fast machine waits come to an end.
    async fn pause(&mut self) {
        if self.random.below(8) == 0 {
            let pause = self.random.below(40);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn act(&mut self) -> Result<Event, StoreError> {
        match self.random.below(100) {
            0..6 => {
                let wanted = self.wanted(true);
                self.ask(Operation::Charge, wanted).await
            }
            6..12 => {
                let wanted = self.wanted(true);
                self.ask(Operation::Reset, wanted).await
            }
            12..22 => {
                let wanted = self.wanted(false);
                self.ask(Operation::Peek, wanted).await
            }
            22..52 if !self.held.is_empty() => self.give_back().await,
            _ => {
                let wanted = self.wanted(false);
                let event = self.ask(Operation::Check, wanted).await?;
                let takes = event.is_allowed && event.parts.iter().any(|part| part.cost > 0);
                if takes {
                    self.held.truncate(HELD - 1);
                    self.held.insert(0, event.clone());
                }
                Ok(event)
            }
        }
    }

    /// One or two keys, each under all quotas of a limit.
    fn wanted(&mut self, is_rough: bool) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for _ in 0..1 + self.random.below(4) / 3 {
            let limit = self.random.below(LIMITS.len() as u64) as usize;
            let key = self.random.below(KEYS.into()) as u8;
            let key = if is_rough { ROUGH_KEY } else { key };
            // Up to more than some of the limits ever admit.
            let cost = if self.random.below(2) == 0 { 1 } else { self.random.below(7) };
            if wanted.iter().any(|it: &Wanted| (it.limit, it.key) == (limit, key)) {
                continue;
            }
            let places = 0..self.quotas[limit].as_slice().len();
            wanted.extend(places.map(|place| Wanted { limit, place, key, cost: cost as u32 }));
        }
        wanted
    }

    async fn ask(&self, operation: Operation, wanted: Vec<Wanted>) -> Result<Event, StoreError> {
        self.apply(operation, wanted, None).await
    }

    /// Gives back what a check took, or some of it.
    async fn give_back(&mut self) -> Result<Event, StoreError> {
        let which = self.random.below(self.held.len() as u64) as usize;
        let taken = self.held.remove(which);
        let is_whole = self.random.below(2) == 0;
        let some = |part: &Part| {
            let some = self.random.below(u64::from(part.cost) + 1) as u32;
            let cost = if is_whole { part.cost } else { some };
            Wanted { limit: part.limit, place: part.place, key: part.key, cost }
        };
        let wanted = taken.parts.iter().map(some).collect();
        self.apply(Operation::Refund, wanted, Some(&taken)).await
    }

    async fn apply(
        &self,
        operation: Operation,
        wanted: Vec<Wanted>,
        taken: Option<&Event>,
    ) -> Result<Event, StoreError> {
        let taken_by = taken.map(|taken| taken.call);
        let receipt = taken.map_or_else(Receipt::default, |Event { at, call, .. }| {
            Receipt::new([call.process, call.number, *at])
        });
        let charge = |wanted: &Wanted| {
            let (name, _) = LIMITS[wanted.limit];
            let quota = self.quotas[wanted.limit].as_slice()[wanted.place];
            let bucket = Bucket::new(name, wanted.place, &self.keys[usize::from(wanted.key)]);
            let mut charge = Charge::new(bucket, quota, wanted.cost);
            charge.receipt = receipt;
            charge
        };
        let charges: Vec<_> = wanted.iter().map(charge).collect();
        let verdict = self.guard.store().apply(operation, &charges).get().await?;

        let mut receipts = verdict.receipts().map(|receipt| receipt.words());
        let [process, number, at] = receipts.next().unwrap_or_default();
        let parts = wanted.iter().zip(verdict.levels()).map(|(wanted, level)| {
            let Wanted { limit, place, key, cost } = *wanted;
            Part { limit, place, key, cost, level }
        });
        Ok(Event {
            at,
            call: Call { process, number },
            operation,
            taken_by,
            is_allowed: verdict.is_allowed(),
            parts: parts.collect(),
        })
    }
}

/// `SplitMix64` of Steele, Lea and Flood, 2014.
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
