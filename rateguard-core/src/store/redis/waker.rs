//! Tells callers of those who have come, once for all who come while a thread goes through the tasks that are ready.
//!
//! To wake another thread costs as much as several checks; and where both have one core, the caller takes it as soon as the first
//! has come, and makes a call for that one alone.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::runtime::{Handle, RuntimeFlavor};

use super::batch_queue::BatchQueue;

/// A herald that has not come after so long has been kept, maybe for ever: its runtime need not be polled any more.
const SOON: Duration = Duration::from_millis(1);

/// What the herald of a thread is to tell.
#[derive(Default)]
struct PendingWakes {
    /// Where somebody has come.
    queues: Vec<Arc<BatchQueue>>,
    /// When the herald was sent, if it is under way.
    sent_at: Option<Instant>,
}

thread_local! {
    static NEWS: Arc<Mutex<PendingWakes>> = Arc::default();
}

/// Wakes the caller of this queue when this thread has gone through its tasks; or at once, where that is not known.
///
/// A task that blocks may keep it from that for any time. So it is for callers who look at their queues themselves meanwhile.
pub(super) fn wake_soon(queue: &Arc<BatchQueue>) {
    let is_told = NEWS.try_with(|news| schedule_wake(news, queue)).unwrap_or(false);
    if !is_told {
        queue.wake.notify_one();
    }
}

/// Whether the caller will be woken.
fn schedule_wake(news: &Arc<Mutex<PendingWakes>>, queue: &Arc<BatchQueue>) -> bool {
    let mut told = held(news);
    match told.sent_at {
        Some(sent_at) if sent_at.elapsed() > SOON => return false,
        Some(_) => {
            if !told.queues.iter().any(|known| Arc::ptr_eq(known, queue)) {
                told.queues.push(Arc::clone(queue));
            }
            return true;
        }
        None => {}
    }
    let Ok(runtime) = Handle::try_current() else { return false };
    if runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
        return false;
    }
    told.queues.push(Arc::clone(queue));
    told.sent_at = Some(Instant::now());
    drop(told);
    let herald = WakeTask(Arc::clone(news));
    // It comes after those that are ready.
    runtime.spawn(async move { drop(herald) });
    true
}

/// Wakes them when it goes, as it also does with its runtime.
struct WakeTask(Arc<Mutex<PendingWakes>>);

impl Drop for WakeTask {
    fn drop(&mut self) {
        let mut news = held(&self.0);
        news.sent_at = None;
        news.queues.drain(..).for_each(|queue| queue.wake.notify_one());
    }
}

fn held(news: &Mutex<PendingWakes>) -> MutexGuard<'_, PendingWakes> {
    // Each change of it is whole.
    news.lock().unwrap_or_else(PoisonError::into_inner)
}
