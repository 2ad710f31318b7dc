//! Tests the storm judge, which decides whether servers behaved correctly in a storm (a test that injects random
//! faults): the rules for permits of requests in progress, and for units of leases.

mod histories;
mod leased_units;
mod lost_permits;
mod permits;
mod records;
