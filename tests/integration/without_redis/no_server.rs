//! The tests in this folder start no server, so that `scripts/matrix` may skip them.

use std::thread;

use crate::support::redis_server::program;

#[test]
fn a_server_started_by_a_test_of_this_folder_panics() {
    // The test runner names a thread like this, unless it runs one test at a time.
    let test = thread::Builder::new().name("without_redis::some::test".to_owned());
    assert!(test.spawn(program).unwrap().join().is_err());
    let other = thread::Builder::new().name("faults::without_redis::test".to_owned());
    assert!(other.spawn(program).unwrap().join().is_ok());
}
