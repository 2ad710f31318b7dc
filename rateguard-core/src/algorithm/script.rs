//! Joins the Lua files to one script. Tests and benchmarks include this file too.

/// The source of the Lua script. The script contains all algorithms, and its arguments contain the name of each quota's
/// algorithm.
pub(crate) const SCRIPT: &str = concat!(
    include_str!("prelude.lua"),
    include_str!("packed_log.lua"),
    include_str!("unit_checks.lua"),
    include_str!("buckets.lua"),
    include_str!("exact_log.lua"),
    include_str!("sliding_window.lua"),
    include_str!("sliding_window_sorted_set.lua"),
    include_str!("sliding_window_counter.lua"),
    include_str!("fixed_window.lua"),
    include_str!("calendar.lua"),
    include_str!("token_bucket.lua"),
    include_str!("token_bucket_leases.lua"),
    include_str!("concurrency.lua"),
    include_str!("arguments.lua"),
    include_str!("main.lua"),
    include_str!("recovery.lua"),
);
