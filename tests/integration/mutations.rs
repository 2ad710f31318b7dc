//! Mistakes that could be in the script, and that the tests would find: each is made on purpose here, and one of the
//! tests that the script has to pass fails.

use std::time::Duration;

use rateguard::{
    Key, Quota,
    store::{Bucket, Charge, Operation},
};

use crate::{
    support::{
        lua::{SOURCE, Script, with},
        redis_server::RedisServer,
    },
    traces::difference,
};

/// That the traces find this mistake.
#[track_caller]
fn found_by_traces(what: &str, by: &str) {
    let source = with(SOURCE, what, by);
    // Or it would fail for nothing.
    let server = RedisServer::start();
    let load = redis::cmd("SCRIPT").arg("LOAD").arg(&source).query::<String>(&mut server.client());
    load.expect("it is Lua");
    assert!(difference(&source).is_some(), "nobody notices it");
}

/// That the lifetimes of keys are wrong with this mistake.
#[track_caller]
fn found_by_lifetimes(what: &str, by: &str) {
    let wrong = wrong_lifetime(&with(SOURCE, what, by));
    assert!(wrong.is_some(), "nobody notices it");
}

/// That a reset is forgotten too soon with this mistake.
#[track_caller]
fn found_by_reset(what: &str, by: &str) {
    assert_eq!(remembers_its_reset(SOURCE), Some(true));
    assert_eq!(remembers_its_reset(&with(SOURCE, what, by)), Some(false));
}

/// Whether a bucket remembers its reset for as long as a refund of before might come.
fn remembers_its_reset(source: &str) -> Option<bool> {
    let server = RedisServer::start();
    let (mut client, mut ttl) = (server.client(), server.client());
    let (key, quota) = (Key::global(), "4/hour token_bucket".parse().unwrap());
    let bucket = Bucket::new("reset", 0, &key);
    let mut script = Script::new(&mut client, source, "reset".to_owned());
    for (operation, cost) in [(Operation::Check, 4), (Operation::Reset, 1), (Operation::Check, 1)] {
        script.call(operation, &[Charge::new(bucket, quota, cost)], None).ok()?;
    }
    let lives: i64 = redis::cmd("PTTL").arg(bucket.storage_key("reset")).query(&mut ttl).unwrap();
    // The four are owed for an hour, and the one for a quarter of it.
    Some(lives > 3_500_000)
}

const QUOTAS: [&str; 4] =
    ["4/hour", "4/hour sliding_window_counter", "4/hour fixed_window", "4/hour token_bucket"];

/// A key that does not live for as long as what it counts and about a second longer, after any operation.
fn wrong_lifetime(source: &str) -> Option<String> {
    let server = RedisServer::start();
    let mut client = server.client();
    let mut ttl = server.client();
    let key = Key::global();
    let mut case = 0;
    for (before, after) in QUOTAS.iter().flat_map(|one| QUOTAS.map(|other| (*one, other))) {
        for operation in [Operation::Check, Operation::Charge, Operation::Refund] {
            case += 1;
            let bucket = Bucket::new("lives", 0, &key);
            let prefix = format!("case-{case}");
            let mut script = Script::new(&mut client, source, prefix.clone());
            let [before, after]: [Quota; 2] = [before, after].map(|it| it.parse().unwrap());
            // A shorter window first: the key must come to live longer.
            let short = Quota::new(4, Duration::from_secs(60)).unwrap();
            let short = short.with_algorithm(before.algorithm()).unwrap();
            let mut taken = Charge::new(bucket, short, 2);
            let verdict = script.call(Operation::Check, &[taken], None).ok()?;
            taken.receipt = verdict.receipts().next().unwrap();
            taken.cost = 1;
            let mut next = Charge::new(bucket, after, 3);
            let (asked, longest) = match operation {
                // Denied, and a change of the quota.
                Operation::Check => (next, 7_201_000),
                Operation::Charge => {
                    next.cost = 1;
                    (next, 7_201_000)
                }
                _ => (taken, 121_000),
            };
            script.call(operation, &[asked], None).ok()?;
            let name = bucket.storage_key(&prefix);
            let lives: i64 = redis::cmd("PTTL").arg(&name).query(&mut ttl).unwrap();
            // At least until what was taken counts no longer: of a bucket, a token each quarter of an hour or minute.
            let shortest = match (operation, asked.quota.algorithm()) {
                (Operation::Refund, rateguard::Algorithm::TokenBucket) => 14_000,
                (Operation::Refund, _) => 30_000,
                (_, rateguard::Algorithm::TokenBucket) => 30 * 60_000 - 61_000,
                _ => 3_600_000 - 61_000,
            };
            if !(shortest..=longest).contains(&lives) {
                return Some(format!("{operation:?} of {after} after {before}: {lives} ms"));
            }
        }
    }
    None
}

#[test]
fn keys_live_as_long_as_what_they_count_after_every_change() {
    assert_eq!(wrong_lifetime(SOURCE), None);
}

macro_rules! mistakes {
    ($($name:ident: $found_by:ident($what:expr, $by:expr);)*) => {$(
        #[test]
        fn $name() {
            $found_by($what, $by);
        }
    )*};
}

mistakes! {
    // What is common to all.
    all_or_nothing_that_takes_some:
        found_by_traces("local adds = admitted and charge.cost > 0", "local adds = until_room(charge) == 0 and charge.cost > 0");
    only_the_last_quota_decides:
        found_by_traces("admitted = charge.wait == 0 and admitted", "admitted = charge.wait == 0");
    a_cost_above_the_capacity_waits:
        found_by_traces("if charge.cost > charge.capacity then", "if charge.cost > charge.capacity + 1 then");
    a_cost_of_the_capacity_is_too_much:
        found_by_traces("if charge.cost > charge.capacity then", "if charge.cost >= charge.capacity then");
    a_peek_that_takes:
        found_by_traces("if operation == 'check' or operation == 'charge' then", "if operation ~= 'refund' then");
    a_reset_that_forgets_nothing:
        found_by_traces("if operation == 'reset' then", "if operation == 'never' then");
    a_cost_that_is_ignored:
        found_by_traces("steps.add(state, charge.cost)", "steps.add(state, 1)");
    a_change_of_algorithm_that_is_a_refill:
        found_by_lifetimes("steps.save(state)\n      end", "end");
    an_expiry_that_is_lost:
        found_by_lifetimes("redis.call('PEXPIRE', key,", "local _ = (");
    an_expiry_that_is_too_short:
        found_by_lifetimes("math.ceil(micros / 1000)", "math.ceil(micros / 1000000)");

    // sliding_window
    sliding_window_units_that_are_not_unique:
        found_by_traces("unit == 1 and name or name .. ':' .. unit", "name");
    sliding_window_calls_that_are_not_unique:
        found_by_traces("each_thousand(call, state.added,", "each_thousand('call', state.added,");
    sliding_window_that_counts_for_a_tick_longer:
        found_by_traces("local live_from = '(' .. whole(now - window)", "local live_from = whole(now - window)");
    sliding_window_that_forgets_what_counts:
        found_by_traces("'-inf', whole(now - window))", "'-inf', whole(now - window + 1))");
    sliding_window_that_waits_for_one_too_few:
        found_by_traces("'LIMIT', leaving - 1, 1", "'LIMIT', math.max(0, leaving - 2), 1");
    sliding_window_with_one_too_many:
        found_by_traces("if leaving <= 0 then", "if leaving <= 1 then");
    sliding_window_that_keeps_the_future:
        found_by_traces("if newest > now then", "if newest < 0 then");
    sliding_window_that_gives_nothing_back:
        found_by_traces("try('ZREM', key, unpack(names))", "");
    sliding_window_without_an_expiry:
        found_by_lifetimes("whole(now - window))\n    expire_after(key, window)", "whole(now - window))");
    sliding_window_that_loses_a_lengthened_key:
        found_by_lifetimes("if state.newest > 0 and redis.call('PTTL', key) * 1000 <", "if state.newest > 0 and redis.call('PTTL', key) * 1000 >");

    // sliding_window_counter
    counter_that_is_a_tick_ahead:
        found_by_traces("math.ceil(state.previous * (state.window - elapsed) / state.window)", "math.ceil(state.previous * (state.window - elapsed - 1) / state.window)");
    counter_that_forgets_the_window_before:
        found_by_traces("state.previous, state.current = state.current, 0", "state.previous, state.current = 0, 0");
    counter_that_remembers_too_long:
        found_by_traces("elseif state.start < start then\n      state.previous", "elseif state.start > start then\n      state.previous");
    counter_that_waits_too_long:
        found_by_traces("while elapsed > state.elapsed + 1 and weighted(state, elapsed - 1) <= most do", "elapsed = math.min(elapsed + 1, state.window)\n    while false do");
    counter_that_gives_back_to_the_wrong_window:
        found_by_traces("'current', math.max(0, current - units)", "'current', current");
    counter_that_gives_back_what_a_reset_forgot:
        found_by_traces("or taken_at <= numbers[5] then", "then");
    counter_that_lives_too_short:
        found_by_lifetimes("expire_after(key, 2 * state.window - state.elapsed)", "expire_after(key, state.window / 8)");

    // fixed_window
    fixed_window_that_lasts_a_tick_longer:
        found_by_traces("if state.start + window <= now then", "if state.start + window < now then");
    fixed_window_with_one_too_many:
        found_by_traces("if capacity - state.count >= units then", "if capacity - state.count >= units - 1 then");
    fixed_window_that_never_begins_anew:
        found_by_traces("    if state.count == 0 then\n      state.start = now\n    end\n", "");
    fixed_window_that_gives_back_what_is_over:
        found_by_traces("and numbers[2] > 0 and taken_at >= numbers[1] then", "and numbers[2] > 0 then");
    fixed_window_without_an_expiry:
        found_by_lifetimes("'count', state.count)\n    expire_after(key, state.start + window - now)", "'count', state.count)");

    // token_bucket
    bucket_with_one_too_many:
        found_by_traces("local most = math.max(0, capacity - tokens) * units", "local most = math.max(0, capacity - tokens + 1) * units");
    bucket_that_is_refilled_twice_as_fast:
        found_by_traces("(now - state.at) * state.refill)", "(now - state.at) * state.refill * 2)");
    bucket_that_waits_too_short:
        found_by_traces("return math.ceil(math.max(0, state.debt - most) / refill)", "return math.floor(math.max(0, state.debt - most) / refill)");
    bucket_that_gives_back_what_came_back_by_itself:
        found_by_traces("math.max(0, tokens * units - come_back)", "tokens * units");
    bucket_that_gives_back_too_little:
        found_by_traces("math.max(0, tokens * units - come_back)", "math.max(0, units - come_back)");
    bucket_that_gives_back_what_a_reset_forgot:
        found_by_traces("or taken_at <= state.reset_at then", "then");
    bucket_that_forgets_its_reset_too_soon:
        found_by_reset("expire_after(key, math.max(state.debt / refill, forgotten))", "expire_after(key, state.debt / refill)");
    bucket_without_an_expiry:
        found_by_lifetimes("expire_after(key, math.max(state.debt / refill, forgotten))", "");
}
