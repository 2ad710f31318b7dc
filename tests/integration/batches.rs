//! One batch of the script decides exactly as the same requests one by one.

use std::{cell::RefCell, collections::VecDeque, time::Duration};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use rateguard::{
    Key, Quota,
    store::{Bucket, Charge, Operation, Receipt, Verdict},
};

use crate::{
    model::Rule,
    play::START,
    support::{
        lua::{SOURCE, Script, with_time_of_the_test},
        redis_server::RedisServer,
    },
    traces::{Logs, rules},
};

/// A bucket of a request.
#[derive(Clone, Debug)]
struct Part {
    key: u8,
    rule: prop::sample::Index,
    is_check_only: bool,
}

#[derive(Clone, Debug)]
enum Request {
    Ask {
        operation: Operation,
        parts: Vec<Part>,
        cost: u32,
        /// Under twice the limit, as while a limit is being raised.
        is_raised: bool,
    },
    /// Gives back a unit of what a request of an earlier batch took.
    GiveBack,
}

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Request>),
    /// A fraction of the first quota's window, in thousandths.
    Advance(u64),
}

/// What a request took, under the receipts of either side.
struct Held {
    buckets: Vec<(u8, usize)>,
    quotas: Vec<Quota>,
    one_by_one: Vec<Receipt>,
    batched: Vec<Receipt>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let operations = prop_oneof![
        12 => Just(Operation::Check),
        1 => Just(Operation::Peek),
        1 => Just(Operation::Charge),
        1 => Just(Operation::Reset),
    ];
    let gates = prop_oneof![4 => Just(false), 1 => Just(true)];
    let part = (0..3_u8, any::<prop::sample::Index>(), gates)
        .prop_map(|(key, rule, is_check_only)| Part { key, rule, is_check_only });
    let costs = prop_oneof![4 => Just(1), 2 => 0_u32..8, 1 => 0_u32..60];
    let raised = prop_oneof![9 => Just(false), 1 => Just(true)];
    let ask = (operations, vec(part, 1..4), costs, raised).prop_map(
        |(operation, parts, cost, is_raised)| Request::Ask { operation, parts, cost, is_raised },
    );
    let request = prop_oneof![12 => ask, 2 => Just(Request::GiveBack)];
    let alike = (ask_of_one_key(), 1..12_usize).prop_map(|(ask, many)| vec![ask; many]);
    let batch = prop_oneof![4 => vec(request, 1..12), 1 => alike];
    let advance = prop_oneof![4 => 0..400_u64, 1 => Just(1_000)];
    vec(prop_oneof![3 => batch.prop_map(Step::Batch), 1 => advance.prop_map(Step::Advance)], 1..12)
}

fn ask_of_one_key() -> impl Strategy<Value = Request> {
    let part = (0..3_u8, any::<prop::sample::Index>());
    part.prop_map(|(key, rule)| Request::Ask {
        operation: Operation::Check,
        parts: vec![Part { key, rule, is_check_only: false }],
        cost: 1,
        is_raised: false,
    })
}

fn raised(rule: &Rule) -> Quota {
    let Rule { limit, capacity, .. } = *rule;
    Rule { limit, capacity: 2 * capacity, ..*rule }.quota()
}

fn quota(rule: &Rule, is_raised: bool) -> Quota {
    match rule.algorithm {
        _ if !is_raised => rule.quota(),
        rateguard::Algorithm::TokenBucket => raised(rule),
        _ => Rule { limit: 2 * rule.limit, capacity: 2 * rule.capacity, ..*rule }.quota(),
    }
}

/// One request as both sides are asked it.
struct Asked {
    operation: Operation,
    buckets: Vec<(u8, usize)>,
    quotas: Vec<Quota>,
    costs: Vec<(u32, bool)>,
    /// For a refund.
    held: Option<Held>,
}

impl Asked {
    fn new(request: &Request, rules: &[Rule], held: &mut VecDeque<Held>) -> Option<Self> {
        match request {
            Request::Ask { operation, parts, cost, is_raised } => {
                let mut asked = Self {
                    operation: *operation,
                    buckets: Vec::new(),
                    quotas: Vec::new(),
                    costs: Vec::new(),
                    held: None,
                };
                for part in parts {
                    let bucket = (part.key, part.rule.index(rules.len()));
                    // No two parts of a request have one bucket.
                    if !asked.buckets.contains(&bucket) {
                        asked.buckets.push(bucket);
                        asked.quotas.push(quota(&rules[bucket.1], *is_raised));
                        let may_check_only =
                            matches!(operation, Operation::Check | Operation::Peek);
                        asked.costs.push((*cost, part.is_check_only && may_check_only));
                    }
                }
                Some(asked)
            }
            Request::GiveBack => {
                let held = held.pop_front()?;
                Some(Self {
                    operation: Operation::Refund,
                    buckets: held.buckets.clone(),
                    quotas: held.quotas.clone(),
                    costs: held.buckets.iter().map(|_| (1, false)).collect(),
                    held: Some(held),
                })
            }
        }
    }

    fn charges<'a>(
        &self,
        keys: &'a [Key],
        receipts: impl Fn(&Held) -> &[Receipt],
    ) -> Vec<Charge<'a>> {
        let parts = self.buckets.iter().zip(&self.quotas).zip(&self.costs).enumerate();
        parts
            .map(|(number, ((bucket, quota), cost))| {
                let key = &keys[usize::from(bucket.0)];
                let mut charge = Charge::new(Bucket::new("p", bucket.1, key), *quota, cost.0);
                charge.is_gate = cost.1;
                if let Some(held) = &self.held {
                    charge.receipt = receipts(held)[number];
                }
                charge
            })
            .collect()
    }

    /// What it took, if it can be given back.
    fn held(self, one: &Verdict, batched: &Verdict) -> Option<Held> {
        let took = self.operation == Operation::Check
            && one.is_allowed()
            && self.costs.iter().all(|(cost, is_check_only)| *cost > 0 && !is_check_only);
        took.then(|| Held {
            buckets: self.buckets,
            quotas: self.quotas,
            one_by_one: one.receipts().collect(),
            batched: batched.receipts().collect(),
        })
    }
}

fn told(verdict: &Verdict) -> (bool, Vec<rateguard::store::Level>) {
    (verdict.is_allowed(), verdict.levels().collect())
}

fn play(
    rules: &[Rule],
    steps: &[Step],
    one_by_one: &mut Script<'_>,
    batched: &mut Script<'_>,
) -> Result<(), TestCaseError> {
    let keys: Vec<Key> = (0..3_u8).map(|key| Key::from_parts([[key]])).collect();
    let (mut now, mut held) = (START, VecDeque::new());
    for step in steps {
        let requests = match step {
            Step::Advance(thousandths) => {
                now += rules[0].window * thousandths / 1_000;
                continue;
            }
            Step::Batch(requests) => requests,
        };
        let at = Some(Duration::from_micros(now));
        let asked: Vec<_> =
            requests.iter().filter_map(|it| Asked::new(it, rules, &mut held)).collect();
        if asked.is_empty() {
            continue;
        }
        let mut expected = Vec::new();
        for it in &asked {
            let charges = it.charges(&keys, |held| &held.one_by_one);
            expected.push(one_by_one.call(it.operation, &charges, at).unwrap());
        }
        let charges: Vec<_> =
            asked.iter().map(|it| it.charges(&keys, |held| &held.batched)).collect();
        let batch: Vec<_> =
            asked.iter().zip(&charges).map(|(it, charges)| (it.operation, &**charges)).collect();
        let verdicts = batched.batch(&batch, at).unwrap();
        for (number, (one, other)) in expected.iter().zip(&verdicts).enumerate() {
            prop_assert_eq!(told(one), told(other), "request {} of {:?} at {}", number, step, now);
        }
        for ((it, one), other) in asked.into_iter().zip(&expected).zip(&verdicts) {
            held.extend(it.held(one, other));
        }
    }
    Ok(())
}

/// What differs between a batch and its requests one by one, with such a script.
pub fn difference(source: &str, logs: Logs, cases: u32) -> Option<String> {
    let (server, source) = (RedisServer::start(), with_time_of_the_test(source));
    let connections = RefCell::new((server.client(), server.client(), 0));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&(rules(), steps()), |(rules, steps)| {
        let (one, other, case) = &mut *connections.borrow_mut();
        *case += 1;
        let mut one_by_one = Script::new(one, &source, format!("one-{case}"));
        let mut batched = Script::new(other, &source, format!("batch-{case}"));
        if logs == Logs::Sorted {
            one_by_one = one_by_one.with_sorted_sets();
            batched = batched.with_sorted_sets();
        }
        play(&rules, &steps, &mut one_by_one, &mut batched)
    });
    result.err().map(|failure| failure.to_string())
}

#[test]
fn a_batch_decides_as_its_requests_one_by_one() {
    for logs in [Logs::Packed, Logs::Sorted] {
        assert_eq!(difference(SOURCE, logs, 1_500), None);
    }
}
