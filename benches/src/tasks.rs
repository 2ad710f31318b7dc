//! Checks by several tasks of one thread, as an actix worker has them.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, task::LocalSet};

use crate::Outcome;

/// What they did.
pub struct Done {
    /// How many checks.
    pub checks: u64,
    /// How long it took.
    pub took: Duration,
    /// How long each took, in microseconds; sorted.
    pub micros: Vec<u32>,
}

/// When they have done enough.
#[derive(Clone, Copy)]
pub enum Until {
    /// After so long.
    Elapsed(Duration),
    /// After so many checks.
    Checks(u64),
}

/// Has so many tasks check, each again as soon as it knows. A check is told which it is, counted from 0, and says whether
/// its answer was as expected.
///
/// # Errors
///
/// If one was not, or failed.
pub fn run<F>(
    runtime: &Runtime,
    tasks: usize,
    until: Until,
    check: impl Fn(u64) -> F + Clone + 'static,
) -> Outcome<Done>
where
    F: Future<Output = Outcome<bool>> + 'static,
{
    let started = Instant::now();
    let next = Rc::new(Cell::new(0));
    let task = |next: Rc<Cell<u64>>, check: Box<dyn Fn(u64) -> F>| async move {
        let mut micros = Vec::new();
        loop {
            let (number, now) = (next.get(), Instant::now());
            let is_over = match until {
                Until::Elapsed(time) => now - started >= time,
                Until::Checks(count) => number >= count,
            };
            if is_over {
                return Ok::<_, String>(micros);
            }
            next.set(number + 1);
            if !check(number).await.map_err(|error| error.to_string())? {
                return Err(format!("check {number} had another answer than expected"));
            }
            micros.push(now.elapsed().as_micros() as u32);
        }
    };
    let local = LocalSet::new();
    let mut micros = local.block_on(runtime, async {
        let tasks: Vec<_> = (0..tasks)
            .map(|_| tokio::task::spawn_local(task(next.clone(), Box::new(check.clone()))))
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.append(&mut task.await??);
        }
        Outcome::Ok(all)
    })?;
    micros.sort_unstable();
    Ok(Done { checks: micros.len() as u64, took: started.elapsed(), micros })
}
