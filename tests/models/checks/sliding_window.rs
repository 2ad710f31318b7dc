//! The protocol of leases on a sliding window has its properties.

use rateguard_models::leases::{Action, Config, Leases, SlidingWindow, Variant};

use crate::support::{possible_actions, run, verify};

fn model(config: Config) -> Leases<SlidingWindow> {
    Leases::new(config)
}

fn small() -> Config {
    Config::small(Variant::Correct)
}

#[test]
fn windows_with_losses_delays_and_crashes_stay_within_limit() {
    verify(model(small()));
}

#[test]
fn windows_of_three_leases_stay_within_limit() {
    verify(model(Config { leases: 3, ..small() }));
}

#[test]
fn windows_of_large_leases_stay_within_limit() {
    verify(model(Config { limit: 3, max_units: 3, window: 4, ..small() }));
}

#[test]
fn windows_shorter_than_the_lease_stay_within_limit() {
    verify(model(Config { ttl: 3, window: 2, ..small() }));
}

#[test]
fn windows_with_repeated_returns_stay_within_limit() {
    verify(model(Config { executions_of_return: 2, ..small() }));
}

#[test]
fn windows_with_returns_found_by_stamp_once_stay_within_limit() {
    verify(model(Config::small(Variant::ReturnFindsByStamp)));
}

#[test]
fn windows_with_refunds_and_repeated_returns_stay_within_limit() {
    verify(model(Config { refunds: true, executions_of_return: 2, ..small() }));
}

#[test]
fn windows_after_a_reset_stay_within_limit() {
    verify(model(Config { resets: 1, executions_of_return: 2, ..small() }));
}

#[test]
fn windows_with_slow_clocks_within_the_margin_stay_within_limit() {
    verify(model(Config { missed_ticks: 1, margin: 1, ttl: 3, window: 4, ..small() }));
}

#[test]
fn windows_with_clocks_set_back_stay_within_limit() {
    verify(model(Config { steps_back: 2, ..small() }));
}

#[test]
fn returned_units_are_free_at_once() {
    use Action::{ExecuteReturn, Grant, Receive, Request, Return, Serve, Take};
    let model = model(small());
    let state = run(&model, &[Request(0), Grant(1, 2), Receive(1), Serve(1), Return(1)]);
    assert!(!possible_actions(&model, &state).contains(&Take));
    let state =
        run(&model, &[Request(0), Grant(1, 2), Receive(1), Serve(1), Return(1), ExecuteReturn(1)]);
    assert!(possible_actions(&model, &state).contains(&Take));
    let state = run(
        &model,
        &[Request(0), Grant(1, 2), Receive(1), Serve(1), Return(1), ExecuteReturn(1), Take],
    );
    assert!(!possible_actions(&model, &state).contains(&Take));
}

#[test]
fn return_without_a_reply_frees_all_units() {
    use Action::{ExecuteReturn, Grant, LoseGrant, Request, Return, Take};
    run(
        &model(small()),
        &[Request(0), Grant(1, 2), LoseGrant(1), Return(1), ExecuteReturn(1), Take, Take],
    );
}
