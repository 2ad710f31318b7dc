//! The script must make the same decisions for a batch of requests as for the same requests in separate calls.

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use actix_rateguard::{
    Algorithm, Key, Quota,
    store::{Bucket, BucketRequest, Operation, Receipt, Verdict},
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use crate::{
    model::Rule,
    support::{
        lua::{SOURCE, Script, with_test_clock},
        redis_server::RedisServer,
    },
    trace_runner::START,
    traces::{Logs, rules},
};

/// A bucket that a request uses.
#[derive(Clone, Debug)]
struct Part {
    key: u8,
    rule: prop::sample::Index,
    is_check_only: bool,
}

#[derive(Clone, Debug)]
enum Request {
    Apply {
        operation: Operation,
        parts: Vec<Part>,
        cost: u32,
        /// Whether the limit of each quota is doubled, as in the rollout of a higher limit.
        is_raised: bool,
    },
    /// Refunds one unit that a request in an earlier batch took.
    Refund,
}

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Request>),
    /// Advances the clock by this many thousandths of the first quota's window.
    Advance(u64),
}

/// The units that a request took. They have one receipt from the separate call and one receipt from the batch.
struct Hold {
    buckets: Vec<(u8, usize)>,
    quotas: Vec<Quota>,
    one_by_one: Vec<Receipt>,
    batched: Vec<Receipt>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let operations = prop_oneof![
        12 => Just(Operation::Check),
        1 => Just(Operation::Peek),
        1 => Just(Operation::Debit),
        1 => Just(Operation::Reset),
    ];
    let check_only = prop_oneof![4 => Just(false), 1 => Just(true)];
    let part = (0..3_u8, any::<prop::sample::Index>(), check_only)
        .prop_map(|(key, rule, is_check_only)| Part { key, rule, is_check_only });
    let costs = prop_oneof![4 => Just(1), 2 => 0_u32..8, 1 => 0_u32..60];
    let raised = prop_oneof![9 => Just(false), 1 => Just(true)];
    let apply = (operations, vec(part, 1..4), costs, raised).prop_map(
        |(operation, parts, cost, is_raised)| Request::Apply { operation, parts, cost, is_raised },
    );
    let request = prop_oneof![12 => apply, 2 => Just(Request::Refund)];
    let identical = (0..3_u8, any::<prop::sample::Index>(), 1..12_usize)
        .prop_map(|(key, rule, count)| vec![unit_check(key, rule); count]);
    // The script has a faster path for batches like these two.
    let unit_checks =
        (Just(vec![0, 1, 2]).prop_shuffle(), 1..4_usize, any::<prop::sample::Index>()).prop_map(
            |(keys, count, rule)| keys[..count].iter().map(|key| unit_check(*key, rule)).collect(),
        );
    let batch = prop_oneof![4 => vec(request, 1..12), 1 => identical, 2 => unit_checks];
    let advance = prop_oneof![4 => 0..400_u64, 1 => Just(1_000)];
    vec(prop_oneof![3 => batch.prop_map(Step::Batch), 1 => advance.prop_map(Step::Advance)], 1..12)
}

fn unit_check(key: u8, rule: prop::sample::Index) -> Request {
    Request::Apply {
        operation: Operation::Check,
        parts: vec![Part { key, rule, is_check_only: false }],
        cost: 1,
        is_raised: false,
    }
}

fn quota(rule: &Rule, is_raised: bool) -> Quota {
    if !is_raised {
        return rule.quota();
    }
    // A quota with a burst gets only a higher burst, so that its rate stays the same.
    let limit = if rule.algorithm.has_burst() { rule.limit } else { 2 * rule.limit };
    Rule { limit, capacity: 2 * rule.capacity, ..*rule }.quota()
}

/// A request with its buckets and quotas. The test sends each request once in a separate call and once in a batch.
struct PreparedRequest {
    operation: Operation,
    buckets: Vec<(u8, usize)>,
    quotas: Vec<Quota>,
    costs: Vec<(u32, bool)>,
    /// The units to refund; `None` if the operation is not a refund.
    hold: Option<Hold>,
}

impl PreparedRequest {
    fn new(request: &Request, rules: &[Rule], holds: &mut VecDeque<Hold>) -> Option<Self> {
        match request {
            Request::Apply { operation, parts, cost, is_raised } => {
                let mut prepared = Self {
                    operation: *operation,
                    buckets: Vec::new(),
                    quotas: Vec::new(),
                    costs: Vec::new(),
                    hold: None,
                };
                for part in parts {
                    let bucket = (part.key, part.rule.index(rules.len()));
                    // A request may contain each bucket only once.
                    if !prepared.buckets.contains(&bucket) {
                        prepared.buckets.push(bucket);
                        prepared.quotas.push(quota(&rules[bucket.1], *is_raised));
                        let may_check_only =
                            matches!(operation, Operation::Check | Operation::Peek);
                        prepared.costs.push((*cost, part.is_check_only && may_check_only));
                    }
                }
                Some(prepared)
            }
            Request::Refund => {
                let hold = holds.pop_front()?;
                Some(Self {
                    operation: Operation::Refund,
                    buckets: hold.buckets.clone(),
                    quotas: hold.quotas.clone(),
                    costs: hold.buckets.iter().map(|_| (1, false)).collect(),
                    hold: Some(hold),
                })
            }
        }
    }

    fn bucket_requests<'a>(
        &self,
        keys: &'a [Key],
        receipts: impl Fn(&Hold) -> &[Receipt],
    ) -> Vec<BucketRequest<'a>> {
        let parts = self.buckets.iter().zip(&self.quotas).zip(&self.costs).enumerate();
        parts
            .map(|(number, ((bucket, quota), cost))| {
                let key = &keys[usize::from(bucket.0)];
                let mut request =
                    BucketRequest::new(Bucket::new("p", bucket.1, key), *quota, cost.0);
                request.check_only = cost.1;
                if let Some(hold) = &self.hold {
                    request.receipt = receipts(hold)[number];
                }
                request
            })
            .collect()
    }

    /// Returns the units that the request took, if the request was an admitted check that took units from all of its
    /// buckets. Otherwise returns `None`.
    fn hold(self, one: &Verdict, batched: &Verdict) -> Option<Hold> {
        let took = self.operation == Operation::Check
            && one.is_allowed()
            && self.costs.iter().all(|(cost, is_check_only)| *cost > 0 && !is_check_only);
        took.then(|| Hold {
            buckets: self.buckets,
            quotas: self.quotas,
            one_by_one: one.receipts().collect(),
            batched: batched.receipts().collect(),
        })
    }
}

fn outcome(verdict: &Verdict) -> (bool, Vec<actix_rateguard::store::BucketStatus>) {
    (verdict.is_allowed(), verdict.statuses().collect())
}

fn run_steps(
    rules: &[Rule],
    steps: &[Step],
    one_by_one: &mut Script<'_>,
    batched: &mut Script<'_>,
) -> Result<(), TestCaseError> {
    let keys: Vec<Key> = (0..3_u8).map(|key| Key::from_parts([[key]])).collect();
    let (mut now, mut holds) = (START, VecDeque::new());
    for step in steps {
        let requests = match step {
            Step::Advance(thousandths) => {
                now += rules[0].window * thousandths / 1_000;
                continue;
            }
            Step::Batch(requests) => requests,
        };
        let at = Some(Duration::from_micros(now));
        let prepared: Vec<_> =
            requests.iter().filter_map(|it| PreparedRequest::new(it, rules, &mut holds)).collect();
        if prepared.is_empty() {
            continue;
        }
        let mut expected = Vec::new();
        for it in &prepared {
            let bucket_requests = it.bucket_requests(&keys, |hold| &hold.one_by_one);
            expected.push(one_by_one.call(it.operation, &bucket_requests, at).unwrap());
        }
        let bucket_requests: Vec<_> =
            prepared.iter().map(|it| it.bucket_requests(&keys, |hold| &hold.batched)).collect();
        let batch: Vec<_> = prepared
            .iter()
            .zip(&bucket_requests)
            .map(|(it, bucket_requests)| (it.operation, &**bucket_requests))
            .collect();
        let verdicts = batched.batch(&batch, at).unwrap();
        for (number, (one, other)) in expected.iter().zip(&verdicts).enumerate() {
            prop_assert_eq!(
                outcome(one),
                outcome(other),
                "request {} of {:?} at {}",
                number,
                step,
                now
            );
        }
        for ((it, one), other) in prepared.into_iter().zip(&expected).zip(&verdicts) {
            holds.extend(it.hold(one, other));
        }
    }
    Ok(())
}

/// Compares the results of batches and of separate calls for the script `source`. Returns a description of the first
/// difference.
pub fn difference(source: &str, logs: Logs, cases: u32) -> Option<String> {
    let (server, source) = (RedisServer::start(), with_test_clock(source));
    let connections = RefCell::new((server.client(), server.client(), 0));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let run = |(rules, steps): (Vec<Rule>, Vec<Step>)| {
        let (one, other, case) = &mut *connections.borrow_mut();
        *case += 1;
        let mut one_by_one = Script::new(one, &source, format!("one-{case}"));
        let mut batched = Script::new(other, &source, format!("batch-{case}"));
        if logs == Logs::Sorted {
            one_by_one = one_by_one.with_sorted_sets();
            batched = batched.with_sorted_sets();
        }
        run_steps(&rules, &steps, &mut one_by_one, &mut batched)
    };
    if let Err(failure) = run(long_logs()) {
        return Some(failure.to_string());
    }
    TestRunner::new(config).run(&(rules(), steps()), run).err().map(|failure| failure.to_string())
}

/// Returns steps with batches of two logs that are too long for a single read. The logs have the same length but
/// different times, so a result is wrong if the script uses the entries of one log for the other.
fn long_logs() -> (Vec<Rule>, Vec<Step>) {
    let algorithm = Algorithm::SlidingWindow;
    let rule = Rule { algorithm, limit: 300, window: 1_000_000, capacity: 300 };
    // There is only one rule, so any index selects it.
    let index = any::<prop::sample::Index>();
    let index = index.new_tree(&mut TestRunner::deterministic()).unwrap().current();
    let take = |key| {
        let Request::Apply { operation, parts, is_raised, .. } = unit_check(key, index) else {
            unreachable!("a check")
        };
        Step::Batch(vec![Request::Apply { operation, parts, cost: 40, is_raised }])
    };
    let unit_checks = || Step::Batch(vec![unit_check(0, index), unit_check(1, index)]);
    let steps = vec![take(0), Step::Advance(100), take(1), unit_checks(), unit_checks()];
    (vec![rule], steps)
}

#[test]
fn batch_decides_like_single_requests() {
    for logs in [Logs::Packed, Logs::Sorted] {
        assert_eq!(difference(SOURCE, logs, 1_500), None);
    }
}
