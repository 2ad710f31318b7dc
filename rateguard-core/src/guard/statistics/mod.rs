//! Collects, publishes and reads the statistics of a guard.

mod api;
mod collect;
mod fleet;
mod publish;
