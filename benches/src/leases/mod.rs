//! The measurements of leases and permits.

pub mod checks;
pub mod hot_key;
pub mod permits;
