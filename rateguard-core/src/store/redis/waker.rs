//! Wakes a dispatcher only once for all requests that a worker thread adds while it polls its ready tasks.
//!
//! A wake-up of another thread costs as much as several checks. If both threads share one core, the dispatcher would
//! also preempt the worker thread after the first request, and send a batch with only this request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Notify,
};

/// If the wake task has not run within this time, its runtime is probably blocked or no longer polled. Then dispatchers
/// are woken immediately.
const WAKE_TASK_TIMEOUT: Duration = Duration::from_millis(1);

/// The delayed wake-ups of a thread, which its wake task will send.
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

/// Wakes the dispatcher after this thread has polled its ready tasks, or immediately if that is not possible.
///
/// A task that blocks the thread can delay the wake-up without a limit. The dispatcher must therefore also read its
/// queue on a timer.
pub(super) fn wake_soon(dispatcher: &Arc<Notify>) {
    let is_scheduled = PENDING_WAKES.try_with(|pending| schedule_wake(pending, dispatcher));
    if !is_scheduled.unwrap_or(false) {
        dispatcher.notify_one();
    }
}

/// Adds the dispatcher to the wake task of this thread, and spawns the task if necessary. Returns false if that is not
/// possible.
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
    // The runtime polls a new task after all tasks that are already ready, so their requests share the wake-up.
    runtime.spawn(async move { drop(wake_task) });
    true
}

/// Wakes the dispatchers when this value is dropped. A runtime also drops it during shutdown, so no wake-up is lost.
struct WakeTask(Arc<Mutex<PendingWakes>>);

impl Drop for WakeTask {
    fn drop(&mut self) {
        let mut wakes = lock(&self.0);
        wakes.spawned_at = None;
        wakes.dispatchers.drain(..).for_each(|dispatcher| dispatcher.notify_one());
    }
}

fn lock(pending: &Mutex<PendingWakes>) -> MutexGuard<'_, PendingWakes> {
    // Each change leaves the value consistent, so a poisoned lock is safe to use.
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
