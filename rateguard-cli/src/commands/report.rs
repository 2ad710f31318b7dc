//! The state of a key under a policy, as text and as JSON.

use actix_rateguard_core::{Decision, QuotaStatus, error::OverrideError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    exit::Failure,
    output::{Output, Style, Table, seconds},
    target::{KeyValues, Listed, failure_of_store},
};

/// The state of a key under a policy.
pub(crate) struct KeyReport {
    policy: String,
    key: String,
    /// The fields as the server sent them.
    all: Value,
    pub(crate) fields: Fields,
}

/// The fields that the text shows. The names are those of `POST explain` of the operator endpoints.
#[derive(Deserialize)]
pub(crate) struct Fields {
    outcome: String,
    because_text: Option<String>,
    pub(crate) passes: Option<bool>,
    retry_after_seconds: Option<f64>,
    banned_for_seconds: Option<f64>,
    would_deny: Option<bool>,
    is_denied_by_concurrency: Option<bool>,
    is_in_shadow: Option<bool>,
    is_rolled_out: Option<bool>,
    is_overridden: Option<bool>,
    statuses: Option<Vec<Status>>,
}

#[derive(Deserialize)]
pub(crate) struct Status {
    pub(crate) quota: String,
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) held: Option<u32>,
    reset_after_seconds: f64,
    retry_after_seconds: Option<f64>,
}

impl KeyReport {
    /// Reads the fields of a server.
    pub(crate) fn new(policy: &str, key: &KeyValues, all: Value) -> Result<Self, Failure> {
        let fields = Fields::deserialize(&all).map_err(|_| {
            Failure::unreachable("expected the response of `explain`, found other JSON")
        })?;
        Ok(Self { policy: policy.to_owned(), key: key.to_string(), all, fields })
    }

    pub(crate) fn statuses(&self) -> &[Status] {
        self.fields.statuses.as_deref().unwrap_or_default()
    }

    /// Returns the fields with the policy and the key as the user wrote them.
    pub(crate) fn json(&self) -> Value {
        let mut json = self.all.clone();
        json["version"] = 1.into();
        json["policy"] = self.policy.clone().into();
        json["key_text"] = self.key.clone().into();
        json
    }

    pub(crate) fn write(&self, output: &Output) -> Result<(), Failure> {
        let Self { policy, key, fields, .. } = self;
        let (style, verdict) = fields.verdict();
        output.line(style, format!("{policy} {key}: {verdict}"))?;
        if let Some(banned) = fields.banned_for_seconds {
            output.line(Style::Bad, format!("banned for {}", seconds(banned)))?;
        }
        for (is_set, text) in [
            (fields.is_overridden, "an override replaces the quotas of the policy for this key"),
            (fields.is_rolled_out, "the candidate quotas are enforced for this key"),
            (fields.is_in_shadow, "the policy is in shadow mode: it counts, and denies nothing"),
        ] {
            if is_set == Some(true) {
                output.line(Style::Warning, text)?;
            }
        }
        if self.statuses().is_empty() {
            return Ok(());
        }
        output.line(Style::Plain, "")?;
        let mut table = Table::new(&["QUOTA", "LIMIT", "REMAINING", "HELD", "RESET", "RETRY"])
            .numbers(&[1, 2, 3]);
        for status in self.statuses() {
            let style = if status.remaining == 0 { Style::Bad } else { Style::Plain };
            // A quota with room needs no retry.
            let retry = status.retry_after_seconds.filter(|retry| *retry > 0.0);
            table.row(
                style,
                vec![
                    status.quota.clone(),
                    status.limit.to_string(),
                    status.remaining.to_string(),
                    status.held.map_or("-".to_owned(), |held| held.to_string()),
                    seconds(status.reset_after_seconds),
                    retry.map_or("-".to_owned(), seconds),
                ],
            );
        }
        table.write(output)
    }
}

impl Fields {
    /// Returns what one more request would get.
    fn verdict(&self) -> (Style, String) {
        let retry = self
            .retry_after_seconds
            .map_or(String::new(), |it| format!(", retry after {}", seconds(it)));
        let because =
            self.because_text.as_deref().map_or(String::new(), |text| format!(": {text}"));
        match (self.outcome.as_str(), self.passes) {
            ("decided", Some(true)) if self.would_deny == Some(true) => {
                (Style::Warning, format!("allowed, would be denied without shadow mode{retry}"))
            }
            ("decided", Some(true)) => (Style::Good, "allowed".to_owned()),
            ("decided", _) if self.is_denied_by_concurrency == Some(true) => {
                (Style::Bad, format!("denied, all permits are held{retry}"))
            }
            ("decided", _) => (Style::Bad, format!("denied{retry}")),
            ("exempt", _) => (Style::Good, format!("exempt{because}")),
            ("rejected", _) => (Style::Bad, format!("rejected{because}")),
            (outcome, _) => (Style::Warning, format!("{outcome}{because}")),
        }
    }
}

/// Returns the fields of a decision, with the names of the operator endpoints.
pub(crate) fn decision(decision: &Decision) -> Value {
    let retry = |status: &QuotaStatus| status.retry_after().map(|it| it.as_secs_f64());
    let status = |status: &QuotaStatus| {
        json!({
            "quota": status.quota().to_string(),
            "limit": status.limit(),
            "remaining": status.remaining(),
            "held": status.held_permits(),
            "reset_after_seconds": status.reset_after().as_secs_f64(),
            "retry_after_seconds": retry(status),
        })
    };
    json!({
        "outcome": "decided",
        "because": null,
        "because_text": null,
        "passes": decision.is_allowed(),
        "retry_after_seconds": decision.retry_after().map(|it| it.as_secs_f64()),
        "banned_for_seconds": decision.banned_for().map(|it| it.as_secs_f64()),
        "would_deny": decision.would_deny(),
        "is_too_costly": decision.is_too_costly(),
        "is_denied_by_concurrency": decision.is_denied_by_concurrency(),
        "statuses": decision.statuses().iter().map(status).collect::<Vec<_>>(),
    })
}

/// Returns the fields of a decision of the access list, with the names of the operator endpoints.
pub(crate) fn listed(listed: &Listed) -> Value {
    json!({
        "outcome": if listed.is_allowed { "exempt" } else { "rejected" },
        "because": listed.name,
        "because_text": listed.text,
        "passes": listed.is_allowed,
        "retry_after_seconds": null,
        "banned_for_seconds": null,
        "would_deny": null,
        "is_too_costly": null,
        "is_denied_by_concurrency": null,
        "statuses": null,
    })
}

/// Returns the failure for an operation on overrides.
pub(crate) fn override_failure(error: &OverrideError) -> Failure {
    match error {
        OverrideError::Store(cause) => failure_of_store(*cause, error),
        OverrideError::Length | OverrideError::Description | OverrideError::Quota(_) => {
            Failure::usage(error)
        }
        error => Failure::problem(error),
    }
}
