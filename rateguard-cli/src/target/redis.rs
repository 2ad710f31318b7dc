//! Reads and changes the counts in Redis, with the guard of the library.

use std::{fmt, time::Duration};

use actix_rateguard_core::{
    BuildError, OnError, RateGuard, Statistics, StoreError, Unavailable,
    builder::{RateGuardBuilder, Redis, RedisTls},
};
use tokio::runtime::{Builder, Runtime};

use crate::exit::{Exit, Failure};

/// The counts of a service in Redis.
pub(crate) struct RedisTarget {
    pub(crate) guard: RateGuard,
    runtime: Runtime,
}

impl RedisTarget {
    pub(super) fn open(
        url: &str,
        prefix: &str,
        secret: Option<String>,
        authorities: Option<Vec<u8>>,
        deadline: Duration,
    ) -> Result<Self, Failure> {
        let builder = RateGuard::redis(url).prefix(prefix).overrides(true);
        // An observer reads the statistics of the servers, and is not in the list of processes.
        let builder = builder.statistics(Statistics::observer());
        let builder = builder.denial_cache_ttl(Duration::ZERO).deadline(deadline);
        let builder = match authorities {
            Some(pem) => builder.tls(RedisTls::new().ca_certificates(pem)),
            None => builder,
        };
        Self::of(match secret {
            Some(secret) => builder.key_secret(secret),
            None => builder,
        })
    }

    /// Builds the guard of these settings.
    pub(crate) fn of(builder: RateGuardBuilder<Redis>) -> Result<Self, Failure> {
        let guard = builder.on_error(OnError::Closed).build().map_err(|error| match error {
            // The text of this error contains no part of the URL.
            BuildError::Url(error) => Failure::usage(format!("Redis URL: {error}")),
            BuildError::Prefix(error) => Failure::usage(format!("`--prefix`: {error}")),
            BuildError::Secret => {
                Failure::usage("expected a secret of at least 16 bytes, found a shorter one")
            }
            error => Failure::problem(error),
        })?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| Failure::problem(format!("failed to start: {}", error.kind())))?;
        Ok(Self { guard, runtime })
    }

    /// Runs a future on this thread.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// Returns the failure for a store that did not decide.
pub(crate) fn failure_of(unavailable: &Unavailable) -> Failure {
    failure_of_store(unavailable.cause(), unavailable)
}

/// Does the same for an error that contains the cause in its text.
pub(crate) fn failure_of_store(cause: StoreError, error: &dyn fmt::Display) -> Failure {
    match cause {
        StoreError::Authentication | StoreError::Permission => Failure::new(Exit::Refused, error)
            .help("check the user and the password in the URL, and the ACL of the user"),
        _ => Failure::unreachable(error),
    }
}
