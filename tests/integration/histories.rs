//! Several processes do all kinds of things on one Redis at once, and what they are told is what the model would tell one
//! who does the same alone: nothing is admitted beyond a limit, and nothing denied that has room.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use rateguard::{
    Algorithm,
    store::{Level, Operation},
};
use rateguard_tests::history::{Call, Event, LIMITS, Part, ROUGH_KEY};

use crate::{
    history_checker::{Found, Lie, bucket, promise, replay, rule},
    support::{process::Historian, redis_server::RedisServer},
    traces::seed,
};

const PROCESSES: u64 = 8;
const TASKS: usize = 2;
const OPERATIONS: usize = 500;

/// What all processes have done, in the order of Redis's clock.
struct Recorded {
    history: Vec<Event>,
    /// The keys that were left in Redis, and for how many milliseconds each lives on.
    left: Vec<(String, i64)>,
    seed: u64,
}

/// Made once for all tests, which only read it.
fn recorded() -> &'static Recorded {
    static RECORDED: OnceLock<Recorded> = OnceLock::new();
    RECORDED.get_or_init(|| {
        let seed = seed();
        let server = RedisServer::start();
        let start = |process| {
            let seed = seed.wrapping_add(process * TASKS as u64);
            Historian::start(&server.url(), "histories", seed, TASKS, OPERATIONS)
        };
        let mut historians: Vec<Historian> = (0..PROCESSES).map(start).collect();
        historians.iter_mut().for_each(Historian::go);
        let mut history: Vec<Event> = historians.into_iter().flat_map(Historian::history).collect();
        // A batch decides its requests at one time, in the order of their numbers.
        history.sort_by_key(|event| (event.at, event.call.process, event.call.number));
        let mut client = server.client();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
        let lives = |key: &String| redis::cmd("PTTL").arg(key).query(&mut client).unwrap();
        let left = keys.iter().map(lives).collect::<Vec<i64>>();
        Recorded { history, left: keys.into_iter().zip(left).collect(), seed }
    })
}

impl Recorded {
    #[track_caller]
    fn hold_true<T>(&self, checked: Result<T, Found>) -> T {
        checked.unwrap_or_else(|Found { lie, place }| panic!("{lie:?}: {place}\n{}", self.again()))
    }

    /// Timing is never the same, so it is only much the same that happens again.
    fn again(&self) -> String {
        format!("to ask for the same again: RATEGUARD_SEED={}", self.seed)
    }

    /// Some places of such events, all over the first part of the history.
    #[track_caller]
    fn places(&self, wanted: impl Fn(usize, &Event) -> bool) -> Vec<usize> {
        let is_alone = |place: usize| {
            let at = |place: usize| self.history[place].at;
            at(place - 1) < at(place) && at(place) < at(place + 1)
        };
        let all: Vec<usize> = (1..self.history.len() / 3)
            .filter(|place| is_alone(*place) && wanted(*place, &self.history[*place]))
            .collect();
        assert!(all.len() >= 10, "only {}; {}", all.len(), self.again());
        all.iter().copied().step_by(all.len() / 10).collect()
    }

    /// That this is found if one event at this place is told otherwise, and nothing before it.
    #[track_caller]
    fn find(&self, lie: Lie, place: usize, tell: impl FnOnce(&mut Event)) {
        let mut lied = self.history[..=place].to_vec();
        tell(&mut lied[place]);
        let found = replay(&lied).expect_err("it is not noticed");
        assert_eq!(found.lie, lie, "{}\n{}", found.place, self.again());
        assert!(found.place.starts_with(&lied[place].to_string()), "{}", found.place);
    }
}

#[test]
fn eight_processes_are_told_what_one_model_would_tell_them() {
    let recorded = recorded();
    assert_eq!(recorded.history.len(), PROCESSES as usize * TASKS * OPERATIONS);
    recorded.hold_true(replay(&recorded.history));
}

#[test]
fn no_window_of_a_history_has_more_than_its_limit() {
    let recorded = recorded();
    let looked_at = recorded.hold_true(promise(&recorded.history));
    assert!(looked_at > 300, "only {looked_at}; {}", recorded.again());
}

#[test]
fn a_history_leaves_no_key_without_an_expiry() {
    let recorded = recorded();
    assert!(recorded.left.len() >= 2, "{:?}", recorded.left);
    for (key, lives) in &recorded.left {
        // -1 is no expiry; -2 is gone since.
        assert_ne!(*lives, -1, "{key}; {}", recorded.again());
    }
}

#[test]
fn a_history_has_enough_of_everything() {
    let recorded = recorded();
    let outcomes = outcomes(&recorded.history);
    for (outcome, enough) in [
        ("admitted", 300),
        ("admitted without a cost", 50),
        ("admitted after a denial", 30),
        ("denied", 200),
        ("denied for ever", 50),
        ("peeked at room", 50),
        ("peeked at none", 50),
        ("charged", 100),
        ("all given back", 100),
        ("some given back", 50),
        ("nothing given back", 20),
        ("reset", 100),
        ("turns of processes", 500),
    ] {
        let count = outcomes.get(outcome).copied().unwrap_or(0);
        assert!(count >= enough, "{outcome}: {count} of {outcomes:#?}\n{}", recorded.again());
    }
    for (limit, (name, _)) in LIMITS.iter().enumerate() {
        let is_of_it = |event: &&Event| {
            let takes = event.operation == Operation::Check && event.is_allowed;
            takes && event.parts.iter().any(|part| part.limit == limit && part.cost > 0)
        };
        let count = recorded.history.iter().filter(is_of_it).count();
        assert!(count >= 30, "{name}: {count} admissions; {}", recorded.again());
    }
}

/// How often what happened.
fn outcomes(history: &[Event]) -> BTreeMap<&'static str, usize> {
    let mut outcomes = BTreeMap::new();
    let mut denied = BTreeMap::new();
    let mut taken: BTreeMap<Call, u32> = BTreeMap::new();
    for event in history {
        let cost: u32 = event.parts.iter().map(|part| part.cost).sum();
        let asked: Vec<_> = event.parts.iter().map(|part| (bucket(part), part.cost)).collect();
        let outcome = match event.operation {
            Operation::Check if event.is_allowed => {
                taken.insert(event.call, cost);
                match denied.insert(asked, false) {
                    Some(true) => "admitted after a denial",
                    _ if cost == 0 => "admitted without a cost",
                    _ => "admitted",
                }
            }
            Operation::Check => {
                denied.insert(asked, true);
                let is_hopeless = event.parts.iter().any(|part| part.level.retry_after.is_none());
                if is_hopeless { "denied for ever" } else { "denied" }
            }
            Operation::Peek if event.is_allowed => "peeked at room",
            Operation::Peek => "peeked at none",
            Operation::Charge => "charged",
            Operation::Refund if cost == 0 => "nothing given back",
            Operation::Refund if event.taken_by.is_some_and(|call| taken[&call] == cost) => {
                "all given back"
            }
            Operation::Refund => "some given back",
            Operation::Reset => "reset",
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    let turns = history.windows(2).filter(|two| two[0].call.process != two[1].call.process);
    outcomes.insert("turns of processes", turns.count());
    outcomes
}

#[test]
fn a_denial_that_is_told_as_an_admission_is_found() {
    let recorded = recorded();
    let is_denial = |_, event: &Event| event.operation == Operation::Check && !event.is_allowed;
    for place in recorded.places(is_denial) {
        recorded.find(Lie::OverAdmission, place, |event| event.is_allowed = true);
    }
}

#[test]
fn an_admission_that_is_told_as_a_denial_is_found() {
    let recorded = recorded();
    let is_admission = |_, event: &Event| event.operation == Operation::Check && event.is_allowed;
    for place in recorded.places(is_admission) {
        recorded.find(Lie::FalseDenial, place, |event| event.is_allowed = false);
    }
}

#[test]
fn a_level_that_is_told_a_little_otherwise_is_found() {
    let recorded = recorded();
    for (which, place) in recorded.places(|_, _| true).into_iter().enumerate() {
        recorded.find(Lie::Level, place, |event| {
            let level = &mut event.parts[0].level;
            let micro = Duration::from_micros(1);
            match which % 3 {
                0 => level.remaining += 1,
                1 => level.reset_after += micro,
                _ => level.retry_after = Some(level.retry_after.unwrap_or_default() + micro),
            }
        });
    }
}

#[test]
fn an_admission_that_is_left_out_is_found() {
    let recorded = recorded();
    let history = &recorded.history;
    // Of a log to which the next operation on it comes while it still counts.
    let is_seen = |place: usize, part: &Part| {
        let next = history[place + 1..]
            .iter()
            .find(|event| event.parts.iter().any(|it| bucket(it) == bucket(part)));
        part.cost > 0
            && part.key != ROUGH_KEY
            && rule(part).algorithm == Algorithm::SlidingWindow
            && next.is_some_and(|next| next.at < history[place].at + rule(part).window)
    };
    let is_seen = |place, event: &Event| {
        event.operation == Operation::Check
            && event.is_allowed
            && event.parts.iter().any(|part| is_seen(place, part))
    };
    for place in recorded.places(is_seen) {
        let mut lied = history.clone();
        lied.remove(place);
        assert!(replay(&lied).is_err(), "it is not noticed: {}", history[place]);
    }
}

#[test]
fn an_admission_beyond_the_limit_is_found_without_the_model() {
    let recorded = recorded();
    let is_full = |part: &Part| {
        let has_room = part.level.retry_after == Some(Duration::ZERO);
        part.key != ROUGH_KEY && rule(part).algorithm == Algorithm::SlidingWindow && !has_room
    };
    let is_denial = |_, event: &Event| {
        event.operation == Operation::Check && event.parts.iter().any(is_full) && !event.is_allowed
    };
    for place in recorded.places(is_denial) {
        let mut lied = recorded.history[..=place].to_vec();
        lied[place].is_allowed = true;
        let found = promise(&lied).expect_err("it is not noticed");
        assert_eq!(found.lie, Lie::OverAdmission);
    }
}

#[test]
fn what_was_not_taken_cannot_be_given_back() {
    let recorded = recorded();
    let takes_back = |_, event: &Event| event.operation == Operation::Refund;
    for place in recorded.places(takes_back) {
        recorded.find(Lie::Receipt, place, |event| event.parts[0].cost += 7);
        recorded.find(Lie::Receipt, place, |event| event.taken_by = Some(event.call));
    }
}

#[test]
fn two_checks_of_one_microsecond_were_done_in_either_order_but_not_both_first() {
    let (name, limit) = ("day", LIMITS.len() - 1);
    assert_eq!(LIMITS[limit].0, name);
    let check = |number, remaining| {
        let reset_after = Duration::from_secs(86_400);
        let level = Level { remaining, reset_after, retry_after: Some(Duration::ZERO) };
        Event {
            at: 1_800_000_000_000_000,
            call: Call { process: number, number },
            operation: Operation::Check,
            taken_by: None,
            is_allowed: true,
            parts: vec![Part { limit, place: 0, key: 0, cost: 1, level }],
        }
    };
    assert!(replay(&[check(1, 29), check(2, 28), check(3, 27)]).is_ok());
    assert!(replay(&[check(1, 27), check(2, 28), check(3, 29)]).is_ok());
    let found = replay(&[check(1, 29), check(2, 29)]).expect_err("one of them is second");
    assert_eq!(found.lie, Lie::Level);
}
