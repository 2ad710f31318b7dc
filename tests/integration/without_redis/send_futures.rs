//! Tests that the futures of a guard are `Send`. Otherwise the tasks of a multi-threaded runtime could not await them.

use std::time::Duration;

use actix_rateguard::{Key, Policy, RateGuard};

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn futures_of_a_guard_are_send() {
    let guard = RateGuard::in_memory();
    let policy = Policy::new("send", "100/minute").unwrap().ban("5/hour for 15m up to 1d").unwrap();
    let (key, second) = (Key::from("user-42"), Duration::from_secs(1));

    assert_send(guard.check(&policy, &key)).await.unwrap();
    assert!(assert_send(guard.allows(&policy, &key)).await);
    assert_send(guard.peek(&policy, &key)).await.unwrap();
    assert_send(guard.check_or_wait(&policy, &key, second)).await.unwrap();
    assert_send(guard.ban(&policy, &key, 60 * second)).await.unwrap();
    assert_send(guard.unban(&policy, &key)).await.unwrap();
    assert_send(guard.reset(&policy, &key)).await.unwrap();

    let request = guard.request(&policy, &key).cost(2);
    assert_send(request.check()).await.unwrap();
    assert!(assert_send(request.allows()).await);
    assert_send(request.peek()).await.unwrap();
    assert_send(request.debit()).await.unwrap();
    assert_send(request.check_or_wait(second)).await.unwrap();
    let reservation = assert_send(request.reserve()).await.unwrap();
    assert_send(reservation.settle(1)).await.unwrap();
    let reservation = assert_send(request.reserve()).await.unwrap();
    assert_send(reservation.refund()).await.unwrap();
    assert_send(request.reset()).await.unwrap();
    assert_send(guard.close()).await;
}
