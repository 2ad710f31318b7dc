//! The examples are beside this folder, one runnable file each: `cargo run --example quickstart`.
