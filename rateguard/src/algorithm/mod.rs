//! How requests are counted: pure steps over a state, a quota and a time, without a clock or a store.
//!
//! Each algorithm is a Rust file and, for Redis, a Lua file of the same name that says the same.

pub(crate) mod sliding_window;
