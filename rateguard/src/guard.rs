//! The guard of a web application: a guard of the core crate, together with the settings for HTTP.

use std::{
    fmt,
    net::IpAddr,
    ops::Deref,
    panic::Location,
    sync::{Arc, Weak},
};

use actix_rateguard_core::{self as core, adapter::ThrottledLog};
use actix_rateguard_headers::RETRY_AFTER;
use actix_web::HttpRequest;

use crate::{
    BuildError, client,
    inventory::{MiddlewareRegistry, register_valid_attributes},
    settings::HttpSettings,
    worker_guards::{self, Counting},
};

/// A rate limiter for a web application. A guard checks keys against policies, and has the settings for HTTP
/// responses.
///
/// A clone is cheap and shares all state with the original, so build one guard for each application and pass clones of
/// it. Build the guard before `HttpServer::new`, and not inside the closure of `HttpServer::new`. Each worker calls the
/// closure, so a guard in the closure would be built once for each worker. In memory, the guards of the workers would
/// not share their counts. On Redis, each of the guards would open its own connection.
///
/// This type dereferences to the type [`RateGuard`](core::RateGuard) of `actix-rateguard-core`, which does not
/// depend on HTTP. Handlers, background tasks and queue consumers can call the methods of that type to check, reset
/// and ban keys.
///
/// ```
/// # use actix_rateguard::{Key, Policy, RateGuard};
/// # futures_util::FutureExt::now_or_never(async {
/// let guard = RateGuard::in_memory();
/// let policy = Policy::new("emails", "2/minute")?;
/// let key = Key::from("user-42");
///
/// assert_eq!(guard.check(&policy, &key).await?.remaining(), 1);
/// assert!(guard.allows(&policy, &key).await);
/// assert!(!guard.allows(&policy, &key).await);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Clone)]
pub struct RateGuard {
    core: core::RateGuard,
    http: Arc<HttpSettings>,
    /// The middlewares that workers have started with this guard, for the inventory.
    middlewares: Arc<MiddlewareRegistry>,
}

impl RateGuard {
    /// Returns a guard that has the default settings and counts in the memory of this process. To change the
    /// settings, use [`builder`](Self::builder).
    ///
    /// The function never fails. If the guard does not fit a macro attribute of the program, for example because the
    /// guard lacks the attribute's policy, the function logs an error. The handler with this attribute then responds
    /// with status 500. The method [`build`](crate::RateGuardBuilder::build) of the builder returns such an error
    /// instead.
    #[must_use]
    #[track_caller]
    pub fn in_memory() -> Self {
        let guard = Self::from(core::RateGuard::in_memory());
        guard.record_worker(Location::caller());
        guard
    }

    pub(crate) fn with_settings(core: core::RateGuard, http: HttpSettings) -> Self {
        Self { core, http: Arc::new(http), middlewares: Arc::default() }
    }

    /// Returns the names of the header fields that the limits of this guard write. Send these names in the header
    /// `Access-Control-Expose-Headers`. Without this header, a script in a browser cannot read the fields in a response
    /// from another origin.
    ///
    /// ```
    /// # use actix_rateguard::RateGuard;
    /// let guard = RateGuard::in_memory();
    /// assert!(guard.header_names().any(|name| name == "retry-after"));
    /// // actix_cors::Cors::default().expose_headers(guard.header_names())
    /// ```
    pub fn header_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let names: Vec<_> =
            self.http().headers.iter().flat_map(|dialect| dialect.field_names()).copied().collect();
        names.into_iter().chain([RETRY_AFTER])
    }

    /// Returns the address of the client that sent this request. The guard's setting
    /// [`client_address`](crate::RateGuardBuilder::client_address) determines whether this is the address of the TCP
    /// peer, or the address that a trusted proxy reports. The key [`ip`](crate::key::ip) uses the same address. The
    /// result is `None` if the address is unknown, for example for a request over a Unix socket.
    ///
    /// You can call this method in handlers, middlewares, key functions and access logs, even if no limit applies to
    /// the request. Do not log the address without need, because it is personal data in many countries.
    ///
    /// ```
    /// # use actix_web::{HttpRequest, get, web};
    /// # use actix_rateguard::RateGuard;
    /// #[get("/my-address")]
    /// async fn my_address(request: HttpRequest, guard: web::Data<RateGuard>) -> String {
    ///     guard.client_ip(&request).map_or("unknown".to_owned(), |address| address.to_string())
    /// }
    /// ```
    #[must_use]
    pub fn client_ip(&self, request: &HttpRequest) -> Option<IpAddr> {
        client::address(self.http(), request)
    }

    pub(crate) fn http(&self) -> &HttpSettings {
        &self.http
    }

    pub(crate) fn middlewares(&self) -> &MiddlewareRegistry {
        &self.middlewares
    }

    /// Records that this thread has built the guard at this place in the source, to warn about a guard for each worker.
    pub(crate) fn record_worker(&self, location: &'static Location<'static>) {
        let counting = match (self.keyspace(), self.has_remote_store()) {
            (Some(_), _) => Counting::Server,
            (None, true) => Counting::OwnStore,
            (None, false) => Counting::Memory,
        };
        worker_guards::record(self.middlewares_in_use(), counting, location);
    }

    /// Returns a reference that can be upgraded as long as this guard or a clone of it exists.
    pub(crate) fn middlewares_in_use(&self) -> Weak<MiddlewareRegistry> {
        Arc::downgrade(&self.middlewares)
    }
}

/// Creates a guard that has the default settings for HTTP responses. Like [`RateGuard::in_memory`], this function logs
/// the errors of macro attributes.
impl From<core::RateGuard> for RateGuard {
    fn from(core: core::RateGuard) -> Self {
        let guard = Self::with_settings(core, HttpSettings::default());
        let errors = register_valid_attributes(&guard);
        if !errors.is_empty() {
            static LOG: ThrottledLog = ThrottledLog::new();
            if LOG.try_emit().is_some() {
                for error in errors {
                    let handlers = match error {
                        BuildError::NameConflict(_) => {
                            "the handlers of all limits with this name respond"
                        }
                        _ => "the handler of this attribute responds",
                    };
                    log::error!(target: "rateguard", "{error}. Until you change it, {handlers} with 500");
                }
            }
        }
        guard
    }
}

impl Deref for RateGuard {
    type Target = core::RateGuard;

    fn deref(&self) -> &core::RateGuard {
        &self.core
    }
}

impl fmt::Debug for RateGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}
