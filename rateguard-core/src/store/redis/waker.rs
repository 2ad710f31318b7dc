//! Wakes dispatchers once for all requests that a worker thread adds while it polls its ready tasks.
//!
//! To wake another thread costs as much as several checks. If both threads share one core, the dispatcher would preempt
//! the worker after its first request, and send a batch of only that request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Notify,
};

/// If the wake task has not run within this time, its runtime is assumed to be stalled or no longer polled.
const WAKE_TASK_TIMEOUT: Duration = Duration::from_millis(1);

/// The wake-ups that the wake task of a thread will send.
#[derive(Default)]
struct PendingWakes {
    /// The dispatchers of queues with new requests.
    dispatchers: Vec<Arc<Notify>>,
    /// The time at which the wake task was spawned. `None` if no wake task is pending.
    spawned_at: Option<Instant>,
}

thread_local! {
    static PENDING_WAKES: Arc<Mutex<PendingWakes>> = Arc::default();
}

/// Wakes this dispatcher after this thread has polled its ready tasks, or immediately if a wake task
/// cannot be used.
///
/// A task that blocks can delay the wake-up without bound. The dispatcher must therefore also read its queue on a
/// timer.
pub(super) fn wake_soon(dispatcher: &Arc<Notify>) {
    let is_scheduled = PENDING_WAKES.try_with(|pending| schedule_wake(pending, dispatcher));
    if !is_scheduled.unwrap_or(false) {
        dispatcher.notify_one();
    }
}

/// Schedules a wake-up by the wake task of this thread. Returns false if that is not possible.
fn schedule_wake(pending: &Arc<Mutex<PendingWakes>>, dispatcher: &Arc<Notify>) -> bool {
    let mut wakes = lock(pending);
    match wakes.spawned_at {
        Some(spawned_at) if spawned_at.elapsed() > WAKE_TASK_TIMEOUT => return false,
        Some(_) => {
            if !wakes.dispatchers.iter().any(|it| Arc::ptr_eq(it, dispatcher)) {
                wakes.dispatchers.push(Arc::clone(dispatcher));
            }
            return true;
        }
        None => {}
    }
    let Ok(runtime) = Handle::try_current() else { return false };
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return false;
    }
    wakes.dispatchers.push(Arc::clone(dispatcher));
    wakes.spawned_at = Some(Instant::now());
    drop(wakes);
    let wake_task = WakeTask(Arc::clone(pending));
    // The runtime polls a new task after the tasks that are already ready.
    runtime.spawn(async move { drop(wake_task) });
    true
}

/// Wakes the dispatchers when it is dropped, which also happens if its runtime is shut down.
struct WakeTask(Arc<Mutex<PendingWakes>>);

impl Drop for WakeTask {
    fn drop(&mut self) {
        let mut wakes = lock(&self.0);
        wakes.spawned_at = None;
        wakes.dispatchers.drain(..).for_each(|dispatcher| dispatcher.notify_one());
    }
}

fn lock(pending: &Mutex<PendingWakes>) -> MutexGuard<'_, PendingWakes> {
    // Every single change leaves it consistent, so a poisoned lock is safe to use.
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
