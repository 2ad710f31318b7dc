//! Tests the tracing span of a check. A subscriber of the test records the span.

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

use actix_rateguard::{Key, OnError, Policy, RateGuard};
use futures_util::{FutureExt, poll};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::with_default,
};
use tracing_core::{callsite::rebuild_interest_cache, span::Current};

use crate::support::{
    TEST_TIMEOUT, eventually,
    redis_server::{RedisServer, free_port, url},
};

/// The fields of a recorded span.
type Fields = BTreeMap<&'static str, String>;

/// A subscriber that records the fields of all spans of this library. A disabled subscriber records nothing.
#[derive(Clone, Default)]
struct SpanRecorder {
    spans: Arc<Mutex<Vec<(&'static Metadata<'static>, Fields)>>>,
    /// The ids of the entered spans, as a stack.
    entered: Arc<Mutex<Vec<u64>>>,
    /// The number of spans that the library created although the subscriber was disabled. It must be 0.
    unwanted: Arc<AtomicU64>,
    is_disabled: bool,
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

impl Subscriber for SpanRecorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "rateguard" && metadata.is_span() && !self.is_disabled
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        if self.is_disabled {
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

impl SpanRecorder {
    /// Waits until this subscriber receives the spans of this library.
    ///
    /// While this subscriber is being installed, a thread of another test may register the callsite of the span. Then
    /// `tracing-core` may store only whether the earlier subscribers need this span, and this subscriber gets no
    /// spans.
    fn wait_for_interest(&self) {
        if self.is_disabled {
            return;
        }
        let (guard, key) = (RateGuard::in_memory(), Key::from("warm-up"));
        eventually("spans reach the subscriber", || {
            rebuild_interest_cache();
            guard.check(&policy(), &key).now_or_never().unwrap().unwrap();
            let spans = std::mem::take(&mut *self.spans.lock().unwrap());
            (!spans.is_empty()).then_some(())
        });
    }

    /// Runs an action on this thread, and returns the fields of the spans that the action created.
    fn record_spans(&self, action: impl AsyncFnOnce()) -> Vec<Fields> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        with_default(self.clone(), || {
            self.wait_for_interest();
            runtime.block_on(action());
        });
        let spans = std::mem::take(&mut *self.spans.lock().unwrap());
        let fields_of = |(metadata, fields): (&Metadata<'_>, _)| {
            assert_eq!(metadata.name(), "rateguard.check");
            fields
        };
        spans.into_iter().map(fields_of).collect()
    }
}

fn record_spans(action: impl AsyncFnOnce()) -> Vec<Fields> {
    SpanRecorder::default().record_spans(action)
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

/// Removes the field `store_seconds` and returns its value. Because the value differs in each run, a test cannot
/// compare it with an expected value.
fn take_store_seconds(fields: &mut Fields) -> Option<f64> {
    fields.remove("store_seconds").map(|seconds| seconds.parse().unwrap())
}

const SENTINEL: &str = "Zx9-sentinel-7Qw";

#[test]
fn memory_check_on_the_fast_path_emits_a_span() {
    let spans = record_spans(async || {
        let (guard, key) = (RateGuard::in_memory(), Key::from(SENTINEL));
        for _ in 0..3 {
            guard.check(&policy(), &key).await.unwrap();
        }
    });
    let all = ["1", "0"].map(|remaining| decided("allowed", "store", remaining));
    assert_eq!(spans, [all.as_slice(), &[decided("denied", "store", "0")]].concat());
    assert!(!format!("{spans:?}").contains(SENTINEL));
}

#[test]
fn only_deciding_operations_emit_spans() {
    let spans = record_spans(async || {
        let (guard, key) = (RateGuard::in_memory(), Key::from(SENTINEL));
        let policy = Policy::new("app", "9/hour; 20/day").unwrap();
        let request = guard.request(&policy, &key);
        request.check().await.unwrap();
        let reservation = request.reserve().await.unwrap();
        request.check_or_wait(Duration::ZERO).await.unwrap();
        reservation.settle(2).await.unwrap();
        request.peek().await.unwrap();
        request.debit().await.unwrap();
        request.reset().await.unwrap();
    });
    let remaining: Vec<_> = spans.iter().map(|span| &*span["remaining"]).collect();
    assert_eq!(remaining, ["8", "7", "6"]);
    assert!(!format!("{spans:?}").contains(SENTINEL));
}

#[test]
fn redis_check_span_records_store_seconds() {
    let redis = RedisServer::start();
    let mut spans = record_spans(async || {
        let (guard, key) = (redis.guard("tracing"), Key::from(SENTINEL));
        guard.check(&policy(), &key).await.unwrap();
        let _ = guard.request(&policy(), &key).reserve().await.unwrap();
        // `check_or_wait` calls the store in a separate task. The span must contain the duration of this call too.
        guard.check_or_wait(&policy(), &key, Duration::ZERO).await.unwrap();
    });
    for span in &mut spans {
        let seconds = take_store_seconds(span).unwrap();
        assert!(0.0 < seconds && seconds < TEST_TIMEOUT.as_secs_f64(), "{seconds}");
    }
    let all = [("allowed", "1"), ("allowed", "0"), ("denied", "0")];
    assert_eq!(spans, all.map(|(outcome, remaining)| decided(outcome, "store", remaining)));
    assert!(!format!("{spans:?}").contains(SENTINEL));
}

#[test]
fn span_without_redis_records_mode_and_error() {
    for (on_error, outcome, mode) in
        [(OnError::Open, "allowed", "open"), (OnError::Closed, "rejected", "closed")]
    {
        let mut spans = record_spans(async || {
            let guard = RateGuard::redis(url(free_port())).prefix("test").deadline(TEST_TIMEOUT);
            let guard = guard.on_error(on_error).build().unwrap();
            guard.check(&policy(), &Key::from("ann")).await.unwrap_err();
        });
        take_store_seconds(&mut spans[0]);
        let fields = [("policy", "app"), ("outcome", outcome), ("mode", mode)];
        let mut expected = expected(fields);
        expected.insert("error", "unreachable".to_owned());
        assert_eq!(spans, [expected]);
    }
    let mut spans = record_spans(async || {
        let guard = RateGuard::redis(url(free_port())).prefix("test").deadline(TEST_TIMEOUT);
        let guard = guard.on_error(OnError::Local).build().unwrap();
        guard.check(&policy(), &Key::from("ann")).await.unwrap();
    });
    take_store_seconds(&mut spans[0]);
    assert_eq!(spans, [decided("allowed", "local", "1")]);
}

#[test]
fn cached_denial_span_has_no_store_seconds() {
    let redis = RedisServer::start();
    let mut spans = record_spans(async || {
        let guard = redis
            .settings_with_denial_cache("tracing")
            .deadline(TEST_TIMEOUT)
            .denial_cache_ttl(TEST_TIMEOUT);
        let guard = guard.build().unwrap();
        for _ in 0..4 {
            guard.check(&policy(), &Key::from("ann")).await.unwrap();
        }
    });
    let is_timed: Vec<_> =
        spans.iter_mut().map(|span| take_store_seconds(span).is_some()).collect();
    assert_eq!(is_timed, [true, true, true, false]);
    assert_eq!(spans[2..], ["store", "cached_denial"].map(|mode| decided("denied", mode, "0")));
}

#[test]
fn span_is_exited_while_its_check_waits() {
    let redis = RedisServer::start();
    let recorder = SpanRecorder::default();
    let spans = recorder.record_spans(async || {
        let (guard, key, policy) = (redis.guard("tracing"), Key::from("ann"), policy());
        guard.check(&policy, &key).await.unwrap();
        redis.freeze();
        let mut check = pin!(guard.check(&policy, &key));
        assert!(poll!(check.as_mut()).is_pending());
        assert!(recorder.entered.lock().unwrap().is_empty());
        redis.thaw();
        check.await.unwrap();
    });
    assert_eq!(spans.len(), 2);
}

#[test]
fn disabled_subscriber_receives_no_spans() {
    let recorder = SpanRecorder { is_disabled: true, ..SpanRecorder::default() };
    let spans = recorder.record_spans(async || {
        let guard = RateGuard::in_memory();
        let check = guard.check(&policy(), &Key::from("ann")).now_or_never();
        assert!(check.unwrap().unwrap().is_allowed());
        let _ = guard.request(&policy(), &Key::from("ann")).reserve().await.unwrap();
    });
    assert!(spans.is_empty());
    assert_eq!(recorder.unwanted.load(SeqCst), 0);
}
