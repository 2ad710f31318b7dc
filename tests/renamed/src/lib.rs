//! The attribute in a crate that renames its dependency on actix-rateguard.

#[cfg(test)]
mod tests {
    use actix_web::{
        App, get,
        test::{TestRequest, call_service, init_service},
    };

    /// A module in which a library can export RateGuard under another path.
    mod exported {
        pub(super) use limiter as inner;
    }

    #[get("/renamed")]
    #[limiter::rate_limit(rate = "3/minute", name = "outer")]
    #[limiter::rate_limit(rate = "1/minute", key = "global", cost = 1, name = "inner")]
    async fn renamed() -> &'static str {
        "ok"
    }

    #[get("/path")]
    #[limiter::rate_limit(rate = "1/minute", crate = exported::inner)]
    async fn with_path() -> &'static str {
        "ok"
    }

    #[actix_web::test]
    async fn attribute_works_under_another_crate_name_or_path() {
        let guard = limiter::RateGuard::in_memory();
        let app = App::new().app_data(guard).service(renamed).service(with_path);
        let app = init_service(app).await;
        for path in ["/renamed", "/path"] {
            let mut statuses = Vec::new();
            for _ in 0..2 {
                let request = TestRequest::get().uri(path).to_request();
                statuses.push(call_service(&app, request).await.status().as_u16());
            }
            assert_eq!(statuses, [200, 429], "{path}");
        }
    }
}
