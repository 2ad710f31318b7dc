//! How the store is.

use std::time::Duration;

use super::{RateGuard, Shared, server_state::Server};
use crate::StoreError;

/// How a guard's store is, for readiness probes.
///
/// ```
/// # use actix_web::{HttpResponse, get, web};
/// # use actix_rateguard_core::RateGuard;
/// #[get("/ready")]
/// async fn ready(guard: web::Data<RateGuard>) -> HttpResponse {
///     match guard.health().cause() {
///         None => HttpResponse::Ok().body("ready\n"),
///         Some(cause) => HttpResponse::ServiceUnavailable().body(format!("limits: {cause}\n")),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    cause: Option<StoreError>,
    lasts: Option<Duration>,
}

impl Health {
    /// Whether the store answers, as far as is known.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.cause.is_none()
    }

    /// Why the store does not answer, if it does not.
    #[must_use]
    pub fn cause(&self) -> Option<StoreError> {
        self.cause
    }

    /// For how long checks have been left unanswered, if the last one was.
    #[must_use]
    pub fn lasts(&self) -> Option<Duration> {
        self.lasts
    }
}

impl RateGuard {
    /// How the store is, without asking it: what its connections and the last checks have shown. Of several servers, as
    /// those of Redis Cluster, all have to be well.
    #[must_use]
    pub fn health(&self) -> Health {
        let Shared { store, servers, .. } = &*self.shared;
        let closed = self.is_closed().then_some((StoreError::Closed, None));
        let open =
            || servers.asked().find_map(|server| Some((server.breaker.open()?, server.lasts())));
        // While it is well and nobody asks, nobody finds out that it is.
        let silent = || servers.asked().filter_map(Server::lasts).max();
        let away = || store.health().err().map(|cause| (cause, silent()));
        let ill = closed.or_else(open).or_else(away);
        let (cause, lasts) = (ill.map(|(cause, _)| cause), ill.and_then(|(_, lasts)| lasts));
        Health { cause, lasts }
    }
}
