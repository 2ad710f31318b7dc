//! The end of a guard.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use tokio::time::{Instant, sleep};

use super::RateGuard;

/// How often it is looked whether the checks under way have ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

impl RateGuard {
    /// Closes the guard and all its clones when the application ends: waits for the checks that are under way, which is no
    /// longer than the deadline, and closes the connections to the store. A server is stopped before:
    ///
    /// ```no_run
    /// # use actix_web::{App, HttpServer};
    /// # use actix_rateguard_core::RateGuard;
    /// # async fn serve(guard: RateGuard) -> std::io::Result<()> {
    /// let server = HttpServer::new({
    ///     let guard = guard.clone();
    ///     move || App::new().app_data(guard.clone())
    /// });
    /// server.bind(("127.0.0.1", 8080))?.run().await?; // ends when it has answered the last request
    /// guard.close().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What is checked afterwards is left unanswered, with [`StoreError::Closed`](crate::StoreError::Closed) as the cause, so
    /// its policy's failure mode says what happens; and [`health`](Self::health) says so from the beginning. A guard that is
    /// dropped with all its clones closes its connections, too, but waits for nobody.
    ///
    /// # Panics
    ///
    /// Where there is no Tokio runtime with its timer enabled, if checks are under way.
    pub async fn close(&self) {
        self.shared.is_closed.store(true, SeqCst);
        let begun = Instant::now();
        while !self.shared.in_flight.is_empty() && begun.elapsed() < self.shared.deadline {
            sleep(LOOK_EVERY).await;
        }
        #[cfg(feature = "config")]
        self.stop_watching();
        self.shared.store.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.shared.is_closed.load(SeqCst)
    }
}
