//! Metrics for Prometheus under `/metrics`.
//!
//! ```sh
//! cargo run --example metrics
//! for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{http_code}\n' 127.0.0.1:8080/search; done
//! curl -s 127.0.0.1:8080/metrics | grep decisions   # five allowed by `search`, one denied
//! curl -s 127.0.0.1:8080/metrics                    # all metrics
//! ```
//!
//! With `REDIS_URL=redis://127.0.0.1:6379`, there are also metrics of Redis: its latency, and its errors when you stop
//! it. `dashboards/rateguard.json` is a Grafana dashboard of these metrics.
//!
//! In a project of your own, this program also needs the feature `metrics` of `actix-rateguard`, and the
//! dependency `metrics-exporter-prometheus = "0.18"`.

use std::{env, error::Error, time::Duration};

use actix_rateguard::{
    Limit, RateGuard, RateLimit,
    metrics::{STORE_DURATION_BUCKETS, STORE_DURATION_SECONDS},
    rate_limit,
};
use actix_web::{App, HttpServer, Responder, get, rt, web};
use env_logger::Env;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

#[get("/search")]
#[rate_limit(rate = "5/10s", key = "ip", name = "search")]
async fn search() -> impl Responder {
    "Nothing found.\n"
}

/// In production, serve this on a port that is not public.
#[get("/metrics")]
async fn metrics(
    guard: web::Data<RateGuard>,
    recorder: web::Data<PrometheusHandle>,
) -> impl Responder {
    guard.update_gauges();
    recorder.render()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init_from_env(Env::default().default_filter_or("info"));
    let histogram = Matcher::Full(STORE_DURATION_SECONDS.to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(histogram, &STORE_DURATION_BUCKETS)?
        .install_recorder()?;
    let guard = match env::var("REDIS_URL") {
        Ok(url) => RateGuard::redis(url).prefix("metrics").build()?,
        Err(_) => RateGuard::in_memory(),
    };

    // Without this, the recorder stores all samples of histograms until the next request for `/metrics`.
    let upkeep = recorder.clone();
    rt::spawn(async move {
        loop {
            rt::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    HttpServer::new(move || {
        let app = App::new()
            .app_data(guard.clone())
            .app_data(web::Data::new(guard.clone()))
            .app_data(web::Data::new(recorder.clone()));
        app.service(metrics).service(
            web::scope("")
                .wrap(RateLimit::new(&guard, Limit::new("100/minute").name("all")))
                .service(search),
        )
    })
    .bind(("127.0.0.1", 8080))?
    .run()
    .await?;
    Ok(())
}
