//! The examples are in the parent folder. Each is one file: `cargo run --example quickstart`.
