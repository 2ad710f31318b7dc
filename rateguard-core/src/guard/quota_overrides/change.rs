//! Sets, removes and lists overrides.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    OverrideError, QuotaOverride,
    document::{self, Digest, MAX_DESCRIPTION, MAX_OVERRIDES, StoredOverride},
};
use crate::{Ban, Key, Policy, Quotas, RateError, StoreError, backoff::Backoff, guard::RateGuard};

/// The maximum number of attempts to change the document. An attempt fails if another process changes the document at
/// the same time.
const MAX_ATTEMPTS: usize = 32;

/// The delays between two attempts. The jitter is large, so that processes whose attempts have met once do not meet again.
const CONFLICT_BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(2), Duration::from_millis(64), 0.9);

/// A change of the overrides.
struct Change {
    policy: String,
    digest: Digest,
    /// `None` removes the override.
    new: Option<NewOverride>,
}

struct NewOverride {
    quotas: Arc<Quotas>,
    length: Duration,
    description: Option<String>,
}

/// Methods for overrides. An override replaces the quotas of a policy for one key, on every application server that
/// uses the store. [`RateGuardBuilder::overrides`](crate::RateGuardBuilder::overrides) enables them.
impl RateGuard {
    /// Replaces the quotas of `policy` for `key` for a duration from 1 second to 90 days. The quotas are a
    /// [`Quota`](crate::Quota), [`Quotas`] or text such as `"1000/minute"`, and follow the rules for the quotas of a
    /// policy. If the key already has an override under the policy, the new one replaces it.
    ///
    /// - When the method returns, the override is in effect in this process. Other processes apply it within 250 ms.
    /// - The units that the key has used still count. The first quota of the override counts in the bucket of the first
    ///   quota of the policy, and so on. So write as many quotas as the policy has, in the same order.
    /// - The name, the ban, the failure mode and the shadow mode are those of the policy. The override wins over a
    ///   plan, also over an unlimited one, and over the candidate quotas of a rollout.
    /// - The override ends by itself on the clock of the store. Until then, it stays in effect while the store is down.
    ///
    /// A change needs two calls of the store, and more if other processes change overrides at the same time. Each of
    /// them lasts at most as long as the [deadline](crate::RateGuardBuilder::deadline) of the guard.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use actix_rateguard_core::{Key, Policy, RateGuard};
    /// # futures_util::FutureExt::now_or_never(async {
    /// let guard = RateGuard::builder().overrides(true).build()?;
    /// let (policy, key) = (Policy::new("api", "1/minute")?, Key::from("customer-7"));
    /// guard.set_override(&policy, &key, "1000/minute", Duration::from_secs(3_600)).await?;
    /// assert_eq!(guard.check(&policy, &key).await?.remaining(), 999);
    ///
    /// guard.remove_override(&policy, &key).await?;
    /// assert!(!guard.allows(&policy, &key).await);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap().unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`OverrideError`] if the quotas or the duration are invalid, if the guard was built without overrides, if there
    /// are already 1,000 overrides, or if the store failed.
    pub async fn set_override<Q>(
        &self,
        policy: &Policy,
        key: &Key,
        quotas: Q,
        length: Duration,
    ) -> Result<(), OverrideError>
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        self.set_override_with(policy, key, quotas, length, None).await
    }

    /// Does the same as [`set_override`](Self::set_override), and stores a description of up to 200 characters, which
    /// [`overrides`](Self::overrides) returns. The store has this text as it is, so it should not contain personal data
    /// without need.
    ///
    /// # Errors
    ///
    /// The errors of [`set_override`](Self::set_override), and [`OverrideError::Description`] if the description is too
    /// long.
    pub async fn set_described_override<Q>(
        &self,
        policy: &Policy,
        key: &Key,
        quotas: Q,
        length: Duration,
        description: impl Into<String>,
    ) -> Result<(), OverrideError>
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        self.set_override_with(policy, key, quotas, length, Some(description.into())).await
    }

    async fn set_override_with<Q>(
        &self,
        policy: &Policy,
        key: &Key,
        quotas: Q,
        length: Duration,
        description: Option<String>,
    ) -> Result<(), OverrideError>
    where
        Q: TryInto<Quotas, Error: Into<RateError>>,
    {
        let quotas = quotas.try_into().map_err(|error| OverrideError::Quota(error.into()))?;
        if !(Duration::from_secs(1)..=Ban::MAX_LENGTH).contains(&length) {
            return Err(OverrideError::Length);
        }
        if description.as_ref().is_some_and(|it| it.chars().count() > MAX_DESCRIPTION) {
            return Err(OverrideError::Description);
        }
        let new = NewOverride { quotas: Arc::new(quotas), length, description };
        self.change_overrides(policy, key, Some(new)).await.map(drop)
    }

    /// Removes the override of `key` under `policy`. Returns false if the key had none. The units that the key has used
    /// still count.
    ///
    /// # Errors
    ///
    /// [`OverrideError`] if the guard was built without overrides, or if the store failed.
    pub async fn remove_override(&self, policy: &Policy, key: &Key) -> Result<bool, OverrideError> {
        self.change_overrides(policy, key, None).await
    }

    /// Returns the overrides that are in effect in this process, ordered by policy and end. On Redis and Upstash, the
    /// process has read them within the last 250 ms, unless the store is down.
    #[must_use]
    pub fn overrides(&self) -> Vec<QuotaOverride> {
        let now = self.override_time();
        let mut overrides = self.shared.overrides.list(now);
        overrides.sort_by(|one, other| {
            let order = |it: &StoredOverride| (it.ends_at, it.digest);
            one.policy.cmp(&other.policy).then(order(one).cmp(&order(other)))
        });
        let listed = overrides.into_iter().map(|it| QuotaOverride {
            key_digest: document::hex(&it.digest),
            ends_after: it.ends_at.saturating_sub(now),
            policy: it.policy,
            quotas: Arc::unwrap_or_clone(it.quotas),
            description: it.description,
        });
        listed.collect()
    }

    async fn change_overrides(
        &self,
        policy: &Policy,
        key: &Key,
        new: Option<NewOverride>,
    ) -> Result<bool, OverrideError> {
        if !self.shared.overrides.is_enabled {
            return Err(OverrideError::Disabled);
        }
        // In a forked process, no thread would run the change.
        if let Err(StoreError::Forked) = self.shared.store.health() {
            return Err(StoreError::Forked.into());
        }
        let digest = self.hashed_key(key).digest();
        let change = Change { policy: policy.name().to_owned(), digest, new };
        if !self.has_remote_store() {
            return self.write_change(&change).await;
        }
        // The thread has a runtime, so the caller needs none. If the caller drops this future, the change continues.
        let (result, receiver) = oneshot::channel();
        let guard = self.clone();
        self.run_on_permit_thread(async move {
            let _ = result.send(guard.write_change(&change).await);
        });
        receiver.await.unwrap_or(Err(StoreError::Closed.into()))
    }

    /// Changes the document. Returns whether the key had an override.
    async fn write_change(&self, change: &Change) -> Result<bool, OverrideError> {
        let table = &self.shared.overrides;
        let mut last = table.document.lock().await;
        let mut backoff = CONFLICT_BACKOFF;
        for _ in 0..MAX_ATTEMPTS {
            if self.is_closed() {
                return Err(StoreError::Closed.into());
            }
            last.version = None;
            self.read_overrides(&mut last).await?;
            let mut overrides = table.list(last.read_at);
            let before = overrides.len();
            overrides.retain(|it| !it.is_for(&change.policy, &change.digest));
            let was_overridden = overrides.len() < before;
            match &change.new {
                None if !was_overridden => return Ok(false),
                None => {}
                Some(_) if overrides.len() >= MAX_OVERRIDES => return Err(OverrideError::TooMany),
                Some(new) => overrides.push(StoredOverride {
                    ends_at: last.read_at + new.length,
                    digest: change.digest,
                    policy: change.policy.clone(),
                    quotas: Arc::clone(&new.quotas),
                    description: new.description.clone(),
                }),
            }
            if self.write_overrides(&mut last, overrides).await? {
                return Ok(was_overridden);
            }
            // Only a remote store has other processes, so this code runs on the permit thread, which has a timer.
            tokio::time::sleep(backoff.next_delay()).await;
        }
        Err(OverrideError::Conflict)
    }
}
