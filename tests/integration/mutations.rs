//! Mutation tests of the Lua script. Each test injects a defect into the script, and a property test must detect the
//! defect.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use actix_rateguard::{
    Algorithm, Key, Quota,
    store::{Bucket, BucketRequest, Operation},
};

use crate::{
    batches, calendar, leases, permits, quota_changes,
    support::{
        lua::{SOURCE, Script, replace_once, with_test_clock},
        redis_server::RedisServer,
    },
    trace_runner::START,
    traces::{Logs, difference},
};

/// Asserts that a test with random traces detects this mutation.
#[track_caller]
fn detected_by_traces(old: &str, new: &str) {
    assert_detected(Logs::Packed, old, new);
}

/// Asserts that a test with random traces detects this mutation if the script stores logs as sorted sets.
#[track_caller]
fn detected_by_sorted_set_traces(old: &str, new: &str) {
    assert_detected(Logs::Sorted, old, new);
}

/// Returns the script with this mutation.
#[track_caller]
fn mutated(old: &str, new: &str) -> String {
    let source = replace_once(SOURCE, old, new);
    // Any test would detect a syntax error. Therefore the changed script must be valid.
    let server = RedisServer::start();
    let load = redis::cmd("SCRIPT").arg("LOAD").arg(&source).query::<String>(&mut server.client());
    load.expect("the mutated script is valid Lua");
    source
}

#[track_caller]
fn assert_detected(logs: Logs, old: &str, new: &str) {
    let source = mutated(old, new);
    assert!(difference(&source, logs).is_some(), "no test detects the mutation");
}

/// Asserts that a test with random changes of the algorithm and the limit detects this mutation.
#[track_caller]
fn detected_by_quota_changes(old: &str, new: &str) {
    let difference = quota_changes::difference(&replace_once(SOURCE, old, new));
    assert!(difference.is_some(), "no test detects the mutation");
}

/// Asserts that a test with random batches detects this mutation, either with packed logs or with sorted sets.
#[track_caller]
fn detected_by_batches(old: &str, new: &str) {
    let source = replace_once(SOURCE, old, new);
    let detects = |logs| {
        let difference = || batches::difference(&source, logs, 1_000);
        // An error of the script also counts as a detected difference.
        catch_unwind(AssertUnwindSafe(difference)).map_or(true, |it| it.is_some())
    };
    assert!(detects(Logs::Packed) || detects(Logs::Sorted), "no test detects the mutation");
}

/// Asserts that a test with random traces of permits detects this mutation.
#[track_caller]
fn detected_by_permit_traces(old: &str, new: &str) {
    let source = replace_once(SOURCE, old, new);
    // An error of the script also counts as a detected difference.
    let difference = || permits::traces::difference(&source);
    let found = catch_unwind(AssertUnwindSafe(difference));
    assert!(found.map_or(true, |it| it.is_some()), "no test detects the mutation");
}

/// Asserts that a test with random traces of calendar quotas detects this mutation.
#[track_caller]
fn detected_by_calendar_traces(old: &str, new: &str) {
    let source = mutated(old, new);
    // An error of the script also counts as a detected difference.
    let found = catch_unwind(AssertUnwindSafe(|| calendar::traces::difference(&source)));
    assert!(found.map_or(true, |it| it.is_some()), "no test detects the mutation");
}

/// Asserts that a key of a calendar quota gets a wrong expiry because of this mutation.
#[track_caller]
fn detected_by_calendar_lifetimes(old: &str, new: &str) {
    let found = calendar::script::wrong_lifetime(&mutated(old, new));
    assert!(found.is_some(), "no test detects the mutation");
}

/// Asserts that a test with random traces of leases detects this mutation.
#[track_caller]
fn detected_by_lease_traces(old: &str, new: &str) {
    let source = replace_once(SOURCE, old, new);
    // An error of the script also counts as a detected difference.
    let difference = || leases::script::difference(&source);
    let found = catch_unwind(AssertUnwindSafe(difference));
    assert!(found.map_or(true, |it| it.is_some()), "no test detects the mutation");
}

/// Asserts that the key of a log with leases expires too early, or that a conversion loses leased units, because of
/// this mutation.
#[track_caller]
fn detected_by_lease_conversions(old: &str, new: &str) {
    let source = replace_once(SOURCE, old, new);
    let defect = || {
        let found = leases::script::conversion_defect(&source);
        found.or_else(|| leases::script::mixed_servers_defect(&source))
    };
    let found = catch_unwind(AssertUnwindSafe(defect));
    assert!(found.map_or(true, |it| it.is_some()), "no test detects the mutation");
}

/// Asserts that a test with random traces of leases of token buckets detects this mutation.
#[track_caller]
fn detected_by_token_lease_traces(old: &str, new: &str) {
    let source = mutated(old, new);
    // An error of the script also counts as a detected difference.
    let found = catch_unwind(AssertUnwindSafe(|| leases::token_bucket::difference(&source)));
    assert!(found.map_or(true, |it| it.is_some()), "no test detects the mutation");
}

/// Asserts that a record of a token bucket, its expiry, the number of its leases, or a change of the algorithm is wrong
/// because of this mutation.
#[track_caller]
fn detected_by_token_lease_cases(old: &str, new: &str) {
    let source = mutated(old, new);
    let found = catch_unwind(AssertUnwindSafe(|| leases::token_bucket_defects::defect(&source)));
    assert!(found.map_or(true, |it| it.is_some()), "no test detects the mutation");
}

/// Asserts that a key gets a wrong lifetime because of this mutation.
#[track_caller]
fn detected_by_lifetimes(old: &str, new: &str) {
    let source = replace_once(SOURCE, old, new);
    let wrong =
        wrong_lifetime(&source, Logs::Packed).or_else(|| wrong_lifetime(&source, Logs::Sorted));
    assert!(wrong.is_some(), "no test detects the mutation");
}

/// Asserts that the key of permits expires before one of its permits because of this mutation.
#[track_caller]
fn detected_by_permit_lifetimes(old: &str, new: &str) {
    assert!(permits::traces::keeps_keys(SOURCE));
    assert!(!permits::traces::keeps_keys(&replace_once(SOURCE, old, new)));
}

/// Asserts that the script deletes the time of a reset too early because of this mutation.
#[track_caller]
fn detected_by_reset_time(old: &str, new: &str) {
    assert_eq!(stores_reset_time(SOURCE), Some(true));
    assert_eq!(stores_reset_time(&replace_once(SOURCE, old, new)), Some(false));
}

/// Asserts that the key of a log expires before its units because of this mutation.
#[track_caller]
fn detected_by_extended_expiry(old: &str, new: &str) {
    assert!(!extends_expiry(&replace_once(SOURCE, old, new)), "no test detects the mutation");
}

/// Returns whether the script sets a later expiry when it adds a unit to a log much later than the previous unit.
fn extends_expiry(source: &str) -> bool {
    let server = RedisServer::start();
    let (mut client, mut other) = (server.client(), server.client());
    let key = Key::global();
    let bucket = Bucket::new("log", 0, &key);
    let name = bucket.storage_key("later");
    let mut script = Script::new(&mut client, &with_test_clock(source), "later".to_owned());
    let request = BucketRequest::new(bucket, "4/hour".parse().unwrap(), 1);
    // The script sets the expiry at most once in a fiftieth of the window, which is 72 s.
    [0, 80].into_iter().all(|seconds| {
        let now = Duration::from_micros(START) + Duration::from_secs(seconds);
        script.call(Operation::Check, &[request], Some(now)).unwrap();
        let lifetime: i64 = redis::cmd("PTTL").arg(&name).query(&mut other).unwrap();
        let _: u64 = redis::cmd("PEXPIRE").arg(&name).arg(60_000).query(&mut other).unwrap();
        lifetime > 3_600_000
    })
}

#[test]
fn log_expiry_is_extended_with_later_units() {
    assert!(extends_expiry(SOURCE));
}

/// Returns whether the buckets of all algorithms store the time of a reset for as long as a client may refund units
/// that were taken before the reset.
fn stores_reset_time(source: &str) -> Option<bool> {
    let server = RedisServer::start();
    let (mut client, mut ttl) = (server.client(), server.client());
    let key = Key::global();
    let bucket = Bucket::new("reset", 0, &key);
    let mut stores_all = true;
    for quota in quotas() {
        let prefix = format!("reset-{}", quota.algorithm());
        let mut script = Script::new(&mut client, source, prefix.clone());
        for (operation, cost) in
            [(Operation::Check, 1), (Operation::Reset, 1), (Operation::Check, 1)]
        {
            script.call(operation, &[BucketRequest::new(bucket, quota, cost)], None).ok()?;
        }
        let lifetime: i64 =
            redis::cmd("PTTL").arg(bucket.storage_key(&prefix)).query(&mut ttl).unwrap();
        // The refill fills an empty token bucket in one hour. Until then, a refund could return tokens that were taken
        // before the reset, so the key must live for one hour. The token that was taken after the reset needs only 15
        // minutes to be refilled. With the other algorithms, a unit that was taken after the reset counts for one hour
        // anyway.
        stores_all &= lifetime > 3_500_000;
    }
    Some(stores_all)
}

/// Returns one quota of 4 units per hour for each algorithm.
fn quotas() -> [Quota; Algorithm::NAMES.len()] {
    Algorithm::NAMES.map(|(algorithm, _)| {
        let quota: Quota = "4/hour".parse().unwrap();
        quota.with_algorithm(algorithm).unwrap()
    })
}

/// Returns the number of milliseconds that a key must live after an operation, so that it does not expire before its
/// units. The quota admits 4 units per minute for a refund, and 4 units per hour for the other operations.
fn min_lifetime(algorithm: Algorithm, operation: Operation) -> i64 {
    match (algorithm, operation) {
        // A token bucket refills one token in 15 seconds, or in 15 minutes.
        (Algorithm::TokenBucket, Operation::Refund) => 14_000,
        (Algorithm::TokenBucket, _) => 30 * 60_000 - 61_000,
        (
            Algorithm::SlidingWindow
            | Algorithm::SlidingWindowCounter
            | Algorithm::FixedWindow
            | Algorithm::Concurrency
            | Algorithm::Calendar,
            Operation::Refund,
        ) => 30_000,
        (
            Algorithm::SlidingWindow
            | Algorithm::SlidingWindowCounter
            | Algorithm::FixedWindow
            | Algorithm::Concurrency
            | Algorithm::Calendar,
            _,
        ) => 3_600_000 - 61_000,
    }
}

/// Finds an operation that gives a key a wrong lifetime: the key would expire long before or long after the units
/// that it counts.
fn wrong_lifetime(source: &str, logs: Logs) -> Option<String> {
    let server = RedisServer::start();
    let mut client = server.client();
    let mut ttl = server.client();
    let key = Key::global();
    let mut case = 0;
    for (before, after) in quotas().iter().flat_map(|one| quotas().map(|other| (*one, other))) {
        for operation in [Operation::Check, Operation::Debit, Operation::Refund] {
            case += 1;
            let bucket = Bucket::new("lives", 0, &key);
            let prefix = format!("case-{case}");
            let mut script = Script::new(&mut client, source, prefix.clone());
            if logs == Logs::Sorted {
                script = script.with_sorted_sets();
            }
            // The first quota has a shorter window. The second quota must therefore extend the lifetime of the key.
            let short = Quota::new(4, Duration::from_secs(60)).unwrap();
            let short = short.with_algorithm(before.algorithm()).unwrap();
            let mut taken = BucketRequest::new(bucket, short, 2);
            let verdict = script.call(Operation::Check, &[taken], None).ok()?;
            taken.receipt = verdict.receipts().next().unwrap();
            taken.cost = 1;
            let mut next = BucketRequest::new(bucket, after, 3);
            let (request, max_lifetime) = match operation {
                // This check has a different quota than the first check, and the script denies it.
                Operation::Check => (next, 7_201_000),
                Operation::Debit => {
                    next.cost = 1;
                    (next, 7_201_000)
                }
                _ => (taken, 121_000),
            };
            script.call(operation, &[request], None).ok()?;
            let name = bucket.storage_key(&prefix);
            let lifetime: i64 = redis::cmd("PTTL").arg(&name).query(&mut ttl).unwrap();
            let min_lifetime = min_lifetime(request.quota.algorithm(), operation);
            if !(min_lifetime..=max_lifetime).contains(&lifetime) {
                return Some(format!("{operation:?} of {after} after {before}: {lifetime} ms"));
            }
        }
    }
    None
}

#[test]
fn key_expiry_matches_counted_units_after_every_change() {
    for logs in [Logs::Packed, Logs::Sorted] {
        assert_eq!(wrong_lifetime(SOURCE, logs), None);
    }
}

#[test]
fn every_algorithm_has_mutations() {
    let names = Algorithm::NAMES.map(|(_, name)| name);
    for name in
        names.into_iter().chain([Algorithm::Concurrency, Algorithm::Calendar].map(Algorithm::name))
    {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../rateguard-core/src/algorithm");
        let source = fs::read_to_string(format!("{folder}/{name}.lua")).expect(name);
        assert!(MUTATED.iter().any(|text| source.contains(text)), "no mutation changes {name}.lua");
    }
}

/// Defines one test for each mutation, and a list of the texts that the mutations replace. The name of the test
/// describes the defect.
macro_rules! mutations {
    ($($name:ident: $detected_by:ident($old:expr, $new:expr);)*) => {
        const MUTATED: &[&str] = &[$($old),*];

        $(
            #[test]
            fn $name() {
                $detected_by($old, $new);
            }
        )*
    };
}

mutations! {
    // Mutations of code that all algorithms share.
    denial_counts_some_buckets:
        detected_by_traces("local units = is_admitted and part.takes or 0", "local units = (is_admitted or bucket.used <= part.max_used) and part.takes or 0");
    last_quota_alone_decides:
        detected_by_traces("      is_admitted = false\n    end", "      is_admitted = false\n    else\n      is_admitted = true\n    end");
    cost_above_capacity_gets_a_wait:
        detected_by_traces("exceeds_max_cost = cost > quota.capacity or", "exceeds_max_cost = cost > quota.capacity + 1 or");
    cost_equal_to_capacity_is_denied:
        detected_by_traces("exceeds_max_cost = cost > quota.capacity or", "exceeds_max_cost = cost >= quota.capacity or");
    limit_is_one_unit_too_high:
        detected_by_traces("part.max_used = quota.capacity - cost", "part.max_used = quota.capacity - cost + 1");
    peek_counts_units:
        detected_by_traces("takes_units = operation == 'check' or operation == 'debit' or operation == 'lease',", "takes_units = operation ~= 'refund' and operation ~= 'reset',");
    reset_has_no_effect:
        detected_by_traces("elseif operation == 'reset' then", "elseif operation == 'never' then");
    cost_above_one_is_ignored:
        detected_by_traces("takes = is_check_only and 0 or cost,", "takes = is_check_only and 0 or min(cost, 1),");
    algorithm_change_refills:
        detected_by_lifetimes("    if bucket.used > 0 then\n      algorithm.save(bucket)\n    end\n", "");
    change_to_log_with_lower_limit_refills:
        detected_by_quota_changes("min(used, max(quota.capacity, MAX_LOG_COST))", "min(used, quota.capacity)");
    change_to_counter_with_lower_limit_refills:
        detected_by_quota_changes("MAX_LOG_COST)) or used\n", "MAX_LOG_COST)) or min(used, quota.capacity)\n");
    key_has_no_expiry:
        detected_by_lifetimes("run('PEXPIRE', key, millis)", "");
    key_expiry_is_too_short:
        detected_by_lifetimes("ceil(micros / 1000) +", "ceil(micros / 1000000) +");

    // Mutations of the code for batches.
    batch_refund_uses_receipt_of_another_request:
        detected_by_batches("id + 1, receipt + shape.receipts", "id + 1, receipt");
    batch_uses_quota_of_first_request:
        detected_by_batches("if not bucket or bucket.quota ~= part.quota then", "if not bucket then");
    batch_refunds_before_saving:
        detected_by_batches("    save_and_unload(index)\n    if operation == 'refund'", "    if operation == 'refund'");
    batch_loses_units_of_previous_request:
        detected_by_batches("bucket.taken = (bucket.taken or 0) + units", "bucket.taken = units");
    batch_loses_names_of_previous_request:
        detected_by_batches("local length = #additions", "local length = 0");
    batch_reports_state_before_a_refund:
        detected_by_batches("    load_bucket(index, quota)\n  end\n", "  end\n");
    batch_reads_entries_of_another_key:
        detected_by_traces("if chunk_bucket ~= bucket or n", "if not chunk or n");
    batch_requests_share_one_id:
        detected_by_batches("id + 1, receipt + shape.receipts", "id, receipt + shape.receipts");
    batch_reuses_wait_of_another_request:
        detected_by_batches("  local time = times[n]\n", "  local _, time = next(times)\n");

    // Mutations of `unit_checks.lua`.
    unit_checks_admit_one_unit_too_many:
        detected_by_traces("min(repeats, capacity - stored)", "min(repeats, capacity - stored + 1)");
    unit_checks_admit_all_repeated_requests:
        detected_by_batches("reply[length + 1], reply[length + 2] = request <= added and 1 or 0, remaining", "reply[length + 1], reply[length + 2] = 1, remaining");
    unit_checks_report_remaining_units_of_last_request:
        detected_by_batches("capacity - stored - min(request, added)", "capacity - stored - added");
    unit_checks_read_entries_of_another_key:
        detected_by_batches("bucket.class, chunk_bucket = tail, newest, class, nil", "bucket.class = tail, newest, class");
    unit_checks_count_expired_log:
        detected_by_traces("if newest > 0 and newest <= cutoff and counted > 0 then\n        stored, oldest = 0, now", "if newest > 0 and newest <= cutoff and counted > 0 then\n        stored, oldest = 1, now");
    unit_checks_forget_unit_one_tick_too_early:
        detected_by_traces("if newest > 0 and newest <= cutoff and", "if newest > 0 and newest <= cutoff + 1 and");
    unit_checks_count_future_entries:
        detected_by_traces("and newest <= now and counted > 0 and", "and counted > 0 and");
    unit_checks_count_more_units_than_the_capacity:
        detected_by_traces("and counted <= capacity and", "and");
    unit_checks_report_wrong_wait:
        detected_by_traces("local reset = oldest + window - now", "local reset = oldest + window - now - 1");
    unit_checks_of_a_batch_are_decided_twice:
        detected_by_batches("for index = decided + 1, #keys do", "for index = 1, #keys do");
    unit_checks_replace_state_of_another_algorithm:
        detected_by_quota_changes("elseif length > 0 and length % ENTRY == 0 then\n      local", "else stored, oldest = 0, now end\n    if length > 0 and length % ENTRY == 0 then\n      local");

    // Mutations of `sliding_window` and its log.
    log_counts_units_one_tick_too_long:
        detected_by_traces("count_after(bucket, cutoff, 1, counted)", "count_after(bucket, cutoff - 1, 1, counted)");
    log_counts_the_oldest_unit_one_tick_too_long:
        detected_by_traces("if oldest <= cutoff then", "if oldest < cutoff then");
    log_waits_for_the_oldest_unit_alone:
        detected_by_traces("if excess == 1 and oldest then", "if oldest then");
    log_reads_entries_of_previous_read:
        detected_by_traces("if first ~= range_first or last ~= range_last then", "if not range_first then");
    log_reads_wrong_entry_of_a_chunk:
        detected_by_traces("or n < chunk_last then", "then");
    log_reads_record_as_entries:
        detected_by_quota_changes("max(capacity, TAIL_ENTRIES)", "capacity");
    log_expiry_is_never_extended:
        detected_by_extended_expiry("or bucket.newest < quota.interval_start then", "then");
    log_expiry_is_extended_too_late:
        detected_by_extended_expiry("* 0.02, 400000)", "* 2, 400000)");
    log_counts_expired_units:
        detected_by_traces("if bucket.newest > now - quota.window then", "if true then");
    log_search_skips_live_units:
        detected_by_traces("if time_of(bucket, middle) > time then", "if time_of(bucket, middle) >= time then");
    log_treats_oldest_unit_as_live:
        detected_by_traces("if high > low and time_of(bucket, high) > time then", "if high > low then");
    log_wait_is_one_unit_short:
        detected_by_traces("time_of(bucket, stored - excess + 1) + quota.window - now", "time_of(bucket, math.min(stored, stored - excess + 2)) + quota.window - now");
    log_admits_one_unit_too_many:
        detected_by_traces("      if excess <= 0 then\n        return 0\n", "      if excess <= 1 then\n        return 0\n");
    log_preserves_future_entries:
        detected_by_traces("if bucket.newest > now then\n      clamp_future_entries", "if bucket.newest < 0 then\n      clamp_future_entries");
    log_refund_has_no_effect:
        detected_by_traces("    if refunded == 0 then\n      return", "    if true then\n      return");
    log_refund_miscounts_units:
        detected_by_traces("encode(FORMAT, newest, live - refunded, 0)", "encode(FORMAT, newest, math.max(1, live - refunded - 1), 0)");
    log_miscounts_added_units:
        detected_by_traces("rep(encode(FORMAT, now, 0, 0), added - 1) .. new", "new");
    log_drops_live_units:
        detected_by_traces("if stored == 0 then", "if stored <= 1 then");
    long_log_drops_live_units:
        detected_by_traces("entries(bucket, used, 1), 'PX'", "entries(bucket, used - 1, 1), 'PX'");
    long_log_reads_void_slots_as_entries:
        detected_by_traces("first, last = first + void, last + void - 1", "first, last = first, last - 1");
    long_log_appends_after_void_slots:
        detected_by_traces("if void == 0 then", "if true then");
    long_log_loses_count_of_void_slots:
        detected_by_traces("    call('SETRANGE', key, length - ENTRY, encode(FORMAT, 0, void + refunded, 0))\n", "");
    long_log_refund_miscounts_units:
        detected_by_traces("moved .. encode(FORMAT, newest, live - refunded, class)", "moved .. encode(FORMAT, newest, math.max(1, live - refunded - 1), class)");
    long_log_refunds_wrong_units:
        detected_by_traces("length - ENTRY * (slots + void), moved", "length - ENTRY * (slots - refunded + void), moved");
    log_key_expires_before_longer_window:
        detected_by_lifetimes("if call('PTTL', bucket.key) * 1000 < needed then", "if call('PTTL', bucket.key) * 1000 > needed then");

    // Mutations of `sliding_window_sorted_set`.
    sorted_set_units_are_not_unique:
        detected_by_sorted_set_traces("unit == 1 and name or name .. ':' .. unit", "name");
    sorted_set_calls_are_not_unique:
        detected_by_sorted_set_traces("return ARGV[1] .. '-' .. whole(id)", "return 'name'");
    sorted_set_counts_units_one_tick_too_long:
        detected_by_sorted_set_traces("'(' .. whole(now - quota.window)", "whole(now - quota.window)");
    sorted_set_drops_live_units:
        detected_by_sorted_set_traces("'-inf', whole(now - window))", "'-inf', whole(now - window + 1))");
    sorted_set_wait_is_one_unit_short:
        detected_by_sorted_set_traces("local rank = whole(-n)", "local rank = whole(math.min(-1, 1 - n))");
    sorted_set_preserves_future_entries:
        detected_by_sorted_set_traces("bucket.newest > now + quota.lease and bucket.newest > latest_time(last[1])", "bucket.newest < 0");
    sorted_set_refund_has_no_effect:
        detected_by_sorted_set_traces("call('ZREM', bucket.key, unpack(names))", "");
    sorted_set_has_no_expiry:
        detected_by_lifetimes("whole(now - window))\n    expire_after(key, newest - now + window)", "whole(now - window))");
    sorted_set_key_expires_before_longer_window:
        detected_by_lifetimes("sorted_set.refresh = extend_expiry", "sorted_set.refresh = function() end");

    // Mutations of the leases of `sliding_window_sorted_set`.
    lease_is_stamped_at_the_grant:
        detected_by_lease_traces("leases[i + 1], now + bucket.quota.lease)", "leases[i + 1], now)");
    lease_is_taken_without_room:
        detected_by_lease_traces("or operation == 'peek' or operation == 'lease'\n", "or operation == 'peek'\n");
    return_removes_used_units:
        detected_by_lease_traces("        if after == 0 then\n", "        if true then\n");
    return_keeps_unused_units:
        detected_by_lease_traces("        call('ZREM', key, unpack(unused))\n", "");
    return_does_not_move_used_units:
        detected_by_lease_traces("        call('ZADD', key, 'XX', 'LT', unpack(moved))\n", "");
    return_adds_units_that_are_gone:
        detected_by_lease_traces("'XX', 'LT', unpack(moved)", "'LT', unpack(moved)");
    return_moves_units_to_a_later_time:
        detected_by_lease_traces("'XX', 'LT', unpack(moved)", "'XX', unpack(moved)");
    return_finds_units_of_other_leases:
        detected_by_lease_traces("return by .. '/' .. whole(quota.lease)", "return 'lease/' .. whole(quota.lease)");
    lease_ends_when_the_clock_is_set_back:
        detected_by_lease_traces("local latest = latest_time(late[i])", "local latest = now");
    lease_of_another_process_is_corrected:
        detected_by_lease_traces(" and bucket.newest > latest_time(last[1])", "");
    lease_of_the_future_is_not_corrected:
        detected_by_lease_traces("if tonumber(late[i + 1]) > latest then", "if false then");
    reset_removes_leased_units:
        detected_by_lease_traces("call('ZREMRANGEBYSCORE', bucket.key, '-inf', whole(now))", "call('DEL', bucket.key)");
    lease_wait_ignores_units_of_the_batch:
        detected_by_lease_traces("if excess <= stored - bucket.future + added then", "if false then");
    lease_wait_ignores_leases_of_the_batch:
        detected_by_lease_traces("if excess <= earlier + leased then", "if false then");
    lease_wait_ignores_longer_leases:
        detected_by_lease_traces("if leased > 0 and bucket.newest > now + quota.lease then", "if false then");
    lease_wait_is_that_of_a_log_without_leases:
        detected_by_lease_traces("if excess <= 0 or bucket.future + leased == 0 then", "if true then");
    lease_key_expires_before_its_units:
        detected_by_lease_conversions("newest = max(newest, now + bucket.quota.lease)\n", "");
    conversion_loses_leased_units:
        detected_by_lease_conversions("(previous.future or 0) > 0 or ", "");
    log_is_converted_whenever_another_server_uses_it:
        detected_by_lease_conversions(" or is_sorted_log and previous.used > 0", "");

    // Mutations of `token_bucket_leases`.
    held_tokens_are_refilled:
        detected_by_token_lease_traces("    return min(held * units, MAX_DEBT)", "    return 0");
    holds_of_leases_do_not_end:
        detected_by_token_lease_traces("      if hold.ends > now then\n", "      if true then\n");
    hold_ends_one_tick_too_late:
        detected_by_token_lease_traces("      if hold.ends > now then\n", "      if hold.ends >= now then\n");
    tokens_are_refilled_as_if_all_leases_ended_now:
        detected_by_token_lease_traces("        at, held = hold.ends, held - hold.tokens\n      end\n    end\n    debt", "        held = held - hold.tokens\n      end\n    end\n    debt");
    ended_lease_delays_the_refill:
        detected_by_token_lease_traces("        debt = max(debt_of(held, units), debt - (hold.ends - at) * refill)\n", "");
    wait_ignores_held_tokens:
        detected_by_token_lease_traces("if debt_of(held, units) <= fitting_debt then", "if true then");
    wait_lasts_until_all_leases_end:
        detected_by_token_lease_traces("if debt_of(held, units) <= fitting_debt then", "if false then");
    wait_ignores_the_refill_before_the_end_of_leases:
        detected_by_token_lease_traces("      debt = max(debt_of(held, units), debt - refill * (hold.ends - at))\n", "");
    return_gives_used_tokens_back:
        detected_by_token_lease_traces("used = used + (after == '0' and 0 or 1)", "used = used + 0");
    return_gives_no_tokens_back:
        detected_by_token_lease_traces("used = used + (after == '0' and 0 or 1)", "used = used + hold.tokens");
    return_counts_unused_tokens_as_used:
        detected_by_token_lease_traces("used = used + (after == '0' and 0 or 1)", "used = used + 1");
    return_counts_the_grant_as_a_use:
        detected_by_token_lease_traces("        next_number()\n        for after", "        for after");
    return_keeps_the_hold:
        detected_by_token_lease_traces("        table.remove(holds, i)\n        bucket.held = bucket.held - hold.tokens\n", "");
    return_finds_any_lease:
        detected_by_token_lease_traces("if hold.id == taken_by then", "if true then");
    refund_returns_tokens_of_the_refill:
        detected_by_token_lease_traces("debt - max(0, bucket.units * tokens - refilled))", "debt - bucket.units * tokens)");
    refund_ignores_the_reset:
        detected_by_token_lease_traces("elseif not (bucket.has_new_rate or bucket.debt == 0) and taken_at > bucket.reset_at then", "elseif not bucket.has_new_rate then");
    clock_step_does_not_shorten_holds:
        detected_by_token_lease_traces("hold.ends = min(hold.ends, now + hold.duration)", "hold.ends = hold.ends");
    clock_step_ends_holds:
        detected_by_token_lease_traces("hold.ends = min(hold.ends, now + hold.duration)", "hold.ends = min(hold.ends, now)");
    clock_step_leaves_holds_in_another_order:
        detected_by_token_lease_traces("return one.ends < other.ends", "return one.ends > other.ends");
    holds_are_in_the_order_of_the_grants:
        detected_by_token_lease_traces("while position > 1 and holds[position - 1].ends > hold.ends do", "while false do");
    new_rate_of_a_bucket_with_holds_refills:
        detected_by_token_lease_traces("      debt = min(ceil(debt / units * quota.units), MAX_DEBT)\n      units, refill = quota.units, quota.refill\n    end\n    bucket", "      units, refill = quota.units, quota.refill\n    end\n    bucket");
    record_of_a_bucket_keeps_ended_holds:
        detected_by_token_lease_cases("        bucket.lives_until = 0\n", "");
    log_reads_the_holds_as_entries:
        detected_by_token_lease_cases("local END = string.rep('\\255', 13)", "local END = string.rep('\\1', 13)");
    bucket_expires_before_its_lease:
        detected_by_token_lease_cases("max(holds[#holds].ends - now + bucket.debt / refill, reset_needed)", "max(bucket.debt / refill, reset_needed)");
    bucket_has_any_number_of_leases:
        detected_by_token_lease_cases("return #bucket.holds >= MAX_HOLDS", "return false");
    bucket_of_another_algorithm_is_leased:
        detected_by_token_lease_cases("is_admitted = algorithm == part.quota.algorithm and not", "is_admitted = not");
    other_algorithm_changes_the_rate:
        detected_by_token_lease_cases("local has_new_rate = is_token_bucket and (", "local has_new_rate = (");
    conversion_loses_held_tokens:
        detected_by_token_lease_cases("if previous and ((previous.future or 0) > 0 or is_sorted_log and previous.used > 0) then", "if false then");
    lease_of_a_failed_batch_remains:
        detected_by_token_lease_cases("  for i = 1, #leases, 2 do\n    local bucket = algorithm.load(key, quota)\n", "  for i = 1, 0 do\n    local bucket = algorithm.load(key, quota)\n");

    // Mutations of `sliding_window_counter`.
    counter_weight_is_one_tick_ahead:
        detected_by_traces("ceil(previous * (window - elapsed) / window)", "ceil(previous * (window - elapsed - 1) / window)");
    counter_drops_previous_window:
        detected_by_traces("return new_start, 0, current", "return new_start, 0, 0");
    counter_counts_old_windows:
        detected_by_traces("elseif start < new_start then", "elseif start > new_start then");
    counter_wait_is_too_long:
        detected_by_traces("while fits_at > elapsed + 1 and weighted(current, previous, fits_at - 1, window) <= max_units do", "fits_at = math.min(fits_at + 1, window)\n    while false do");
    counter_refund_skips_current_window:
        detected_by_traces("current = max(0, current - units)", "current = max(0, current)");
    counter_refunds_units_from_before_a_reset:
        detected_by_traces("or taken_at <= reset_at then", "then");
    counter_expiry_is_too_short:
        detected_by_lifetimes("write(bucket.key, record, 2 * window - elapsed)", "write(bucket.key, record, window / 8)");
    counter_key_expires_before_longer_window:
        detected_by_lifetimes("bucket.has_expiry = window == quota.window and start == stored_start", "bucket.has_expiry = true");

    // Mutations of `fixed_window`.
    fixed_window_lasts_one_tick_too_long:
        detected_by_traces("start + quota.window <= now then", "start + quota.window < now then");
    fixed_window_admits_one_unit_too_many:
        detected_by_traces("if bucket.quota.capacity - bucket.used >= units then", "if bucket.quota.capacity - bucket.used >= units - 1 then");
    fixed_window_never_restarts:
        detected_by_traces("if count == 0 or start + quota", "if start + quota");
    fixed_window_refunds_units_of_past_window:
        detected_by_traces("      if taken_at >= start then\n        overwrite_for_refund", "      if true then\n        overwrite_for_refund");
    fixed_window_has_no_expiry:
        detected_by_lifetimes("bucket.used, ends), ends - now)", "bucket.used, ends), 0)");
    fixed_window_key_expires_before_longer_window:
        detected_by_lifetimes("if ends <= bucket.lives_until then", "if bucket.lives_until > 0 then");

    // Mutations of `calendar`, and of the selection of its period.
    calendar_counts_units_of_previous_period:
        detected_by_calendar_traces("start < (quota.period_start or 0) then", "false then");
    calendar_period_lasts_one_tick_too_long:
        detected_by_calendar_traces("if starts <= now and now < ends then", "if starts <= now and now <= ends and not quota.period_end then");
    calendar_period_starts_one_tick_too_late:
        detected_by_calendar_traces("if starts <= now and now < ends then", "if starts < now and now < ends then");
    calendar_admits_one_unit_too_many:
        detected_by_calendar_traces("return room >= units and 0 or", "return room >= units - 1 and 0 or");
    calendar_refunds_units_of_previous_period:
        detected_by_calendar_traces("      if start <= taken_at then", "      if true then");
    calendar_loses_units_at_conversion:
        detected_by_quota_changes("local period_end = quota.period_end or lives_until", "local period_end = quota.period_end or 0");
    calendar_key_has_no_expiry:
        detected_by_calendar_lifetimes("write(bucket.key, record, lives_until - now)", "write(bucket.key, record, 0)");
    calendar_key_expires_before_longer_period:
        detected_by_calendar_lifetimes("bucket.is_stale = count > 0 and period_end > lives_until", "bucket.is_stale = false");

    // Mutations of `token_bucket`.
    token_bucket_admits_one_token_too_many:
        detected_by_traces("local max_debt = max(0, quota.capacity - tokens) * quota.units", "local max_debt = max(0, quota.capacity - tokens + 1) * quota.units");
    token_bucket_refills_twice_as_fast:
        detected_by_traces("(now - at) * refill)", "(now - at) * refill * 2)");
    token_bucket_wait_is_too_short:
        detected_by_traces("return ceil(max(0, bucket.debt - max_debt) / quota.refill)", "return floor(max(0, bucket.debt - max_debt) / quota.refill)");
    token_bucket_refunds_refilled_tokens:
        detected_by_traces("max(0, tokens * bucket.units - refilled)", "tokens * bucket.units");
    token_bucket_refunds_too_few_tokens:
        detected_by_traces("max(0, tokens * bucket.units - refilled)", "max(0, bucket.units - refilled)");
    token_bucket_refunds_tokens_from_before_a_reset:
        detected_by_traces("or taken_at <= bucket.reset_at then", "then");
    token_bucket_loses_reset_time_too_soon:
        detected_by_reset_time("max(bucket.debt / refill, reset_needed)", "bucket.debt / refill");
    token_bucket_has_no_expiry:
        detected_by_lifetimes("bucket.reset_at), extended)", "bucket.reset_at), 0)");
    token_bucket_key_expires_before_more_debt:
        detected_by_lifetimes("if now + needed <= bucket.lives_until then", "if bucket.lives_until > 0 then");

    // Mutations of `concurrency`.
    permits_of_a_request_are_not_unique:
        detected_by_permit_traces("permit == 1 and name or name .. ':' .. permit", "name");
    permits_of_all_requests_have_one_holder:
        detected_by_permit_traces("local holder = ARGV[1] .. '-' .. whole(additions[i])", "local holder = ARGV[1]");
    permit_counts_one_tick_too_long:
        detected_by_permit_traces("call('ZCOUNT', key, '(' .. whole(now), '+inf') or 0", "call('ZCOUNT', key, whole(now), '+inf') or 0");
    permit_has_a_longer_lease:
        detected_by_permit_traces("local expiry = now + quota.window\n", "local expiry = now + quota.window + 1\n");
    permits_of_the_future_are_not_clamped:
        detected_by_permit_traces("if bucket.newest > latest then", "if bucket.newest < 0 then");
    clock_step_shortens_a_longer_lease:
        detected_by_permit_traces("min(tonumber(late[i + 1]), now + lease)", "min(tonumber(late[i + 1]), latest)");
    expired_permit_is_revived:
        detected_by_permit_traces("is_held = expiry and tonumber(expiry) > now", "is_held = expiry");
    released_permit_is_revived:
        detected_by_permit_traces("is_held = expiry and tonumber(expiry) > now", "is_held = true");
    renewal_has_no_effect:
        detected_by_permit_traces("        algorithm.renew(buckets[index]", "        local _ = (buckets[index]");
    renewal_renews_some_permits:
        detected_by_permit_traces("          return false\n", "");
    release_has_no_effect:
        detected_by_permit_traces("call('ZREM', key, unpack(names))", "");
    permit_wait_is_that_of_the_next_lease:
        detected_by_permit_traces("local offset = excess <= earlier and excess - 1 or excess - taken - 1", "local offset = excess <= earlier and excess or excess - taken");
    permit_wait_ignores_permits_of_the_batch:
        detected_by_permit_traces("if excess > earlier and excess <= earlier + taken then", "if false then");
    permit_wait_ignores_longer_leases:
        detected_by_permit_traces("if bucket.newest > now + window then\n      earlier", "if false then\n      earlier");
    permit_key_has_no_expiry:
        detected_by_permit_lifetimes("    call('ZREMRANGEBYSCORE', key, '-inf', whole(now))\n    expire_after(key, max(bucket.newest, expiry) - now)", "");
    permit_key_expires_before_a_longer_lease:
        detected_by_permit_lifetimes("whole(now))\n    expire_after(key, max(bucket.newest, expiry) - now)", "whole(now))\n    expire_after(key, expiry - now)");
    renewed_permit_key_expires_too_early:
        detected_by_permit_lifetimes("      set_expiry(key, names, whole(expiry))\n    end)\n    expire_after(key, max(bucket.newest, expiry) - now)\n  end\n\n  return", "      set_expiry(key, names, whole(expiry))\n    end)\n  end\n\n  return");
}
