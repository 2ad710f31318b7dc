//! What operators write: bodies, and whose key they mean.

use std::{cell::Cell, net::IpAddr};

use actix_web::{HttpRequest, http::header::CONTENT_TYPE, web};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{counted_by::counted_by, described::Described, problem::Problem};
use crate::{
    Key, Policy, RateGuard,
    client::Network,
    http::{
        self,
        key::{ByHand, key_by_hand},
    },
};

/// A body has so many bytes at the most.
const MOST: usize = 64 * 1_024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Somebody {
    pub(super) policy: String,
    pub(super) key: Option<Values>,
    pub(super) address: Option<String>,
    pub(super) by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Banned {
    policy: String,
    key: Option<Values>,
    address: Option<String>,
    by: Option<String>,
    pub(super) for_seconds: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Explained {
    policy: Option<String>,
    key: Option<Values>,
    address: Option<String>,
    by: Option<String>,
    pub(super) request: Option<Described>,
    pub(super) limits: Option<Vec<String>>,
}

/// One value, or one for each part of the key.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`key` is text, a whole number, or a list of them")]
pub(super) enum Values {
    One(Part),
    Several(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`key` is text, a whole number, or a list of them")]
pub(super) enum Part {
    Text(String),
    Natural(u64),
    Whole(i64),
}

impl Part {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Natural(number) => number.to_string(),
            Self::Whole(number) => number.to_string(),
        }
    }
}

/// A key that was found, under its policy.
pub(super) struct Found {
    pub(super) policy: Policy,
    pub(super) key: Key,
    /// Other clients of its network are counted under it, too.
    pub(super) is_shared: bool,
    pub(super) address: Option<IpAddr>,
    /// What the operator said, to be said again.
    pub(super) said: Value,
}

/// Reads a body of bounded size.
pub(super) async fn read<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<T, Problem> {
    // A page of another origin cannot send this without being asked for its permission first.
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|it| it.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem::media_type());
    }
    let body = payload.to_bytes_limited(MOST).await.map_err(|_| Problem::too_large(MOST))?;
    let body = body.map_err(|_| Problem::bad("the body did not come whole"))?;
    // Serde takes a list for an object without names.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad("a body here is a JSON object"));
    }
    serde_json::from_slice(&body).map_err(|error| Problem::bad(error.to_string()))
}

impl Banned {
    pub(super) fn into_somebody(self) -> Somebody {
        let Self { policy, key, address, by, .. } = self;
        Somebody { policy, key, address, by }
    }
}

impl Explained {
    /// Somebody by key, if there is no request.
    pub(super) fn into_somebody(self) -> Result<Somebody, Problem> {
        let Self { policy, key, address, by, limits, .. } = self;
        match (policy, limits) {
            (Some(policy), None) => Ok(Somebody { policy, key, address, by }),
            _ => Err(Problem::bad(
                "either a `request`, with `limits` or without, or a `policy` with `key`, `address` or both is explained",
            )),
        }
    }

    pub(super) fn names_somebody(&self) -> bool {
        self.policy.is_some() || self.key.is_some() || self.address.is_some() || self.by.is_some()
    }
}

impl Somebody {
    pub(super) fn find(self, guard: &RateGuard) -> Result<Found, Problem> {
        let Self { policy: name, key, address, by } = self;
        let policy = guard.known_policy(&name).ok_or_else(|| {
            Problem::unknown(
                "no limit or policy has this name; `GET inventory` and `GET policies` have those that exist",
            )
        })?;
        let values: Vec<String> = match key {
            None => Vec::new(),
            Some(Values::One(part)) => vec![part.into_text()],
            Some(Values::Several(parts)) => parts.into_iter().map(Part::into_text).collect(),
        };
        let by = counted_by(guard, &name, by)?;
        let by_hand = ByHand { by: &by, values: &values, address: address.as_deref() };
        let is_shared = Cell::new(false);
        let counted_as = |address, bits| {
            let network = http::counted_as(guard, Some(address), bits);
            is_shared.set(is_shared.get() || matches!(network, Network::SharedV6(_)));
            network
        };
        let key = key_by_hand(&by_hand, &counted_as).map_err(Problem::bad)?;
        let client = address.as_ref().and_then(|address| address.parse().ok());
        let said = json!({ "policy": name, "by": by, "key": values, "address": address });
        Ok(Found { policy, key, is_shared: is_shared.get(), address: client, said })
    }
}
