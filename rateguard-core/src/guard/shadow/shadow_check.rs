//! Shadow checks (checks whose decisions are only counted) run concurrently with the enforced check of a request,
//! and never delay the enforced check.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use futures_util::{FutureExt, future::join_all};
use smallvec::SmallVec;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    super::{Unavailable, traffic::Traffic},
    record::ShadowOutcome,
};
use crate::{
    Decision, Key, OnError, Policy, RateGuard, StoreError,
    policy::QuotaVariant,
    quota_status::QuotaStatus,
    store::{Bucket, BucketRequest, Operation, Receipt, Verdict},
};

/// A check in shadow mode for one limit of a request. The check needs one store call.
pub(super) struct ShadowCheck {
    pub(super) policy: Policy,
    pub(super) variant: QuotaVariant,
    pub(super) key: Key,
    pub(super) cost: u32,
    /// The index of the checked limit in the request.
    pub(super) limit: usize,
    /// Whether the guard reports the outcome. If the rollout includes the key, the candidate quotas are enforced,
    /// and the policy's own quotas are checked in shadow mode. Such a shadow check only updates the buckets, so its
    /// outcome is not reported.
    pub(super) is_reported: bool,
}

/// A shadow check, together with the reply from the store.
struct CompletedCheck {
    check: ShadowCheck,
    reply: Result<Verdict, StoreError>,
}

/// All shadow checks of a request while they run.
pub(in crate::guard) struct ShadowChecks {
    guard: RateGuard,
    limits: Limits,
    results: Results,
}

/// For each shadow check, the checked limit.
type Limits = SmallVec<[CheckedLimit; 1]>;

/// The limit of a shadow check.
#[derive(Clone, Copy)]
struct CheckedLimit {
    /// The index of the limit in the request.
    index: usize,
    /// The number of units that the check asks for.
    cost: u32,
}

type Results = Pin<Box<dyn Future<Output = Vec<CompletedCheck>> + Send>>;

/// The units that shadow checks have taken. The guard can refund or correct these units.
pub struct ShadowHolds {
    guard: RateGuard,
    limits: Limits,
    state: State,
}

enum State {
    Completed(Vec<CompletedCheck>),
    /// The checks are still running, and a task waits for their results.
    Running(JoinHandle<Vec<CompletedCheck>>),
    /// The results were not ready, and there was no Tokio runtime for a task. So the guard has dropped the checks.
    Dropped,
}

impl ShadowCheck {
    async fn run(self, guard: &RateGuard, operation: Operation) -> CompletedCheck {
        let reply = call_store(guard, operation, &self.bucket_requests(operation, self.cost)).await;
        if self.is_reported {
            let outcome = match &reply {
                Ok(verdict) if verdict.is_allowed() => ShadowOutcome::Allowed,
                Ok(_) => ShadowOutcome::Denied,
                Err(_) => ShadowOutcome::Undecided,
            };
            guard.record_shadow_outcome(&self.policy, outcome);
        }
        let completed = CompletedCheck { check: self, reply };
        // During a rollout, the metrics count decisions for the policy's own quotas and decisions for the candidate
        // quotas. The label `quota` distinguishes these decisions.
        guard.record_shadow_decision(operation == Operation::Check, || completed.decision().ok());
        completed
    }

    fn bucket_requests(&self, operation: Operation, cost: u32) -> SmallVec<[BucketRequest<'_>; 1]> {
        let (name, quotas) = self.policy.quotas_of_variant(self.variant);
        let bucket_request = |(index, quota): (usize, &crate::Quota)| {
            let bucket = Bucket::new(name.as_str(), index, &self.key);
            // In one store call, a sliding-window log takes at most `max_cost` units. A debit in shadow mode is only
            // one store call, so its cost is reduced to `max_cost`.
            let is_capped = operation == Operation::Debit && quota.algorithm().is_log();
            let cost = if is_capped { cost.min(quota.max_cost()) } else { cost };
            // Shadow mode holds no permits, because no request would release them.
            let has_permits = quota.algorithm().has_permits();
            let cost = if has_permits { cost.min(1) } else { cost };
            let request = BucketRequest::new(bucket, *quota, cost);
            BucketRequest { low_priority: true, check_only: has_permits, ..request }
        };
        quotas.iter().enumerate().map(bucket_request).collect()
    }
}

/// Runs an operation on buckets of one key. The denial cache or the store decides. A store call lasts at most as
/// long as the deadline of the guard.
async fn call_store(
    guard: &RateGuard,
    operation: Operation,
    requests: &[BucketRequest<'_>],
) -> Result<Verdict, StoreError> {
    let call = async || {
        let deadline = guard.shared.deadline;
        guard.call_store(Traffic::Shadow, operation, requests, deadline).await
    };
    guard.with_denial_cache(operation, requests, call).await
}

impl CompletedCheck {
    /// Returns the decision of this check in shadow mode. Such a decision always admits the request.
    fn decision(&self) -> Result<Decision, StoreError> {
        let verdict = self.reply.as_ref().map_err(|cause| *cause)?;
        let name = self.check.policy.shared_name();
        let requests = self.check.bucket_requests(Operation::Peek, self.check.cost);
        let statuses = requests.iter().zip(verdict.statuses());
        let statuses = statuses
            .map(|(request, status)| QuotaStatus::new(name.clone(), request, status))
            .collect();
        Ok(Decision::new(verdict.is_allowed(), statuses).in_shadow())
    }

    /// Refunds `refund` units and debits `debit` units, if the store has admitted the check.
    async fn correct(&self, guard: &RateGuard, refund: u32, debit: u32) {
        let Ok(verdict) = &self.reply else { return };
        if !verdict.is_allowed() {
            return;
        }
        for (operation, cost) in [(Operation::Refund, refund), (Operation::Debit, debit)] {
            if cost > 0 {
                let mut requests = self.check.bucket_requests(operation, cost);
                let receipts: Vec<Receipt> = verdict.receipts().collect();
                for (request, receipt) in requests.iter_mut().zip(receipts) {
                    request.receipt = receipt;
                }
                // A failure is ignored: the shadow count is then too high or too low, but shadow checks deny no
                // request.
                let _ = call_store(guard, operation, &requests).await;
            }
        }
    }
}

impl ShadowChecks {
    pub(super) fn new(guard: &RateGuard, checks: Vec<ShadowCheck>, operation: Operation) -> Self {
        let (guard, results_guard) = (guard.clone(), guard.clone());
        let limit = |it: &ShadowCheck| CheckedLimit { index: it.limit, cost: it.cost };
        let limits = checks.iter().map(limit).collect();
        let results = Box::pin(async move {
            let run = |check: ShadowCheck| check.run(&results_guard, operation);
            join_all(checks.into_iter().map(run)).await
        });
        Self { guard, limits, results }
    }

    /// Waits for all shadow checks and returns their combined decision. The guard calls this method if all policies
    /// of the request are in shadow mode.
    pub(in crate::guard) async fn decision(self) -> Result<(Decision, ShadowHolds), Unavailable> {
        let completed = self.results.await;
        let mut cause = None;
        let decisions = completed.iter().filter_map(|it| match it.decision() {
            Ok(decision) => Some(decision),
            Err(error) => {
                cause.get_or_insert(error);
                None
            }
        });
        let decision = decisions.reduce(Decision::and);
        let state = State::Completed(completed);
        let holds = ShadowHolds { guard: self.guard, limits: self.limits, state };
        match decision {
            Some(decision) => Ok((decision, holds)),
            None => {
                let cause = cause.unwrap_or(StoreError::Unreachable(None));
                Err(Unavailable::new(cause, OnError::Open))
            }
        }
    }

    /// Runs the shadow checks until the enforced operation completes. A task then runs the remaining shadow checks.
    ///
    /// The enforced operation is polled first, so the guard sends the enforced store call before the shadow calls.
    pub(in crate::guard) async fn run_alongside<T>(
        mut self,
        enforced: impl Future<Output = T>,
    ) -> (T, ShadowHolds) {
        let mut enforced = pin!(enforced);
        let mut completed = None;
        let output = poll_fn(|context| {
            let output = enforced.as_mut().poll(context);
            if completed.is_none()
                && let Poll::Ready(results) = self.results.as_mut().poll(context)
            {
                completed = Some(results);
            }
            output
        })
        .await;
        (output, self.into_holds(completed))
    }

    /// Starts the shadow checks, and does not wait for their results.
    pub(in crate::guard) fn start(mut self) -> ShadowHolds {
        let completed = (&mut self.results).now_or_never();
        self.into_holds(completed)
    }

    /// Spawns a task that runs the remaining shadow checks, unless all shadow checks are completed.
    fn into_holds(self, completed: Option<Vec<CompletedCheck>>) -> ShadowHolds {
        let Self { guard, limits, results } = self;
        let state = match (completed, Handle::try_current()) {
            (Some(completed), _) => State::Completed(completed),
            (None, Ok(runtime)) => State::Running(runtime.spawn(results)),
            (None, Err(_)) => State::Dropped,
        };
        ShadowHolds { guard, limits, state }
    }
}

impl ShadowHolds {
    /// Refunds the units of each limit, except for `kept` units of the limit. The argument of `kept` is the index of a
    /// limit in the request.
    pub fn refund_except(self, kept: impl Fn(usize) -> u32) {
        self.correct(|CheckedLimit { index, cost }| (cost.saturating_sub(kept(index)), 0));
    }

    /// Corrects the cost of the limit with this index from `requested` units to `cost` units.
    pub(in crate::guard) fn settle(self, index: usize, requested: u32, cost: u32) {
        self.correct(|limit| match limit.index == index {
            true => (requested.saturating_sub(cost), cost.saturating_sub(requested)),
            false => (0, 0),
        });
    }

    /// Starts the corrections. The function `units` gets a limit, and returns the number of units to refund and the
    /// number of units to debit.
    fn correct(self, units: impl Fn(CheckedLimit) -> (u32, u32)) {
        let Self { guard, limits, state } = self;
        let corrections: Vec<_> = limits.iter().map(|limit| units(*limit)).collect();
        if corrections.iter().all(|it| *it == (0, 0)) {
            return;
        }
        let mut task = Box::pin(async move {
            let completed = match state {
                State::Completed(completed) => completed,
                State::Running(task) => task.await.unwrap_or_default(),
                State::Dropped => return,
            };
            let correct = completed.iter().zip(corrections).map(|(completed, (refund, debit))| {
                completed.correct(&guard, refund.min(completed.check.cost), debit)
            });
            join_all(correct).await;
        });
        if (&mut task).now_or_never().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(task);
        }
    }
}
