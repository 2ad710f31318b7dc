//! Tells callers of those who have come, once for all who come while a thread goes through the tasks that are ready.
//!
//! To wake another thread costs as much as several checks; and where both have one core, the caller takes it as soon as the first
//! has come, and makes a call for that one alone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Handle, RuntimeFlavor};

use super::queue::Queue;

/// Where somebody has come.
type Queues = Arc<Mutex<Vec<Arc<Queue>>>>;

thread_local! {
    static TO_TELL: Queues = Queues::default();
}

/// Wakes the caller of this queue when this thread has gone through its tasks; or at once, where that is not known.
///
/// A task that blocks may keep it from that for any time. So it is for callers who look at their queues themselves meanwhile.
pub(super) fn wake_soon(queue: &Arc<Queue>) {
    let runtime = Handle::try_current();
    let runtime = runtime.ok().filter(|it| it.runtime_flavor() == RuntimeFlavor::CurrentThread);
    let told = runtime.and_then(|runtime| {
        let to_tell = TO_TELL.try_with(Arc::clone).ok()?;
        let mut queues = held(&to_tell);
        let is_first = queues.is_empty();
        if !queues.iter().any(|known| Arc::ptr_eq(known, queue)) {
            queues.push(Arc::clone(queue));
        }
        drop(queues);
        if is_first {
            let herald = Herald(to_tell);
            // It comes after those that are ready.
            runtime.spawn(async move { drop(herald) });
        }
        Some(())
    });
    if told.is_none() {
        queue.wake.notify_one();
    }
}

/// Wakes them when it goes, as it also does with its runtime.
struct Herald(Queues);

impl Drop for Herald {
    fn drop(&mut self) {
        held(&self.0).drain(..).for_each(|queue| queue.wake.notify_one());
    }
}

fn held(queues: &Mutex<Vec<Arc<Queue>>>) -> MutexGuard<'_, Vec<Arc<Queue>>> {
    // Each change of it is whole.
    queues.lock().unwrap_or_else(PoisonError::into_inner)
}
