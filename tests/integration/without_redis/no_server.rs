//! Tests that a test in this folder cannot start a Redis server.

use std::thread;

use crate::support::redis_server::program;

#[test]
fn server_start_panics_in_tests_of_this_folder() {
    // If the test runner runs several tests at a time, it gives each thread the name of the test. If it runs one
    // test at a time, it does not. Therefore this test sets the name of the thread itself.
    let test = thread::Builder::new().name("without_redis::some::test".to_owned());
    assert!(test.spawn(program).unwrap().join().is_err());
    let other = thread::Builder::new().name("faults::without_redis::test".to_owned());
    assert!(other.spawn(program).unwrap().join().is_ok());
}
