//! Tests that inject real faults. The causes are Redis, the network, the machine and the clients.
//!
//! During a fault, a check must not wait longer than its deadline, and the guard must apply the failure mode to a
//! check that is not decided. After the fault, decisions must resume without an action by an operator.

mod blocked_callers;
mod checks;
mod clock_steps;
pub mod clocks;
mod fault_site;
mod fault_table;
mod frozen_server;
mod malformed_replies;
mod network;
mod rejected_connections;
mod replaced;
mod resources;
mod server_down;

pub use self::blocked_callers::check_with_blocked_worker;

/// The faults, numbered from 1. For each fault, the table names the tests that inject it.
///
/// The command `scripts/test faults::` runs the tests of this module. The test in `fault_table.rs` checks that each
/// test in the table exists, and that the table has every test of this module.
const FAULTS: [(&str, &[&str]); 40] = [
    (
        "Redis is unreachable when the server starts",
        &["faults::server_down::server_starts_without_redis_and_connects_later"],
    ),
    (
        "Redis dies",
        &[
            "faults::server_down::redis_restarted_empty_is_used_again",
            "faults::server_down::redis_restarts_and_freezes_under_load_delay_no_check",
            "fault_figures::decisions_resume_soon_after_every_fault",
        ],
    ),
    (
        "Redis restarts without the script",
        &["faults::server_down::redis_restarted_empty_is_used_again"],
    ),
    (
        "Redis restarts without the counts",
        &["faults::server_down::redis_restarted_empty_is_used_again"],
    ),
    (
        "Redis freezes",
        &[
            "faults::frozen_server::frozen_redis_costs_at_most_deadline_and_is_reused",
            "faults::frozen_server::redis_that_stays_frozen_soon_fails_without_delay",
            "faults::frozen_server::cancelled_checks_do_not_hide_a_dead_connection",
            "faults::frozen_server::frozen_read_of_overrides_delays_no_request",
            "faults::frozen_server::silent_server_costs_at_most_the_deadline",
            "fault_figures::frozen_redis_costs_one_deadline_then_microseconds",
        ],
    ),
    (
        "Redis resumes and finds checks that have timed out",
        &["faults::frozen_server::timed_out_checks_are_not_counted_when_redis_resumes"],
    ),
    (
        "the network is slow, or fragments, corrupts or truncates replies",
        &[
            "faults::network::slow_network_within_deadline_enforces_exact_limit",
            "faults::network::network_slower_than_deadline_costs_at_most_the_deadline",
            "faults::network::truncated_replies_are_errors_and_count_at_most_once",
            "faults::network::corrupted_replies_are_never_decisions",
        ],
    ),
    (
        "the network drops all data in one or both directions, without an error",
        &[
            "faults::network::silent_network_is_replaced_by_a_new_connection",
            "faults::network::unplugged_network_costs_at_most_deadline_and_recovers",
        ],
    ),
    (
        "too many checks wait, or the application's pool has no free connection",
        &[
            "faults::frozen_server::max_in_flight_bounds_checks_waiting_for_frozen_redis",
            "resilience::checks_beyond_max_in_flight_are_decided_locally",
            "deployments::redis_pool_supplies_settings_but_no_connections",
        ],
    ),
    (
        "Redis has too many clients",
        &["faults::rejected_connections::server_with_too_many_clients_is_reconnected_with_backoff"],
    ),
    ("the scripts of Redis are flushed repeatedly", &["processes::script_flush_fails_no_check"]),
    (
        "Redis has no free memory",
        &[
            "faults::rejected_connections::server_out_of_memory_reuses_connection_and_writes_nothing",
            "redis_layout::full_server_rejects_new_keys_and_loses_none",
        ],
    ),
    (
        "Redis was demoted to a replica",
        &[
            "faults::replaced::demoted_primary_is_reconnected_with_backoff",
            "faults::replaced::new_primary_is_found_although_old_one_still_replies",
            "deployments::demoted_primary_is_detected_without_writes",
        ],
    ),
    (
        "Redis is a replica without its primary, or lacks replicas or a disk",
        &[
            "faults::replaced::demoted_primary_is_reconnected_with_backoff",
            "faults::rejected_connections::server_without_replicas_or_disk_is_reconnected_with_backoff",
        ],
    ),
    ("Redis loads its data", &["faults::replaced::loading_server_is_reconnected_with_backoff"]),
    (
        "Redis is busy with another script",
        &["faults::rejected_connections::server_busy_with_another_script_reuses_the_connection"],
    ),
    (
        "the clients of Redis are paused",
        &["faults::frozen_server::client_pause_costs_at_most_the_deadline"],
    ),
    (
        "Redis fails over to a replica that lags behind",
        &["faults::replaced::failover_readmits_only_units_missing_on_the_replica"],
    ),
    ("there are two primaries", &["faults::replaced::two_primaries_admit_at_most_twice_the_limit"]),
    (
        "Sentinel fails over",
        &[
            "sentinel::promoted_replica_continues_with_the_replicated_counts",
            "sentinel::manual_failover_interrupts_checks_briefly",
            "sentinel::primary_replaced_in_the_sentinels_is_abandoned",
            "sentinel::unreachable_and_hung_sentinels_are_skipped",
        ],
    ),
    (
        "a key is on another node of a cluster, or migrates there",
        &[
            "cluster::slot_migration::slot_migration_under_load_answers_all_and_respects_limits",
            "faults::rejected_connections::plain_url_of_cluster_node_decides_only_its_keys",
        ],
    ),
    (
        "keys of one check are in different slots",
        &[
            "cluster::basics::cross_slot_request_decides_keys_one_after_another",
            "multi_key::cross_slot_denial_refunds_earlier_keys",
            "multi_key::cross_slot_checks_never_exceed_limits",
        ],
    ),
    (
        "a node of a cluster dies or freezes, or the cluster is down",
        &[
            "cluster::failover::killed_master_affects_only_its_keys_until_failover",
            "cluster::failover::frozen_master_affects_only_its_keys_until_failover",
            "faults::rejected_connections::cluster_that_was_down_is_used_when_slots_are_served",
        ],
    ),
    (
        "the password is wrong, or was changed",
        &[
            "faults::rejected_connections::changed_password_is_retried_with_backoff_until_restored",
            "redis_layout::connection_uses_user_password_and_database",
        ],
    ),
    (
        "the user lacks a permission",
        &[
            "faults::rejected_connections::revoked_permissions_reuse_the_connection_until_restored",
            "deployments::least_privileged_user_runs_all_operations_without_reconnecting",
        ],
    ),
    ("TLS fails", &["tls::untrusted_certificates_are_rejected_without_panic"]),
    (
        "a key of the guard has a value of another type",
        &["redis_layout::foreign_redis_value_is_an_error_and_stays_unchanged"],
    ),
    (
        "the server is not Redis, or its replies are malformed",
        &[
            "faults::malformed_replies::malformed_replies_are_invalid_reply_errors",
            "faults::malformed_replies::protocol_error_closes_connection_and_next_one_is_used",
            "faults::malformed_replies::broken_servers_are_reconnected_with_backoff",
            "faults::malformed_replies::idle_timeout_of_server_fails_no_check",
        ],
    ),
    (
        "the clock of Redis is set back",
        &[
            "faults::clocks::server_clock_step_back_neither_admits_nor_locks_out",
            "faults::clock_steps::clock_step_back_during_check_loses_no_counts",
            "redis_layout::backward_server_clock_step_locks_out_no_client",
        ],
    ),
    (
        "the clock of Redis is set forward",
        &[
            "faults::clocks::server_clock_step_forward_admits_at_most_one_extra_limit",
            "faults::clock_steps::clock_steps_admit_at_most_one_limit_between_forward_steps",
            "faults::malformed_replies::check_found_late_after_clock_step_is_retried_once",
            "faults::malformed_replies::server_that_finds_every_check_late_is_retried_once",
        ],
    ),
    (
        "the clocks of the clients of Redis differ",
        &["faults::clocks::clients_with_different_clocks_share_one_limit"],
    ),
    (
        "many checks come in one microsecond",
        &["faults::clocks::checks_in_one_microsecond_are_all_counted"],
    ),
    (
        "a client cancels or disconnects during its check",
        &[
            "faults::blocked_callers::cancelled_checks_do_not_affect_other_checks",
            "faults::blocked_callers::disconnected_clients_count_once_and_leak_nothing",
        ],
    ),
    (
        "the server shuts down",
        &[
            "faults::blocked_callers::server_shutdown_is_prompt_even_if_redis_is_frozen",
            "faults::blocked_callers::dropped_guard_closes_its_connection",
        ],
    ),
    (
        "a worker blocks, or its runtime has ended",
        &[
            "faults::blocked_callers::blocked_worker_does_not_stall_other_checks",
            "worker_connections::blocked_worker_causes_no_false_timeout",
            "worker_connections::check_completes_although_it_blocks_its_own_runtime",
            "worker_connections::check_that_blocks_its_own_runtime_ends_although_redis_is_down",
        ],
    ),
    (
        "a key function panics",
        &["faults::blocked_callers::panicking_key_function_closes_only_its_own_connection"],
    ),
    (
        "all waiting checks retry at the same time",
        &["faults::server_down::waiting_checks_cause_no_reconnect_storm_when_redis_returns"],
    ),
    (
        "the circuit breaker does not close, or does not open",
        &[
            "resilience::hung_store_opens_the_breaker_after_a_few_deadlines",
            "resilience::open_breaker_sends_one_probe_at_a_time",
            "resilience::cross_slot_checks_open_the_breaker",
        ],
    ),
    (
        "rejected clients retry at the same time",
        &["without_redis::refusals::jitter_only_increases_retry_after"],
    ),
    (
        "the machine has no free file descriptors, or its resolver fails or hangs",
        &[
            "faults::resources::process_without_file_descriptors_answers_and_reconnects_later",
            "faults::resources::unknown_host_name_is_an_unreachable_server",
            "faults::resources::blocked_resolver_costs_at_most_deadline_and_recovers",
        ],
    ),
];
