//! Checks by several tasks on one thread, like in an actix worker.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, task::LocalSet};

use crate::BenchResult;

/// The statistics of a run.
pub struct TaskStats {
    /// The number of checks.
    pub checks: u64,
    /// The duration of the run.
    pub took: Duration,
    /// The latency of each check in microseconds, sorted.
    pub micros: Vec<u32>,
}

/// When a run ends.
#[derive(Clone, Copy)]
pub enum Until {
    /// After this duration.
    Elapsed(Duration),
    /// After this many checks.
    Checks(u64),
}

/// Runs checks in concurrent tasks. Each task starts the next check when its previous one has ended. The argument of
/// `check` is the number of the check, from 0. Its result is whether the decision was as expected.
///
/// # Errors
///
/// If a check failed or its result was not as expected.
pub fn run<F>(
    runtime: &Runtime,
    tasks: usize,
    until: Until,
    check: impl Fn(u64) -> F + Clone + 'static,
) -> BenchResult<TaskStats>
where
    F: Future<Output = BenchResult<bool>> + 'static,
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
                return Err(format!("check {number} had an unexpected result"));
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
        BenchResult::Ok(all)
    })?;
    micros.sort_unstable();
    Ok(TaskStats { checks: micros.len() as u64, took: started.elapsed(), micros })
}
