//! The statistics of a guard (feature `statistics`): counters for each policy, denied keys, and the duration of store
//! calls. The files of this folder do not import the guard.

mod assemble;
mod counter_ring;
mod counters;
mod denied_keys;
mod distinct_names;
mod fleet_cache;
mod interval_clock;
mod key_text;
mod latency;
mod policy_table;
mod public_json;
mod publisher;
mod recent_keys;
mod recorder;
mod report;
mod report_json;
mod settings;
mod space_saving;
mod values;

pub(crate) use self::{
    assemble::{History, assemble},
    counters::Counter,
    fleet_cache::FleetCache,
    interval_clock::INTERVAL,
    policy_table::HISTORY,
    publisher::MAX_COUNTS,
    recorder::{Recording, StatisticsRecorder},
    report::{PolicyReport, ProcessReport},
    report_json::{decode, encode},
};
pub use self::{
    public_json::statistics_json,
    settings::Statistics,
    values::{
        DeniedKey, Fallback, GuardStatistics, OutcomeCounts, PolicyStatistics, ProcessStatistics,
        StatisticsScope, StoreStatistics,
    },
};
