//! The endpoints for overrides, which replace the quotas of a policy for one key.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    audit::AuditEntry,
    json::{quotas, until},
    problem::{EndpointResult, Problem},
    request_body::{KeySelector, SelectedKey, Values, read},
    response::{merge, with_version},
};
use crate::{QuotaOverride, Quotas, RateGuard, error::OverrideError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideBody {
    policy: String,
    key: Option<Values>,
    address: Option<String>,
    by: Option<String>,
    key_digest: Option<String>,
    quotas: String,
    for_seconds: f64,
    description: Option<String>,
}

pub(super) fn list(guard: &RateGuard) -> Value {
    let overrides: Vec<Value> = guard.overrides().iter().map(listed).collect();
    json!({ "overrides": overrides })
}

fn listed(listed: &QuotaOverride) -> Value {
    let fields = json!({
        "policy": listed.policy,
        "key_digest": listed.key_digest,
        "description": listed.description,
    });
    merge(fields, values(&listed.quotas, listed.ends_after))
}

/// Returns the fields that a new override and a listed override have.
fn values(of: &Quotas, ends_after: Duration) -> Value {
    json!({
        "quotas": quotas(of),
        "ends_after_seconds": ends_after.as_secs_f64(),
        "ends_at_unix_seconds": until(ends_after),
    })
}

/// Sets the override that the body of the request describes.
pub(super) async fn set(
    guard: &RateGuard,
    request: &HttpRequest,
    payload: web::Payload,
    entry: &mut AuditEntry,
) -> EndpointResult {
    let body: OverrideBody = read(request, payload).await?;
    let OverrideBody { policy, key, address, by, key_digest, quotas, for_seconds, description } =
        body;
    entry.set_policy(&policy);
    entry.set_seconds(for_seconds);
    let quotas: Quotas =
        quotas.parse().map_err(|error| Problem::bad(format!("`quotas`: {error}")))?;
    entry.set_quotas(&quotas);
    let length = Duration::try_from_secs_f64(for_seconds)
        .map_err(|_| Problem::bad(OverrideError::Length.to_string()))?;
    let SelectedKey { policy, key, is_shared, echo, .. } =
        KeySelector { policy, key, address, by, key_digest }.select(guard)?;
    entry.set_by(echo["by"].as_str().unwrap_or_default());
    if is_shared {
        return Err(Problem::conflict(
            "this client shares its key with other clients of its network, so an override would apply to them, too",
        ));
    }
    let new = quotas.clone();
    let result = match description {
        Some(text) => guard.set_described_override(&policy, &key, new, length, text).await,
        None => guard.set_override(&policy, &key, new, length).await,
    };
    match result {
        Ok(()) => Ok(merge(echo, values(&quotas, length))),
        Err(error) => Err(problem(&error, echo)),
    }
}

/// Removes the override of the selected key.
pub(super) async fn remove(guard: &RateGuard, selected: SelectedKey) -> EndpointResult {
    let SelectedKey { policy, key, echo, .. } = selected;
    match guard.remove_override(&policy, &key).await {
        Ok(was_overridden) => Ok(merge(echo, json!({ "was_overridden": was_overridden }))),
        Err(error) => Err(problem(&error, echo)),
    }
}

fn problem(error: &OverrideError, echo: Value) -> Problem {
    match error {
        OverrideError::Store(_) => Problem::store_failed(error.to_string(), with_version(echo)),
        OverrideError::Length | OverrideError::Description | OverrideError::Quota(_) => {
            Problem::bad(error.to_string())
        }
        _ => Problem::conflict(error.to_string()),
    }
}
