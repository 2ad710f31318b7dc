//! The endpoint `statistics`: counts of checks, denied keys and the state of the processes.

use actix_rateguard_core::adapter::statistics_json;
use actix_web::{HttpRequest, web::Query};
use serde::Deserialize;

use super::problem::{EndpointResult, Problem};
use crate::RateGuard;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    /// The last interval that the client has read.
    after: Option<u64>,
}

pub(super) async fn statistics(guard: &RateGuard, request: &HttpRequest) -> EndpointResult {
    let parameters = Query::<Parameters>::from_query(request.query_string());
    let after = parameters.map_err(|_| {
        Problem::bad("expected no parameter, or `after` with the number of an interval")
    })?;
    let statistics = guard.statistics().await.ok_or_else(|| {
        Problem::conflict(
            "this guard has no statistics; add `.statistics(Statistics::new())` to its builder",
        )
    })?;
    Ok(statistics_json(&statistics, after.after))
}
