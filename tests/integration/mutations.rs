//! Mistakes that could be in the script, and that the tests would find: each is made on purpose here, and one of the
//! tests that the script has to pass fails.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use rateguard::{
    Key, Quota,
    store::{Bucket, Charge, Operation},
};

use crate::{
    batches, changes,
    support::{
        lua::{SOURCE, Script, with},
        redis_server::RedisServer,
    },
    traces::{Logs, difference},
};

/// That the traces find this mistake.
#[track_caller]
fn found_by_traces(what: &str, by: &str) {
    found_with(Logs::Packed, what, by);
}

/// That the traces find it if the logs are sorted sets.
#[track_caller]
fn found_in_sorted_sets(what: &str, by: &str) {
    found_with(Logs::Sorted, what, by);
}

#[track_caller]
fn found_with(logs: Logs, what: &str, by: &str) {
    let source = with(SOURCE, what, by);
    // Or it would fail for nothing.
    let server = RedisServer::start();
    let load = redis::cmd("SCRIPT").arg("LOAD").arg(&source).query::<String>(&mut server.client());
    load.expect("it is Lua");
    assert!(difference(&source, logs).is_some(), "nobody notices it");
}

/// That changes of algorithm and limit find it.
#[track_caller]
fn found_by_changes(what: &str, by: &str) {
    assert!(changes::difference(&with(SOURCE, what, by)).is_some(), "nobody notices it");
}

/// That batches find it, whichever form the logs have.
#[track_caller]
fn found_in_batches(what: &str, by: &str) {
    let source = with(SOURCE, what, by);
    let finds = |logs| {
        let difference = || batches::difference(&source, logs, 1_000);
        // A script that cannot go on is a difference as well.
        catch_unwind(AssertUnwindSafe(difference)).map_or(true, |found| found.is_some())
    };
    assert!(finds(Logs::Packed) || finds(Logs::Sorted), "nobody notices it");
}

/// That the lifetimes of keys are wrong with this mistake.
#[track_caller]
fn found_by_lifetimes(what: &str, by: &str) {
    let source = with(SOURCE, what, by);
    let wrong =
        wrong_lifetime(&source, Logs::Packed).or_else(|| wrong_lifetime(&source, Logs::Sorted));
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
fn wrong_lifetime(source: &str, logs: Logs) -> Option<String> {
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
            if logs == Logs::Sorted {
                script = script.with_sorted_sets();
            }
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
    for logs in [Logs::Packed, Logs::Sorted] {
        assert_eq!(wrong_lifetime(SOURCE, logs), None);
    }
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
        found_by_traces("if is_admitted and part.cost > 0 and not", "if (is_admitted or part.quota.capacity - part.quota.operations.used(bucket) >= part.cost) and part.cost > 0 and not");
    only_the_last_quota_decides:
        found_by_traces("      is_admitted = false\n    end", "      is_admitted = false\n    else\n      is_admitted = true\n    end");
    a_cost_above_the_capacity_waits:
        found_by_traces("exceeds_max_cost = cost > quota.capacity or", "exceeds_max_cost = cost > quota.capacity + 1 or");
    a_cost_of_the_capacity_is_too_much:
        found_by_traces("exceeds_max_cost = cost > quota.capacity or", "exceeds_max_cost = cost >= quota.capacity or");
    a_peek_that_takes:
        found_by_traces("if operation == 'check' or operation == 'charge' then", "if operation ~= 'refund' and operation ~= 'reset' then");
    a_reset_that_forgets_nothing:
        found_by_traces("elseif operation == 'reset' then", "elseif operation == 'never' then");
    a_cost_that_is_ignored:
        found_by_traces("add(bucket, part.cost, id)", "add(bucket, min(part.cost, 1), id)");
    a_change_of_algorithm_that_is_a_refill:
        found_by_lifetimes("      if algorithm_operations.used(bucket) > 0 then\n        algorithm_operations.save(bucket)\n      end\n", "");
    a_change_to_a_log_with_a_lower_limit_that_is_a_refill:
        found_by_changes("min(used, max(quota.capacity, MAX_LOG_COST))", "min(used, quota.capacity)");
    a_change_to_a_counter_with_a_lower_limit_that_is_a_refill:
        found_by_changes("MAX_LOG_COST)) or used, CONVERSION)", "MAX_LOG_COST)) or min(used, quota.capacity), CONVERSION)");
    an_expiry_that_is_lost:
        found_by_lifetimes("call('PEXPIRE', KEYS[index], millis)", "");
    an_expiry_that_is_too_short:
        found_by_lifetimes("math.ceil(micros / 1000)", "math.ceil(micros / 1000000)");

    // Batches.
    batch_that_gives_back_with_the_receipt_of_another_request:
        found_in_batches("receipt = receipt + 2 * #shape.parts", "receipt = receipt");
    batch_that_keeps_the_quota_of_the_first_request:
        found_in_batches("if bucket.quota == quota then", "if true then");
    batch_that_gives_back_before_it_has_saved:
        found_in_batches("  save(index)\n  if operation == 'refund'", "  if operation == 'refund'");
    batch_that_forgets_what_the_request_before_took:
        found_in_batches("    additions = {}\n    bucket.additions = additions", "    additions = {}");
    batch_whose_requests_have_one_id:
        found_in_batches("  id = id + 1\n", "");
    batch_that_waits_for_the_unit_of_another_request:
        found_in_batches("if bucket.leaving ~= leaving then", "if not bucket.leaving then");

    // sliding_window
    log_that_counts_for_a_tick_longer:
        found_by_traces("came_after(bucket, over, 1, counted)", "came_after(bucket, over - 1, 1, counted)");
    log_that_counts_what_is_over:
        found_by_traces("if newest > over then", "if true then");
    log_that_leaps_over_what_counts:
        found_by_traces("if time_of(bucket, middle) > time then", "if time_of(bucket, middle) >= time then");
    log_that_takes_the_oldest_for_live:
        found_by_traces("if most > least and time_of(bucket, most) > time then", "if most > least then");
    log_that_waits_for_one_too_few:
        found_by_traces("bucket.stored - leaving + 1) + bucket.quota.window - now", "math.min(bucket.stored, bucket.stored - leaving + 2)) + bucket.quota.window - now");
    log_with_one_too_many:
        found_by_traces("    if leaving <= 0 then\n      return 0\n    end\n    if leaving > bucket.stored then\n      -- The last of them is added now.\n      return bucket.quota.window\n    end\n    return time_of", "    if leaving <= 1 then\n      return 0\n    end\n    if leaving > bucket.stored then\n      return bucket.quota.window\n    end\n    return time_of");
    log_that_keeps_the_future:
        found_by_traces("if newest > now then\n      come_now", "if newest < 0 then\n      come_now");
    log_that_gives_nothing_back:
        found_by_traces("    if back == 0 then\n      return", "    if true then\n      return");
    log_that_miscounts_what_it_gave_back:
        found_by_traces("pack(FORMAT, newest, live - back, 0)", "pack(FORMAT, newest, math.max(1, live - back - 1), 0)");
    log_that_miscounts_what_it_adds:
        found_by_traces("string.rep(pack(FORMAT, now, 0, 0), added - 1) .. new", "new");
    log_that_cuts_off_what_counts:
        found_by_traces("cut(bucket.tail, #bucket.tail - ENTRY * stored + 1)", "cut(bucket.tail, #bucket.tail - ENTRY * math.max(0, stored - 1) + 1)");
    long_log_that_cuts_off_what_counts:
        found_by_traces("write(bucket, entries(bucket, live, 1)", "write(bucket, entries(bucket, live - 1, 1)");
    long_log_that_reads_void_slots_as_entries:
        found_by_traces("-ENTRY * (first + void), -ENTRY * (last + void - 1) - 1", "-ENTRY * first, -ENTRY * (last - 1) - 1");
    long_log_that_appends_behind_void_slots:
        found_by_traces("if bucket.void == 0 then\n      length", "if true then\n      length");
    long_log_that_loses_count_of_void_slots:
        found_by_traces("    call('SETRANGE', key, length - ENTRY, pack(FORMAT, 0, bucket.void + back, 0))\n", "");
    long_log_that_miscounts_what_it_gave_back:
        found_by_traces("moved .. pack(FORMAT, newest, live - back, class)", "moved .. pack(FORMAT, newest, math.max(1, live - back - 1), class)");
    long_log_that_gives_back_the_wrong_units:
        found_by_traces("length - ENTRY * (slots + bucket.void), moved", "length - ENTRY * (slots - back + bucket.void), moved");
    log_that_loses_a_lengthened_key:
        found_by_lifetimes("if call('PTTL', bucket.key) * 1000 < lasts then", "if call('PTTL', bucket.key) * 1000 > lasts then");

    // sliding_window_sorted_set
    sorted_units_that_are_not_unique:
        found_in_sorted_sets("unit == 1 and name or name .. ':' .. unit", "name");
    sorted_calls_that_are_not_unique:
        found_in_sorted_sets("each_thousand(request, bucket.added[place + 1],", "each_thousand('name', bucket.added[place + 1],");
    sorted_set_that_counts_for_a_tick_longer:
        found_in_sorted_sets("bucket.live_from = '(' .. whole(now - bucket.quota.window)", "bucket.live_from = whole(now - bucket.quota.window)");
    sorted_set_that_forgets_what_counts:
        found_in_sorted_sets("'-inf', whole(now - window))", "'-inf', whole(now - window + 1))");
    sorted_set_that_waits_for_one_too_few:
        found_in_sorted_sets("'LIMIT', leaving - 1, 1", "'LIMIT', math.max(0, leaving - 2), 1");
    sorted_set_that_keeps_the_future:
        found_in_sorted_sets("if bucket.newest > now then\n      for", "if bucket.newest < 0 then\n      for");
    sorted_set_that_gives_nothing_back:
        found_in_sorted_sets("call('ZREM', bucket.key, unpack(names))", "");
    sorted_set_without_an_expiry:
        found_by_lifetimes("whole(now - window))\n    expire_after(key, window)", "whole(now - window))");
    sorted_set_that_loses_a_lengthened_key:
        found_by_lifetimes("if bucket.newest > 0 and call('PTTL', bucket.key) * 1000 <", "if bucket.newest > 0 and call('PTTL', bucket.key) * 1000 >");

    // sliding_window_counter
    counter_that_is_a_tick_ahead:
        found_by_traces("math.ceil(state.previous * (state.window - elapsed) / state.window)", "math.ceil(state.previous * (state.window - elapsed - 1) / state.window)");
    counter_that_forgets_the_window_before:
        found_by_traces("bucket.previous, bucket.current = bucket.current, 0", "bucket.previous, bucket.current = 0, 0");
    counter_that_remembers_too_long:
        found_by_traces("elseif bucket.start < start then\n      bucket.previous", "elseif bucket.start > start then\n      bucket.previous");
    counter_that_waits_too_long:
        found_by_traces("while elapsed > state.elapsed + 1 and weighted(state, elapsed - 1) <= most do", "elapsed = math.min(elapsed + 1, state.window)\n    while false do");
    counter_that_gives_back_to_the_wrong_window:
        found_by_traces("'current', math.max(0, current - units)", "'current', current");
    counter_that_gives_back_what_a_reset_forgot:
        found_by_traces("or taken_at <= numbers[5] then", "then");
    counter_that_lives_too_short:
        found_by_lifetimes("expire_after(bucket.key, 2 * bucket.window - bucket.elapsed)", "expire_after(bucket.key, bucket.window / 8)");

    // fixed_window
    fixed_window_that_lasts_a_tick_longer:
        found_by_traces("if bucket.start + bucket.quota.window <= now then", "if bucket.start + bucket.quota.window < now then");
    fixed_window_with_one_too_many:
        found_by_traces("if bucket.quota.capacity - bucket.count >= units then", "if bucket.quota.capacity - bucket.count >= units - 1 then");
    fixed_window_that_never_begins_anew:
        found_by_traces("    if bucket.count == 0 then\n      bucket.start = now\n    end\n", "");
    fixed_window_that_gives_back_what_is_over:
        found_by_traces("and numbers[2] > 0 and taken_at >= numbers[1] then", "and numbers[2] > 0 then");
    fixed_window_without_an_expiry:
        found_by_lifetimes("'count', bucket.count)\n    expire_after(bucket.key, bucket.start + bucket.quota.window - now)", "'count', bucket.count)");

    // token_bucket
    bucket_with_one_too_many:
        found_by_traces("local most = math.max(0, quota.capacity - tokens) * quota.units", "local most = math.max(0, quota.capacity - tokens + 1) * quota.units");
    bucket_that_is_refilled_twice_as_fast:
        found_by_traces("(now - bucket.at) * bucket.refill)", "(now - bucket.at) * bucket.refill * 2)");
    bucket_that_waits_too_short:
        found_by_traces("return math.ceil(math.max(0, bucket.debt - most) / quota.refill)", "return math.floor(math.max(0, bucket.debt - most) / quota.refill)");
    bucket_that_gives_back_what_came_back_by_itself:
        found_by_traces("math.max(0, tokens * bucket.units - come_back)", "tokens * bucket.units");
    bucket_that_gives_back_too_little:
        found_by_traces("math.max(0, tokens * bucket.units - come_back)", "math.max(0, bucket.units - come_back)");
    bucket_that_gives_back_what_a_reset_forgot:
        found_by_traces("or taken_at <= bucket.reset_at then", "then");
    bucket_that_forgets_its_reset_too_soon:
        found_by_reset("expire_after(bucket.key, math.max(bucket.debt / refill, forgotten))", "expire_after(bucket.key, bucket.debt / refill)");
    bucket_without_an_expiry:
        found_by_lifetimes("expire_after(bucket.key, math.max(bucket.debt / refill, forgotten))", "");
}
