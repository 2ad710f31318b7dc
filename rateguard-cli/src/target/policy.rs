//! The policy of a key in Redis. Redis has only counts, so the user names the quotas or the policies file.

use std::net::IpAddr;

use actix_rateguard_core::{
    AccessList, ClientAddress, Key, OnError, Policy, RateGuard,
    adapter::{Access, Network, ResolvedClient, canonical, suggest},
};

use super::{arguments::TargetArguments, key::KeyValues};
use crate::{exit::Failure, policies_file::open_valid};

/// A policy, and the settings of the policies file with which it forms the names of buckets.
pub(crate) struct TargetPolicy {
    pub(crate) policy: Policy,
    /// The key of the policy in the policies file.
    key: Option<String>,
    rule: ClientAddress,
    access: AccessList,
}

impl TargetArguments {
    /// Returns the policy of this name, from the policies file or with the quotas of `--rate`.
    pub(crate) fn policy(&self, name: &str) -> Result<TargetPolicy, Failure> {
        let (policy, key, rule, access) = match (&self.policies, &self.rate) {
            (Some(path), _) => {
                let guard = open_valid(path)?;
                let set = guard.policy_set();
                let named = set.peek_policy(name).ok_or_else(|| {
                    let failure = Failure::usage(format!(
                        "expected a policy of the policies file, found `{name}`"
                    ));
                    match suggest(name, set.policy_names()) {
                        Some(similar) => failure.help(format!("did you mean `{similar}`?")),
                        None => failure.help(format!(
                            "the file has the policies {}",
                            set.policy_names().join(", ")
                        )),
                    }
                })?;
                let key = named.overrides.key.as_ref().map(|key| key.notation());
                let rule = guard.http_settings().client_address.clone();
                let rule = rule.unwrap_or_else(ClientAddress::peer);
                (named.policy.clone(), key, rule, set.access.clone())
            }
            (None, Some(rate)) => {
                let mut policy = Policy::new(name.to_owned(), rate.as_str())
                    .map_err(|error| Failure::usage(format!("`--rate`: {error}")))?;
                if let Some(ban) = &self.ban_setting {
                    policy = policy
                        .ban(ban.as_str())
                        .map_err(|error| Failure::usage(format!("`--ban-setting`: {error}")))?;
                }
                (policy, None, ClientAddress::peer(), AccessList::new())
            }
            (None, None) => {
                return Err(Failure::usage("expected the quotas of the policy, because Redis has only its counts")
                    .help("add `--policies FILE`, or the quotas of the limit, such as `--rate \"5/minute\"`"));
            }
        };
        // In the failure mode `local`, this program would decide in its own memory while Redis is down.
        Ok(TargetPolicy { policy: policy.on_error(OnError::Closed), key, rule, access })
    }
}

impl TargetPolicy {
    /// Returns the key in the store. A server with very many IPv6 clients may count a client under a shared key, which
    /// only that server knows.
    pub(crate) fn key_of(&self, values: &KeyValues, guard: &RateGuard) -> Result<Key, Failure> {
        let network_of = |address, bits: Option<u8>| {
            Network::of(Some(address), bits.unwrap_or(self.rule.ipv6_bits()))
        };
        values.key(self.key.as_deref(), &network_of, guard)
    }

    /// Returns the entry of the policies file's access list that decides on the client, as its name in the operator
    /// endpoints and as text.
    pub(crate) fn listed(&self, address: Option<IpAddr>, key: &Key) -> Option<Listed> {
        let address = address.map(canonical);
        let is_proxy = address.is_some_and(|address| self.rule.is_proxy(address));
        let client = ResolvedClient { address, is_proxy };
        let of_client = address.map_or(Access::Unlisted, |_| self.access.of_client(client));
        let of_key = || self.access.of_key(key, || client.is_unreliable_key(key));
        match (of_client, of_key()) {
            (Access::Allowed, _) => {
                Some(Listed::allowed("address_allowed", "the access list allows the address"))
            }
            (Access::Denied, _) => {
                Some(Listed::denied("address_denied", "the access list denies the address"))
            }
            (_, Access::Allowed) => {
                Some(Listed::allowed("key_allowed", "the access list allows the key"))
            }
            (_, Access::Denied) => {
                Some(Listed::denied("key_denied", "the access list denies the key"))
            }
            (Access::Unlisted, Access::Unlisted) => None,
        }
    }
}

/// A decision of an access list.
pub(crate) struct Listed {
    pub(crate) is_allowed: bool,
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
}

impl Listed {
    fn allowed(name: &'static str, text: &'static str) -> Self {
        Self { is_allowed: true, name, text }
    }

    fn denied(name: &'static str, text: &'static str) -> Self {
        Self { is_allowed: false, name, text }
    }
}
