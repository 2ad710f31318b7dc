//! Tests the order and the time at which waiting requests are admitted.

use actix_rateguard::{Limit, RateLimit, rate_limit};
use actix_web::{App, get as route, test::init_service, web};

use super::{SECOND, arrivals, guard, waited};
use crate::support::app::{attribute_guard, get};

#[route("/search")]
#[rate_limit(rate = "5/second", key = "global", wait = "2500ms", name = "wait-search", limiter = attribute_guard())]
async fn search(result: actix_rateguard::CheckResult) -> String {
    waited(result).await
}

#[tokio::test(start_paused = true)]
async fn requests_get_their_turn_in_the_order_of_arrival_or_are_denied_immediately() {
    let guard = guard();
    let app = app!(guard, search);
    let arrivals = arrivals((0..30).map(|_| get(&app, 1, "/search"))).await;
    let (denied, admitted): (Vec<_>, Vec<_>) =
        arrivals.into_iter().partition(|it| it.response.status == 429);
    // The turn of each further request would be after 3 seconds, which is longer than its wait.
    assert_eq!(denied.iter().map(|it| it.number).collect::<Vec<_>>(), Vec::from_iter(15..30));
    for denial in &denied {
        assert_eq!((denial.at, denial.response.header("retry-after")), (0, Some("3")));
        assert_eq!(
            denial.response.numbers().map(|[limit, remaining, _]| [limit, remaining]),
            Some([5, 0])
        );
    }
    assert_eq!(admitted.iter().map(|it| it.number).collect::<Vec<_>>(), Vec::from_iter(0..15));
    for it in &admitted {
        let second = it.number as u128 / 5;
        assert_eq!(it.at, second * 10, "{}", it.number);
        assert_eq!(it.response.body, it.at.to_string(), "it reports how long it waited");
        // The fields report the decision after the wait.
        let expected = [5, 4 - it.number as u64 % 5];
        let numbers = it.response.numbers();
        assert_eq!(numbers.map(|[limit, remaining, _]| [limit, remaining]), Some(expected));
        assert_eq!(it.response.header("retry-after"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_follow_every_algorithm() {
    for (rate, expected) in [
        ("2/second", [0, 0, 10, 10, 20, 20]),
        ("2/second fixed_window", [0, 0, 10, 10, 20, 20]),
        ("2/second token_bucket", [0, 0, 5, 10, 15, 20]),
        ("2/second token_bucket burst 1", [0, 5, 10, 15, 20, 25]),
    ] {
        let guard = guard();
        let limit = Limit::new(rate).key("global").wait("60s");
        let limit = RateLimit::new(&guard, limit);
        let app = App::new().wrap(limit).route("/", web::get().to(waited));
        let app = init_service(app).await;
        let arrivals = arrivals((0..6).map(|_| get(&app, 1, "/"))).await;
        let times: Vec<_> = arrivals.iter().map(|it| (it.number, it.at)).collect();
        assert_eq!(times, Vec::from_iter(expected.into_iter().enumerate()), "{rate}");
    }
}

#[tokio::test(start_paused = true)]
async fn request_in_no_hurry_does_not_wait() {
    let guard = guard();
    let app = app!(guard, search);
    for _ in 0..5 {
        assert_eq!(get(&app, 1, "/search").await.body, "0");
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(get(&app, 1, "/search").await.body, "0");
}
