//! The limits for which a request is explained: the policies of a file, or the limits in the inventory of a server.

use std::path::Path;

use actix_rateguard_core::{
    AccessList, ClientAddress, MissingKey, OnError, Quotas, RateGuard, adapter::NamedPolicy,
};
use serde_json::{Value, json};

use crate::{exit::Failure, policies_file::open_valid};

/// The limits, and the settings that apply to all of them.
pub(super) struct Limits {
    pub(super) limits: Vec<Limit>,
    pub(super) access: AccessList,
    /// `None` if only the server knows the rule.
    pub(super) client_address: Option<ClientAddress>,
}

/// The settings of one limit.
pub(super) struct Limit {
    pub(super) name: String,
    /// The key in the notation of the attribute. `None` if the program sets it, or reads it with a function.
    pub(super) key: Option<String>,
    /// The methods to which the limit applies; all methods if the list is empty.
    pub(super) methods: Vec<String>,
    /// `None` if the program sets it.
    pub(super) missing_key: Option<MissingKey>,
    /// The fields that explain the limit, as in the JSON output.
    pub(super) settings: Value,
}

impl Limits {
    /// Reads the policies of a file.
    pub(super) fn of_file(path: &Path) -> Result<Self, Failure> {
        let guard = open_valid(path)?;
        let set = guard.policy_set();
        let mut limits: Vec<Limit> =
            set.named().map(|named| Limit::of_policy(&guard, named)).collect();
        limits.sort_by(|one, other| one.name.cmp(&other.name));
        let rule = guard.http_settings().client_address.clone();
        let client_address = Some(rule.unwrap_or_else(ClientAddress::peer));
        Ok(Self { limits, access: set.access.clone(), client_address })
    }

    /// Reads the response of `GET inventory`.
    pub(super) fn of_inventory(inventory: &Value) -> Self {
        let limits = inventory["limits"].as_array().into_iter().flatten().map(Limit::of_json);
        Self { limits: limits.collect(), access: AccessList::new(), client_address: None }
    }
}

impl Limit {
    fn of_policy(guard: &RateGuard, named: &NamedPolicy) -> Self {
        let NamedPolicy { policy, overrides, .. } = named;
        let candidate = policy.candidate_quotas();
        let methods = overrides.methods.as_ref();
        Self {
            name: policy.name().to_owned(),
            key: overrides.key.as_ref().map(|key| key.notation()),
            methods: methods.map_or(Vec::new(), |methods| methods.names().to_vec()),
            missing_key: overrides.missing,
            settings: json!({
                "quotas": texts(policy.quotas()),
                "candidate": candidate.map(|(quotas, _)| texts(quotas)),
                "rollout_percent": candidate.map(|(_, percent)| percent),
                "is_in_shadow": policy.is_in_shadow(),
                "ban": policy.own_ban().map(|ban| ban.to_string()),
                "on_error": match guard.on_error_of(Some(policy)) {
                    OnError::Closed => "closed",
                    OnError::Local => "local",
                    _ => "open",
                },
                "cost": overrides.cost,
                "count": overrides.count.map(|count| count.to_string()),
                "wait_seconds": overrides.wait.map(|wait| wait.as_secs_f64()),
            }),
        }
    }

    fn of_json(limit: &Value) -> Self {
        let text = |name: &str| limit[name].as_str().unwrap_or_default().to_owned();
        let quotas = |name: &str| {
            let quotas = limit[name].as_array()?.iter();
            Some(quotas.filter_map(|quota| quota["text"].as_str()).collect::<Vec<_>>())
        };
        let methods = limit["methods"].as_array().into_iter().flatten();
        Self {
            name: text("name"),
            key: Some(text("key")).filter(|key| key != "function"),
            methods: methods.filter_map(|it| it.as_str().map(str::to_owned)).collect(),
            missing_key: text("missing_key").parse().ok(),
            settings: json!({
                "quotas": quotas("quotas"),
                "candidate": quotas("candidate"),
                "rollout_percent": limit["rollout_percent"],
                "is_in_shadow": limit["is_in_shadow"],
                "ban": limit["ban"],
                "on_error": limit["on_error"],
                "cost": limit["cost"],
                "count": limit["count"],
                "wait_seconds": limit["wait_seconds"],
            }),
        }
    }

    /// Returns the quotas as one text, with the candidate quotas.
    pub(super) fn quotas_text(&self) -> String {
        let joined = |value: &Value| {
            let texts = value.as_array()?.iter().filter_map(Value::as_str);
            Some(texts.collect::<Vec<_>>().join("; "))
        };
        let quotas = joined(&self.settings["quotas"]).unwrap_or_else(|| "per request".to_owned());
        match joined(&self.settings["candidate"]) {
            Some(candidate) => {
                let percent = self.settings["rollout_percent"].as_u64().unwrap_or_default();
                format!("{quotas} (candidate {candidate} for {percent} %)")
            }
            None => quotas,
        }
    }
}

fn texts(quotas: &Quotas) -> Vec<String> {
    quotas.iter().map(ToString::to_string).collect()
}
