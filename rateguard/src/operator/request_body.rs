//! The bodies of requests to the endpoints, and the key that a body selects.

use std::{cell::Cell, net::IpAddr};

use actix_rateguard_core::adapter::{KeyValue, Network, OperatorKey, VALUE, operator_key};
use actix_rateguard_grammar::suggest;
use actix_web::{HttpRequest, http::header::CONTENT_TYPE, web};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{key_type::key_type, problem::Problem};
use crate::{Key, Policy, RateGuard, client, inventory::FUNCTION, key::require_enabled_parts};

/// The maximum size of a request body in bytes.
const MAX_BODY: usize = 64 * 1_024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeySelector {
    pub(super) policy: String,
    pub(super) key: Option<Values>,
    pub(super) address: Option<String>,
    pub(super) by: Option<String>,
    pub(super) key_digest: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BanBody {
    policy: String,
    key: Option<Values>,
    address: Option<String>,
    by: Option<String>,
    key_digest: Option<String>,
    pub(super) for_seconds: f64,
}

/// The field `key` of a body. It has one value, or a list with one value for each part of the key.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`key`: expected text, a whole number, or a list of them")]
pub(super) enum Values {
    One(BodyValue),
    Several(Vec<BodyValue>),
}

/// One value of the field `key`.
#[derive(Deserialize, Serialize)]
#[serde(untagged, expecting = "`key`: expected text, a whole number, or a list of them")]
pub(super) enum BodyValue {
    Text(String),
    Natural(u64),
    Whole(i64),
}

impl BodyValue {
    fn key_value(&self) -> KeyValue {
        match self {
            Self::Text(text) => KeyValue::Text(text.clone()),
            Self::Natural(number) => KeyValue::Natural(*number),
            Self::Whole(number) => KeyValue::Whole(*number),
        }
    }
}

/// The key that a request body selects, and the policy for this key.
pub(super) struct SelectedKey {
    pub(super) policy: Policy,
    pub(super) key: Key,
    /// Whether other clients of the same IPv6 network share this key.
    pub(super) is_shared: bool,
    pub(super) address: Option<IpAddr>,
    /// The fields of the request body that selected the key. The response repeats these fields.
    pub(super) echo: Value,
}

/// Reads a JSON request body of at most [`MAX_BODY`] bytes.
pub(super) async fn read<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, Problem> {
    // The endpoints accept only the type `application/json`. A web page of another origin cannot send a request with
    // this type unless a CORS preflight allows the request.
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|it| it.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::media_type());
    }
    let body =
        payload.to_bytes_limited(MAX_BODY).await.map_err(|_| Problem::too_large(MAX_BODY))?;
    let body = body.map_err(|_| Problem::bad("failed to read the request body"))?;
    // For a struct, Serde also accepts a JSON list of the field values. The documented format is only an object, so
    // a list is an error.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad("expected a JSON object"));
    }
    serde_json::from_slice(&body).map_err(|error| Problem::bad(error.to_string()))
}

impl BanBody {
    pub(super) fn into_selector(self) -> KeySelector {
        let Self { policy, key, address, by, key_digest, .. } = self;
        KeySelector { policy, key, address, by, key_digest }
    }
}

impl KeySelector {
    /// Finds the policy and builds the key that the body selects.
    ///
    /// # Errors
    ///
    /// A [`Problem`] with status 404 if no limit and no policy has the name, or with status 400 if the values do
    /// not form a key of this limit or policy.
    pub(super) fn select(self, guard: &RateGuard) -> Result<SelectedKey, Problem> {
        let Self { policy: name, key, address, by, key_digest } = self;
        let policy = guard.policy_of_limit(&name).ok_or_else(|| unknown_policy(guard, &name))?;
        if let Some(digest) = key_digest {
            if key.is_some() || address.is_some() || by.is_some() {
                return Err(Problem::bad(
                    "expected `key_digest` alone, found it together with `key`, `address` or `by`; remove one of them",
                ));
            }
            return select_digest(guard, policy, &digest);
        }
        let values = match key {
            None => Vec::new(),
            Some(Values::One(value)) => vec![value],
            Some(Values::Several(values)) => values,
        };
        let by = key_type(guard, &name, by)?;
        require_enabled_parts(&by).map_err(Problem::bad)?;
        let key_values: Vec<KeyValue> = values.iter().map(BodyValue::key_value).collect();
        // If a function reads the key of a limit, the values of the operator are those that the function returns.
        let key_type = if by == FUNCTION { VALUE } else { &by };
        let input = OperatorKey { by: key_type, values: &key_values, address: address.as_deref() };
        let is_shared = Cell::new(false);
        let network_of = |address, bits| {
            let network = client::network_of(guard.http(), Some(address), bits);
            is_shared.set(is_shared.get() || matches!(network, Network::SharedV6(_)));
            network
        };
        let key = operator_key(&input, &network_of).map_err(Problem::bad)?;
        let client = address.as_ref().and_then(|address| address.parse().ok());
        let echo = json!({ "policy": name, "by": by, "key": values, "address": address });
        Ok(SelectedKey { policy, key, is_shared: is_shared.get(), address: client, echo })
    }
}

/// Selects the key with this digest.
fn select_digest(guard: &RateGuard, policy: Policy, digest: &str) -> Result<SelectedKey, Problem> {
    let bytes = parse_digest(digest).ok_or_else(|| {
        Problem::bad(
            "`key_digest`: expected 32 hexadecimal digits, as in `denied_keys` of `GET statistics`",
        )
    })?;
    let key = guard.key_of_digest(bytes).ok_or_else(|| {
        Problem::unknown(
            "`key_digest`: expected the digest of a key that was denied in the last minutes, because the store in memory has no digests; send `key` or `address` instead",
        )
    })?;
    let echo = json!({ "policy": policy.name(), "by": "key_digest", "key_digest": digest });
    Ok(SelectedKey { policy, key, is_shared: false, address: None, echo })
}

fn parse_digest(text: &str) -> Option<[u8; 16]> {
    let is_valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_valid.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(u128::to_be_bytes)
}

/// Returns the error for a name that no limit and no policy of the guard has.
fn unknown_policy(guard: &RateGuard, name: &str) -> Problem {
    let (inventory, policies) = (guard.inventory(), guard.current_policies());
    let limits = inventory.limits().iter().map(|limit| limit.name.as_str());
    let names = limits.chain(policies.iter().map(Policy::name));
    let suggestion =
        suggest(name, names).map_or(String::new(), |name| format!("did you mean `{name}`? "));
    Problem::unknown(format!(
        "`policy`: {suggestion}expected the name of a limit or policy; `GET inventory` and `GET policies` list them"
    ))
}
