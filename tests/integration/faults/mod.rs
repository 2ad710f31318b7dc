//! Faults of Redis, the network, the machine and the callers, each injected for real. Whatever happens, no check waits
//! longer than its deadline, what cannot be decided on gets the failure mode, and decisions resume by themselves.

mod away;
mod callers;
mod checks;
mod clock_steps;
mod clocks;
mod hung;
mod network;
mod refused;
mod replaced;
mod resources;
mod site;
mod strange;
mod table;

pub use self::callers::block_a_worker;

/// The faults, numbered from 1, and the tests that inject them. `scripts/test faults::` runs all that are here, and
/// `table.rs` sees to it that each test is there and that no test here is missing.
const FAULTS: [(&str, &[&str]); 40] = [
    (
        "Redis is away when the server starts",
        &["faults::away::a_server_starts_without_redis_and_uses_it_when_it_is_there"],
    ),
    (
        "it dies",
        &[
            "faults::away::a_redis_that_is_killed_and_restarted_empty_is_used_again",
            "faults::away::under_load_no_check_waits_whatever_happens_to_redis",
            "fault_figures::every_fault_is_over_soon_after_its_end",
        ],
    ),
    (
        "it is restarted and has forgotten the script",
        &["faults::away::a_redis_that_is_killed_and_restarted_empty_is_used_again"],
    ),
    (
        "it is restarted and has forgotten the counts",
        &["faults::away::a_redis_that_is_killed_and_restarted_empty_is_used_again"],
    ),
    (
        "it hangs",
        &[
            "faults::hung::a_frozen_redis_costs_no_more_than_the_deadline_and_is_used_again",
            "faults::hung::a_redis_that_stays_frozen_costs_nothing_after_a_while",
            "faults::hung::callers_without_patience_do_not_hide_a_dead_connection",
            "faults::hung::a_server_that_says_nothing_costs_no_more_than_the_deadline",
            "fault_figures::a_redis_that_hangs_costs_the_deadline_once_and_then_microseconds",
        ],
    ),
    (
        "it wakes, and finds checks that nobody waits for any more",
        &["faults::hung::checks_that_were_given_up_do_not_count_when_redis_wakes"],
    ),
    (
        "the network is slow, torn to bytes, garbled, or cut in the middle of a reply",
        &[
            "faults::network::a_slow_network_within_the_deadline_is_only_slow_and_the_limit_exact",
            "faults::network::a_network_slower_than_the_deadline_costs_the_deadline_until_it_is_faster",
            "faults::network::replies_that_are_cut_anywhere_are_none_and_what_they_answer_counts_once",
            "faults::network::bytes_that_were_changed_on_their_way_are_no_decision",
        ],
    ),
    (
        "the network falls silent, one way or both, and nobody is told",
        &[
            "faults::network::a_network_that_falls_silent_one_way_or_both_is_left_for_a_new_connection",
            "faults::network::a_cable_that_was_pulled_costs_no_more_than_the_deadline_and_is_used_again",
        ],
    ),
    (
        "more wait than there is room for, or the application's pool has no connection left",
        &[
            "faults::hung::no_more_wait_for_a_hung_redis_than_the_bound_says",
            "calm::no_more_checks_wait_than_the_bound_says",
            "deployments::the_pool_of_an_application_says_how_to_connect_and_keeps_its_connections",
        ],
    ),
    (
        "Redis has too many clients",
        &["faults::refused::a_server_with_too_many_clients_is_asked_at_a_measured_pace"],
    ),
    (
        "somebody flushes its scripts, again and again",
        &["processes::a_flushed_script_cache_fails_no_check"],
    ),
    (
        "it has no memory left",
        &[
            "faults::refused::a_server_without_memory_is_asked_on_the_same_connection_and_has_written_nothing",
            "redis_layout::a_server_without_memory_takes_no_more_keys_and_loses_none",
        ],
    ),
    (
        "it became a replica",
        &[
            "faults::replaced::a_primary_that_became_a_replica_is_left_for_new_connections_at_a_measured_pace",
            "faults::replaced::a_primary_that_is_elsewhere_now_is_found_though_the_old_one_answers",
            "deployments::a_primary_that_became_a_replica_answers_no_more_denials_from_its_copy",
        ],
    ),
    (
        "it is a replica that has lost its primary, or lacks replicas or a disk of its own",
        &[
            "faults::replaced::a_primary_that_became_a_replica_is_left_for_new_connections_at_a_measured_pace",
            "faults::refused::a_server_short_of_replicas_or_disk_is_waited_for_at_a_measured_pace",
        ],
    ),
    (
        "it loads its data",
        &["faults::replaced::a_server_that_loads_its_data_is_waited_for_at_a_measured_pace"],
    ),
    (
        "it is busy with somebody else's script",
        &[
            "faults::refused::a_server_that_is_busy_with_another_script_is_asked_on_the_same_connection",
        ],
    ),
    (
        "its clients are paused",
        &["faults::hung::a_pause_of_writes_is_waited_for_no_longer_than_the_deadline"],
    ),
    (
        "it fails over to a replica that lags behind",
        &[
            "faults::replaced::after_a_failover_no_more_pass_again_than_the_replica_had_not_heard_of",
        ],
    ),
    (
        "there are two primaries",
        &[
            "faults::replaced::two_primaries_admit_two_limits_at_the_most_and_one_again_once_there_is_one",
        ],
    ),
    (
        "Sentinel fails over",
        &[
            "sentinel::when_the_primary_dies_the_next_one_decides_and_knows_what_was_counted",
            "sentinel::in_a_failover_that_is_asked_for_hardly_any_check_is_missed",
            "sentinel::a_primary_that_does_not_know_that_it_is_one_no_more_is_left",
            "sentinel::sentinels_that_are_away_or_hang_are_passed_over",
        ],
    ),
    (
        "a key is on another node of a cluster, or on its way there",
        &[
            "cluster::moving::while_slots_move_every_check_is_answered_and_no_limit_is_exceeded",
            "faults::refused::a_node_of_a_cluster_says_which_keys_are_elsewhere",
        ],
    ),
    (
        "keys of one check are in different slots",
        &[
            "cluster::everyday::several_keys_are_asked_one_after_the_other",
            "apart::on_a_cluster_a_denial_gives_back_what_the_earlier_keys_took",
            "apart::on_a_cluster_no_more_are_admitted_than_the_limits_say",
        ],
    ),
    (
        "a node of a cluster dies or hangs, or the cluster is down",
        &[
            "cluster::losing::a_master_that_dies_is_missed_only_by_its_keys_until_its_replica_takes_over",
            "cluster::losing::a_master_that_hangs_is_missed_only_by_its_keys_until_its_replica_takes_over",
            "faults::refused::a_cluster_that_is_down_is_used_as_soon_as_it_is_up",
        ],
    ),
    (
        "the password is wrong, or was changed",
        &[
            "faults::refused::a_password_that_was_changed_is_tried_at_a_measured_pace_until_it_is_right_again",
            "redis_layout::it_logs_in_with_user_password_and_database",
        ],
    ),
    (
        "the user lacks a right",
        &[
            "faults::refused::rights_that_were_withdrawn_are_missed_on_the_same_connection_until_they_are_back",
            "deployments::a_user_with_the_least_rights_can_do_everything_on_one_connection",
        ],
    ),
    ("TLS fails", &["tls::a_server_or_a_client_that_nobody_has_signed_is_refused_without_a_panic"]),
    (
        "a key of ours holds something else",
        &["redis_layout::a_key_of_another_kind_is_no_decision_and_stays_as_it_is"],
    ),
    (
        "who answers is no Redis, or an odd one",
        &[
            "faults::strange::what_is_no_decision_is_not_taken_for_one",
            "faults::strange::what_is_no_redis_protocol_ends_the_connection_and_the_next_is_used",
            "faults::strange::servers_that_hang_up_or_talk_nonsense_are_asked_at_a_measured_pace",
            "faults::strange::a_server_that_cuts_idle_connections_off_fails_no_check",
        ],
    ),
    (
        "the clock of Redis is set back",
        &[
            "faults::clocks::a_server_clock_that_was_set_back_admits_nobody_and_locks_nobody_out",
            "faults::clock_steps::a_clock_that_is_set_back_in_the_middle_of_a_check_lets_nothing_be_forgotten",
            "redis_layout::a_clock_of_the_server_that_was_set_back_locks_nobody_out",
        ],
    ),
    (
        "it is set forward",
        &[
            "faults::clocks::a_server_clock_that_was_set_forward_admits_one_more_limit_at_the_most",
            "faults::clock_steps::however_the_clock_is_set_no_more_is_admitted_between_two_steps_forward_than_the_limit",
            "faults::strange::a_server_whose_clock_was_set_forward_is_asked_once_more",
            "faults::strange::a_server_that_finds_everything_late_is_asked_no_third_time",
        ],
    ),
    (
        "the clocks of the servers that ask differ",
        &["faults::clocks::clients_whose_clocks_differ_are_one_limit"],
    ),
    (
        "checks come in one microsecond",
        &["faults::clocks::a_hundred_thousand_checks_of_one_microsecond_are_so_many"],
    ),
    (
        "a client gives up or hangs up while it is checked",
        &[
            "faults::callers::cancelled_checks_disturb_no_others",
            "faults::callers::ten_thousand_clients_that_hang_up_count_once_each_and_leave_nothing_behind",
        ],
    ),
    (
        "the server is told to end",
        &[
            "faults::callers::a_server_that_is_told_to_end_ends_soon_whatever_redis_does",
            "faults::callers::a_dropped_guard_leaves_neither_thread_nor_connection",
        ],
    ),
    (
        "a worker blocks, or its runtime is gone",
        &["faults::callers::a_worker_that_blocks_does_not_stall_the_checks_of_others"],
    ),
    (
        "a function that makes keys panics",
        &["faults::callers::a_key_function_that_panics_ends_one_connection_and_the_server_goes_on"],
    ),
    (
        "all that have waited come back at once",
        &["faults::away::many_that_wait_for_a_redis_that_is_away_are_no_herd_when_it_is_back"],
    ),
    (
        "the breaker does not close, or does not open",
        &[
            "calm::a_store_that_hangs_costs_the_deadline_a_few_times_and_then_nothing",
            "calm::one_probe_at_a_time_looks_whether_the_store_is_back",
            "calm::checks_of_keys_that_are_apart_open_the_breaker_too",
        ],
    ),
    (
        "clients that were refused come back at one moment",
        &["without_redis::refusals::jitter_makes_nobody_come_too_early"],
    ),
    (
        "the machine has no files left, or its resolver fails or hangs",
        &[
            "faults::resources::a_process_without_files_answers_and_connects_again_when_it_has_some",
            "faults::resources::a_name_that_nobody_knows_is_a_server_that_cannot_be_reached",
            "faults::resources::a_resolver_that_hangs_costs_no_more_than_the_deadline_and_is_used_again",
        ],
    ),
];
