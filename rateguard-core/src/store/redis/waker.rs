//! Sends one wake-up to a dispatcher (the task that sends the batches to one server) for many new requests. A worker
//! thread first polls all of its ready tasks, and these tasks may add many requests. The thread then wakes the
//! dispatcher only once.
//!
//! Waking another thread costs as much as several checks. If both threads run on one core, an immediate wake-up
//! would also interrupt the worker thread after its first request, and the dispatcher would send a batch with only
//! this request.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Notify,
};

/// The wake task of a thread sends the delayed wake-ups of this thread. If the task has not run within this time, its
/// runtime is probably blocked or is no longer polled. New requests then wake their dispatchers immediately.
const WAKE_TASK_TIMEOUT: Duration = Duration::from_millis(1);

/// The wake-ups that a thread has delayed. The wake task of the thread sends them.
#[derive(Default)]
struct PendingWakes {
    /// The dispatchers whose queues have new requests.
    dispatchers: Vec<Arc<Notify>>,
    /// The time at which the wake task was spawned. It is `None` if no wake task is waiting to run.
    spawned_at: Option<Instant>,
}

thread_local! {
    static PENDING_WAKES: Arc<Mutex<PendingWakes>> = Arc::default();
}

/// Schedules a wake-up of the dispatcher. The wake task sends it after this thread has polled its ready tasks. If the
/// wake-up cannot be scheduled, wakes the dispatcher immediately.
///
/// A task that blocks this thread can delay the wake-up for any time. The dispatcher must therefore also read its
/// queue on a timer.
pub(super) fn wake_soon(dispatcher: &Arc<Notify>) {
    let is_scheduled = PENDING_WAKES.try_with(|pending| schedule_wake(pending, dispatcher));
    if !is_scheduled.unwrap_or(false) {
        dispatcher.notify_one();
    }
}

/// Adds the dispatcher to the delayed wake-ups of this thread. Spawns the wake task if there is none. Returns false
/// if a delayed wake-up is not possible.
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
    // The runtime polls this new task after all tasks that are already ready. The requests of these tasks therefore
    // need only this one wake-up.
    runtime.spawn(async move { drop(wake_task) });
    true
}

/// Sends the delayed wake-ups when it is dropped. During shutdown, the runtime also drops this value, so no wake-up
/// is lost.
struct WakeTask(Arc<Mutex<PendingWakes>>);

impl Drop for WakeTask {
    fn drop(&mut self) {
        let mut wakes = lock(&self.0);
        wakes.spawned_at = None;
        wakes.dispatchers.drain(..).for_each(|dispatcher| dispatcher.notify_one());
    }
}

fn lock(pending: &Mutex<PendingWakes>) -> MutexGuard<'_, PendingWakes> {
    // Each change leaves the value consistent, so it is safe to use a poisoned lock.
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}
