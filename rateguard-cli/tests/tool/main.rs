//! Runs the real program: with policies files, with the operator endpoints of a real server, and with a real Redis.

mod bench;
mod changes;
mod check;
mod exit_codes;
mod explain;
mod help;
mod same_bucket;
mod statistics;
mod support;
mod terminal;
