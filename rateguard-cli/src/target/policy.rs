//! The policy of a key in Redis. Redis has only counts, so the user names the quotas or the policies file.

use actix_rateguard_core::{
    AccessList, OnError, Policy,
    adapter::{Network, NetworkOf, suggest},
};

use super::arguments::TargetArguments;
use crate::{commands::check::open_valid, exit::Failure};

/// The number of leading bits of an IPv6 address that identify one client, if the policies file does not set it.
const IPV6_BITS: u8 = 64;

/// A policy, and the settings of the policies file with which it forms the names of buckets.
pub(crate) struct TargetPolicy {
    pub(crate) policy: Policy,
    /// The key of the policy in the policies file.
    pub(super) key: Option<String>,
    ipv6_bits: u8,
    pub(crate) access: AccessList,
}

impl TargetArguments {
    /// Returns the policy of this name, from the policies file or with the quotas of `--rate`.
    pub(crate) fn policy(&self, name: &str) -> Result<TargetPolicy, Failure> {
        let (policy, key, ipv6_bits, access) = match (&self.policies, &self.rate) {
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
                let rule = guard.http_settings().client_address.as_ref();
                (
                    named.policy.clone(),
                    key,
                    rule.map_or(IPV6_BITS, |rule| rule.ipv6_bits()),
                    set.access.clone(),
                )
            }
            (None, Some(rate)) => {
                let mut policy = Policy::new(name.to_owned(), rate.as_str())
                    .map_err(|error| Failure::usage(format!("`--rate`: {error}")))?;
                if let Some(ban) = &self.ban_setting {
                    policy = policy
                        .ban(ban.as_str())
                        .map_err(|error| Failure::usage(format!("`--ban-setting`: {error}")))?;
                }
                (policy, None, IPV6_BITS, AccessList::new())
            }
            (None, None) => {
                return Err(Failure::usage("expected the quotas of the policy, because Redis has only its counts")
                    .help("add `--policies FILE`, or the quotas of the limit, such as `--rate \"5/minute\"`"));
            }
        };
        // In the failure mode `local`, this program would decide in its own memory while Redis is down.
        Ok(TargetPolicy { policy: policy.on_error(OnError::Closed), key, ipv6_bits, access })
    }
}

impl TargetPolicy {
    /// Returns the function with which servers find the network of a client. A server with very many IPv6 clients may
    /// count a client under a shared key, which only that server knows.
    pub(super) fn network_of(&self) -> Box<NetworkOf<'_>> {
        Box::new(|address, bits| Network::of(Some(address), bits.unwrap_or(self.ipv6_bits)))
    }
}
