//! Tests the statistics of guards: counts of checks, denied keys, and the state of processes.

mod authorization;
mod deployments;
mod digests;
mod faults;
mod memory;
mod publications;
mod servers;

use actix_rateguard::{GuardStatistics, OutcomeCounts, RateGuard, StatisticsScope};
use serde_json::Value;

use crate::support::{
    eventually_async,
    server::{Response, Server, agent},
};

const TOKEN: &str = "statistics-token";

/// Sends a GET request with the token to an endpoint. The status of the response must be 200.
fn fetch(server: &Server, endpoint: &str) -> Value {
    let response = try_fetch(server, endpoint);
    assert_eq!(response.status, 200, "{}", response.body);
    serde_json::from_str(&response.body).unwrap()
}

fn try_fetch(server: &Server, endpoint: &str) -> Response {
    send(server, endpoint, &format!("Bearer {TOKEN}"))
}

fn send(server: &Server, endpoint: &str, authorization: &str) -> Response {
    let request = agent().get(server.url(&format!("/operator/{endpoint}")));
    Response::read(request.header("Authorization", authorization).call().unwrap())
}

fn post(server: &Server, endpoint: &str, body: &Value) -> Response {
    let request = agent().post(server.url(&format!("/operator/{endpoint}")));
    let request = request.header("Authorization", format!("Bearer {TOKEN}"));
    Response::read(request.content_type("application/json").send(body.to_string()).unwrap())
}

/// Returns the policy with this name in the statistics.
fn policy<'a>(statistics: &'a Value, name: &str) -> &'a Value {
    let policies = statistics["policies"].as_array().unwrap();
    let found = policies.iter().find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("expected {name}, found {policies:?}"))
}

/// Returns the sum of a list of numbers.
fn sum(list: &Value) -> u64 {
    list.as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).sum()
}

/// Returns the totals of a policy.
fn totals(statistics: &GuardStatistics, name: &str) -> OutcomeCounts {
    let found = statistics.policies.iter().find(|it| it.name == name);
    found.map(|it| it.totals).unwrap_or_default()
}

/// Reads the statistics of the fleet until they satisfy the condition.
async fn fleet_until(
    guard: &RateGuard,
    condition: impl Fn(&GuardStatistics) -> bool,
) -> GuardStatistics {
    let read = async || {
        let statistics = guard.statistics().await.unwrap();
        let is_fleet = statistics.scope == StatisticsScope::Fleet;
        (is_fleet && condition(&statistics)).then_some(statistics)
    };
    eventually_async("the statistics satisfy the condition", read).await
}
