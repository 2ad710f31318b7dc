//! Tests waits of requests that have several limits, or pass a limit several times.

use actix_rateguard::{Limit, Plan, RateLimit};
use actix_web::{App, HttpRequest, HttpResponse, test::init_service, web};

use super::{arrivals, guard, waited};
use crate::support::app::get;

/// Sends requests at the same time, and returns the status and the time of each response in tenths of a second.
async fn outcomes(limits: Vec<Limit>, requests: usize) -> Vec<(u16, u128)> {
    let guard = guard();
    let mut limits = limits.into_iter();
    let first = RateLimit::new(&guard, limits.next().unwrap());
    let limit = limits.fold(first, RateLimit::and);
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(waited))).await;
    let mut arrivals = arrivals((0..requests).map(|_| get(&app, 1, "/"))).await;
    arrivals.sort_by_key(|it| it.number);
    arrivals.iter().map(|it| (it.response.status, it.at)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_limit_bounds_the_wait_for_its_own_room() {
    let limit =
        |rate: &'static str, name, wait| Limit::new(rate).key("global").name(name).wait(wait);
    for (limits, expected) in [
        // A limit without a wait denies the request immediately, and the other limit does not make it wait.
        (
            vec![limit("1/second", "a", "10s"), limit("1/hour", "b", "0s")],
            [(200, 0), (429, 0), (429, 0)],
        ),
        (
            vec![limit("1/second", "a", "0s"), limit("9/hour", "b", "10s")],
            [(200, 0), (429, 0), (429, 0)],
        ),
        // Only the limit that denies the request bounds its wait.
        (
            vec![limit("1/second", "a", "10s"), limit("9/hour", "b", "0s")],
            [(200, 0), (200, 10), (200, 20)],
        ),
        (
            vec![limit("1/second", "a", "1500ms"), limit("9/hour", "b", "10s")],
            [(200, 0), (200, 10), (429, 0)],
        ),
        (
            vec![limit("1/second", "a", "10s"), limit("1/3s", "b", "4s")],
            [(200, 0), (200, 30), (429, 0)],
        ),
        (
            vec![limit("1/3s", "a", "40s"), limit("1/second", "b", "40s")],
            [(200, 0), (200, 30), (200, 60)],
        ),
    ] {
        let names = format!("{limits:?}");
        assert_eq!(outcomes(limits, 3).await, expected, "{names}");
    }
}

#[tokio::test(start_paused = true)]
async fn plan_and_permits_have_the_same_wait() {
    let plan = Limit::plan(|_: &HttpRequest| Plan::of("2/second")).key("global").wait("10s");
    assert_eq!(outcomes(vec![plan], 4).await, [(200, 0), (200, 0), (200, 10), (200, 10)]);

    let guard = guard();
    let limit = Limit::new("2 concurrent").key("global").wait("1s");
    let handler = async || {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        "done"
    };
    let app = App::new().wrap(RateLimit::new(&guard, limit)).route("/", web::get().to(handler));
    let app = init_service(app).await;
    let arrivals = arrivals((0..12).map(|_| get(&app, 1, "/"))).await;
    let admitted = arrivals.iter().filter(|it| it.response.status == 200);
    assert!(admitted.clone().map(|it| it.number).is_sorted());
    // The permits come back after 300 ms, and each waiting request asks for one at least every 125 ms.
    assert!((6..=8).contains(&admitted.count()), "{}", arrivals.len());
    let denied = arrivals.iter().filter(|it| it.response.status == 429);
    assert!(denied.clone().all(|it| it.at >= 10), "a denied request has waited");
}

#[tokio::test(start_paused = true)]
async fn units_of_a_response_that_does_not_count_are_refunded_after_a_wait() {
    let guard = guard();
    let limit = Limit::new("1/10s").key("global").count("failure").wait("11s");
    let app = App::new().wrap(RateLimit::new(&guard, limit));
    let app = app.route("/ok", web::get().to(HttpResponse::Ok));
    let app = init_service(app.route("/bad", web::get().to(HttpResponse::BadRequest))).await;
    let send = async |paths: &[&str]| -> Vec<_> {
        let arrivals = arrivals(paths.iter().map(|path| get(&app, 1, path))).await;
        arrivals.iter().map(|it| (it.response.status, it.at)).collect()
    };
    // The turn of the third request would be too late if the response of the second counted.
    assert_eq!(send(&["/bad", "/ok", "/ok"]).await, [(400, 0), (429, 0), (200, 100)]);
    assert_eq!(send(&["/ok", "/bad"]).await, [(200, 0), (400, 0)]);
}

#[tokio::test(start_paused = true)]
async fn repeated_limit_is_waited_for_once() {
    let guard = guard();
    let limit =
        || RateLimit::new(&guard, Limit::new("1/second").key("global").name("w").wait("9s"));
    let scope = web::scope("/scope").wrap(limit()).route("", web::get().to(waited));
    let app = init_service(App::new().wrap(limit()).service(scope)).await;
    let arrivals = arrivals((0..3).map(|_| get(&app, 1, "/scope"))).await;
    let times: Vec<_> = arrivals.iter().map(|it| (it.at, it.response.body.as_str())).collect();
    assert_eq!(times, [(0, "0"), (10, "10"), (20, "20")]);
}

#[tokio::test(start_paused = true)]
async fn shadow_mode_makes_no_request_wait() {
    let shadow = Limit::new("1/second").key("global").shadow().wait("9s");
    assert_eq!(outcomes(vec![shadow], 3).await, [(200, 0); 3]);
    let candidate = Limit::new("9/second").key("global").candidate("1/second").wait("9s");
    assert_eq!(outcomes(vec![candidate], 3).await, [(200, 0); 3]);
}

#[tokio::test(start_paused = true)]
async fn only_a_final_denial_is_an_offence() {
    let guard = guard();
    let limit = Limit::new("1/second").key("global").ban("3/hour for 1m").wait("1500ms");
    let limit = RateLimit::new(&guard, limit);
    let app = init_service(App::new().wrap(limit).route("/", web::get().to(waited))).await;
    let statuses = async |requests| -> Vec<u16> {
        let mut arrivals = arrivals((0..requests).map(|_| get(&app, 1, "/"))).await;
        arrivals.sort_by_key(|it| it.number);
        arrivals.iter().map(|it| it.response.status).collect()
    };
    for _ in 0..10 {
        // A request that waits is no offence.
        assert_eq!(statuses(1).await, [200]);
    }
    assert_eq!(statuses(3).await, [200, 429, 429]);
    // The third offence starts a ban, which also denies the request that waits.
    assert_eq!(statuses(2).await, [429, 429]);
    let ban = get(&app, 1, "/").await.header("retry-after").unwrap().parse().unwrap();
    assert!((50..=60).contains(&ban), "{ban}");
}
