//! Limits the messages of connections, such as WebSockets and streams. Middlewares see only the request that opens a
//! connection.

use std::{
    fmt,
    time::{Duration, Instant},
};

use smallvec::SmallVec;

use super::{RateGuard, Unavailable};
use crate::{
    Decision, Key, Policy, Quota, Quotas,
    algorithm::BucketState,
    clock::{micros, wall_clock},
};

/// The limits of the messages of each connection, and of each user on all connections and servers together.
///
/// The limit of a connection is in the memory of its process, so a flood on one connection asks the store only for the
/// messages that this limit admits.
///
/// ```
/// # use actix_rateguard_core::{Key, MessageLimits, Policy, RateGuard};
/// # futures_util::FutureExt::now_or_never(async {
/// // When the application starts.
/// let guard = RateGuard::in_memory();
/// let messages = MessageLimits::per_connection("2/second")?.per_user(Policy::new("messages", "3/minute")?);
///
/// // For each connection.
/// let user = Key::from("user-42");
/// let mut limiter = messages.limiter(&guard, &user);
/// assert!(limiter.allows(1).await && limiter.allows(1).await);
/// assert!(!limiter.allows(1).await);
/// // Another connection of the user has one message left.
/// let mut limiter = messages.limiter(&guard, &user);
/// assert!(limiter.allows(1).await && !limiter.allows(1).await);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use = "the limits do nothing until a connection uses a `MessageLimiter`"]
pub struct MessageLimits {
    per_connection: Quotas,
    per_user: Option<Policy>,
}

impl MessageLimits {
    /// Creates limits with these quotas for the messages of each connection. The value is [`Quotas`], a [`Quota`], or
    /// text such as `"20/second token_bucket burst 50"` or `"5/second; 100/minute"`.
    ///
    /// # Errors
    ///
    /// [`MessageLimitError`] if the text is invalid, or if a quota limits requests in progress.
    pub fn per_connection<Q>(quotas: Q) -> Result<Self, MessageLimitError>
    where
        Q: TryInto<Quotas, Error: fmt::Display>,
    {
        let per_connection: Quotas =
            quotas.try_into().map_err(|error| MessageLimitError { message: error.to_string() })?;
        if let Some(quota) = per_connection.concurrency() {
            return Err(MessageLimitError {
                message: format!(
                    "expected rates such as \"20/second\", found `{quota}`; a message ends at once"
                ),
            });
        }
        Ok(Self { per_connection, per_user: None })
    }

    /// Adds a policy for the messages of each user, on all connections and servers together. The store counts them. A
    /// message of a denied user also counts for its connection.
    pub fn per_user(mut self, policy: Policy) -> Self {
        self.per_user = Some(policy);
        self
    }

    /// Creates the limiter of a new connection. `user` is the key for the policy of [`per_user`](Self::per_user).
    #[must_use]
    pub fn limiter(&self, guard: &RateGuard, user: &Key) -> MessageLimiter {
        let quotas = self.per_connection.as_slice().iter();
        let has_calendar = quotas.clone().any(|quota| quota.calendar_period().is_some());
        let started_at = if has_calendar { micros(wall_clock()).cast_signed() } else { 0 };
        MessageLimiter {
            guard: guard.clone(),
            start: Instant::now(),
            started_at,
            connection: quotas
                .map(|quota| (*quota, BucketState::empty(quota.algorithm())))
                .collect(),
            per_user: self.per_user.clone().map(|policy| (policy, *user)),
        }
    }
}

/// Limits the messages of one connection. [`MessageLimits::limiter`] creates it.
pub struct MessageLimiter {
    guard: RateGuard,
    start: Instant,
    /// The time since 1970 at `start`, in microseconds. It is 0 if no quota has a calendar period.
    started_at: i64,
    connection: SmallVec<[(Quota, BucketState); 1]>,
    per_user: Option<(Policy, Key)>,
}

/// The decision on a message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MessageDecision {
    /// The message is admitted.
    Admitted,
    /// The connection has sent too many messages.
    DeniedByConnection {
        /// The time until the message fits. `None` if it costs more than the limit.
        retry_after: Option<Duration>,
    },
    /// The user has sent too many messages on all connections together.
    DeniedByUser(Decision),
}

impl MessageDecision {
    /// Returns whether the message is admitted.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Admitted)
    }

    /// Returns whether the user, and not only this connection, has sent too many messages.
    #[must_use]
    pub fn is_denied_by_user(&self) -> bool {
        matches!(self, Self::DeniedByUser(_))
    }

    /// Returns the time until the message fits. Returns `None` if the message is admitted, or if waiting does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Admitted => None,
            Self::DeniedByConnection { retry_after } => *retry_after,
            Self::DeniedByUser(decision) => decision.retry_after(),
        }
    }
}

impl MessageLimiter {
    /// Decides on a message that costs this number of units, for example 1, or its length in bytes. A message that the
    /// connection may not send does not count for the user.
    ///
    /// # Errors
    ///
    /// The same errors as [`RateGuard::check`]: the store did not answer, and the failure mode does not count locally.
    pub async fn check(&mut self, units: u32) -> Result<MessageDecision, Unavailable> {
        if let Some(denial) = self.take_from_connection(units) {
            return Ok(denial);
        }
        let Some((policy, key)) = &self.per_user else { return Ok(MessageDecision::Admitted) };
        let decision = self.guard.request(policy, key).cost(units).check().await?;
        Ok(if decision.is_allowed() {
            MessageDecision::Admitted
        } else {
            MessageDecision::DeniedByUser(decision)
        })
    }

    /// Returns whether a message that costs this number of units is admitted. If the store fails, the failure mode
    /// decides.
    pub async fn allows(&mut self, units: u32) -> bool {
        match self.check(units).await {
            Ok(decision) => decision.is_allowed(),
            Err(unavailable) => unavailable.lets_pass(),
        }
    }

    /// Takes the units from all quotas of the connection, or from none.
    fn take_from_connection(&mut self, units: u32) -> Option<MessageDecision> {
        let now = micros(self.start.elapsed());
        let mut wait = Some(0);
        for (quota, state) in &mut self.connection {
            state.settle(*quota, now, self.started_at);
            let wait_for_quota = state.wait_for(*quota, now, units);
            wait = wait.zip(wait_for_quota).map(|(one, other)| one.max(other));
        }
        if wait != Some(0) {
            let retry_after = wait.map(Duration::from_micros);
            return Some(MessageDecision::DeniedByConnection { retry_after });
        }
        for (quota, state) in &mut self.connection {
            state.add(*quota, now, units);
        }
        None
    }
}

impl fmt::Debug for MessageLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageLimiter").finish_non_exhaustive()
    }
}

/// The error for quotas that cannot limit messages.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageLimitError {
    message: String,
}

impl fmt::Display for MessageLimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

actix_rateguard_grammar::debug_as_display!(MessageLimitError);

impl std::error::Error for MessageLimitError {}
