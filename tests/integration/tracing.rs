//! The span of a check, as a subscriber of the test's own hears it.

use std::{
    collections::BTreeMap,
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{FutureExt, poll};
use rateguard::{Key, OnError, Policy, RateGuard};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::with_default,
};
use tracing_core::span::Current;

use crate::support::{
    PATIENCE,
    redis_server::{RedisServer, free_port, url},
};

/// What was recorded of a span.
type Fields = BTreeMap<&'static str, String>;

/// Keeps the fields of all spans of this library, if it hears of them.
#[derive(Clone, Default)]
struct Listener {
    spans: Arc<Mutex<Vec<(&'static Metadata<'static>, Fields)>>>,
    /// Those that are entered, one in the other.
    entered: Arc<Mutex<Vec<u64>>>,
    /// How often it was asked for what it does not want.
    unwanted: Arc<AtomicU64>,
    is_deaf: bool,
}

struct Writer<'a>(&'a mut Fields);

impl Visit for Writer<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "rateguard" && metadata.is_span() && !self.is_deaf
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        if self.is_deaf {
            self.unwanted.fetch_add(1, SeqCst);
        }
        let mut fields = Fields::new();
        attributes.record(&mut Writer(&mut fields));
        let mut spans = self.spans.lock().unwrap();
        spans.push((attributes.metadata(), fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut spans = self.spans.lock().unwrap();
        values.record(&mut Writer(&mut spans[id.into_u64() as usize - 1].1));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        self.entered.lock().unwrap().push(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        assert_eq!(self.entered.lock().unwrap().pop(), Some(id.into_u64()));
    }

    fn current_span(&self) -> Current {
        let entered = self.entered.lock().unwrap();
        let Some(id) = entered.last() else { return Current::none() };
        let (metadata, _) = self.spans.lock().unwrap()[*id as usize - 1];
        Current::new(Id::from_u64(*id), metadata)
    }
}

impl Listener {
    /// Does this on this thread, and says what was recorded.
    fn hear(&self, act: impl AsyncFnOnce()) -> Vec<Fields> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        with_default(self.clone(), || runtime.block_on(act()));
        let spans = std::mem::take(&mut *self.spans.lock().unwrap());
        let named = |(metadata, fields): (&Metadata<'_>, _)| {
            assert_eq!(metadata.name(), "rateguard.check");
            fields
        };
        spans.into_iter().map(named).collect()
    }
}

fn hear(act: impl AsyncFnOnce()) -> Vec<Fields> {
    Listener::default().hear(act)
}

fn policy() -> Policy {
    Policy::new("app", "2/hour").unwrap()
}

fn expected<const N: usize>(fields: [(&'static str, &str); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

fn decided(outcome: &str, mode: &str, remaining: &str) -> Fields {
    expected([
        ("policy", "app"),
        ("quota", "2/hour"),
        ("outcome", outcome),
        ("mode", mode),
        ("remaining", remaining),
    ])
}

/// Takes out how long the store took.
fn store_seconds(fields: &mut Fields) -> Option<f64> {
    fields.remove("store_seconds").map(|seconds| seconds.parse().unwrap())
}

const SENTINEL: &str = "Zx9-sentinel-7Qw";

#[test]
fn a_check_in_memory_is_a_span_also_if_it_is_done_at_once() {
    let spans = hear(async || {
        let (guard, key) = (RateGuard::in_memory(), Key::from(SENTINEL));
        for _ in 0..3 {
            guard.check(&policy(), &key).await.unwrap();
        }
    });
    let all = ["1", "0"].map(|left| decided("allowed", "store", left));
    assert_eq!(spans, [all.as_slice(), &[decided("denied", "store", "0")]].concat());
    assert!(!format!("{spans:?}").contains(SENTINEL));
}

#[test]
fn each_verb_that_decides_is_a_span_and_no_other_is() {
    let spans = hear(async || {
        let (guard, key) = (RateGuard::in_memory(), Key::from(SENTINEL));
        let policy = Policy::new("app", "9/hour; 20/day").unwrap();
        let request = guard.request(&policy, &key);
        request.check().await.unwrap();
        let reservation = request.reserve().await.unwrap();
        request.check_or_wait(Duration::ZERO).await.unwrap();
        reservation.settle(2).await.unwrap();
        request.peek().await.unwrap();
        request.charge().await.unwrap();
        request.reset().await.unwrap();
    });
    let left: Vec<_> = spans.iter().map(|span| &*span["remaining"]).collect();
    assert_eq!(left, ["8", "7", "6"]);
    assert!(!format!("{spans:?}").contains(SENTINEL));
}

#[test]
fn a_check_on_redis_says_how_long_redis_took() {
    let redis = RedisServer::start();
    let mut spans = hear(async || {
        let (guard, key) = (redis.guard("tracing"), Key::from(SENTINEL));
        guard.check(&policy(), &key).await.unwrap();
        let _ = guard.request(&policy(), &key).reserve().await.unwrap();
        // It asks from a task of its own.
        guard.check_or_wait(&policy(), &key, Duration::ZERO).await.unwrap();
    });
    for span in &mut spans {
        let seconds = store_seconds(span).unwrap();
        assert!(0.0 < seconds && seconds < PATIENCE.as_secs_f64(), "{seconds}");
    }
    let all = [("allowed", "1"), ("allowed", "0"), ("denied", "0")];
    assert_eq!(spans, all.map(|(outcome, left)| decided(outcome, "store", left)));
    assert!(!format!("{spans:?}").contains(SENTINEL));
}

#[test]
fn what_is_decided_without_redis_says_how_and_why() {
    for (on_error, outcome, mode) in
        [(OnError::Open, "allowed", "open"), (OnError::Closed, "refused", "closed")]
    {
        let mut spans = hear(async || {
            let guard = RateGuard::redis(url(free_port())).deadline(PATIENCE);
            let guard = guard.on_error(on_error).build().unwrap();
            guard.check(&policy(), &Key::from("ann")).await.unwrap_err();
        });
        store_seconds(&mut spans[0]);
        let fields = [("policy", "app"), ("outcome", outcome), ("mode", mode)];
        let mut expected = expected(fields);
        expected.insert("error", "unreachable".to_owned());
        assert_eq!(spans, [expected]);
    }
    let mut spans = hear(async || {
        let guard = RateGuard::redis(url(free_port())).deadline(PATIENCE);
        let guard = guard.on_error(OnError::Local).build().unwrap();
        guard.check(&policy(), &Key::from("ann")).await.unwrap();
    });
    store_seconds(&mut spans[0]);
    assert_eq!(spans, [decided("allowed", "local", "1")]);
}

#[test]
fn a_denial_that_is_remembered_takes_no_time_of_the_store() {
    let redis = RedisServer::start();
    let mut spans = hear(async || {
        let guard = redis.as_usual("tracing").deadline(PATIENCE).remember_denials(PATIENCE);
        let guard = guard.build().unwrap();
        for _ in 0..4 {
            guard.check(&policy(), &Key::from("ann")).await.unwrap();
        }
    });
    let took: Vec<_> = spans.iter_mut().map(|span| store_seconds(span).is_some()).collect();
    assert_eq!(took, [true, true, true, false]);
    assert_eq!(spans[2..], ["store", "remembered"].map(|mode| decided("denied", mode, "0")));
}

#[test]
fn no_span_stays_entered_while_its_check_waits() {
    let redis = RedisServer::start();
    let listener = Listener::default();
    let spans = listener.hear(async || {
        let (guard, key, policy) = (redis.guard("tracing"), Key::from("ann"), policy());
        guard.check(&policy, &key).await.unwrap();
        redis.freeze();
        let mut check = pin!(guard.check(&policy, &key));
        assert!(poll!(check.as_mut()).is_pending());
        assert!(listener.entered.lock().unwrap().is_empty());
        redis.thaw();
        check.await.unwrap();
    });
    assert_eq!(spans.len(), 2);
}

#[test]
fn a_subscriber_that_does_not_want_them_is_given_none() {
    let listener = Listener { is_deaf: true, ..Listener::default() };
    let spans = listener.hear(async || {
        let guard = RateGuard::in_memory();
        let check = guard.check(&policy(), &Key::from("ann")).now_or_never();
        assert!(check.unwrap().unwrap().is_allowed());
        let _ = guard.request(&policy(), &Key::from("ann")).reserve().await.unwrap();
    });
    assert!(spans.is_empty());
    assert_eq!(listener.unwanted.load(SeqCst), 0);
}
