//! The parts of a guard that are used to check or explain one request: policies, plans and access lists.

use std::fmt::Display;

#[cfg(feature = "macros")]
use actix_rateguard_core::adapter::NameRegistration;
use actix_rateguard_core::adapter::{Access, NamedPolicy, PolicySet, ResolvedClient, ThrottledLog};
use actix_rateguard_grammar::expected_one_of;
use actix_web::HttpRequest;

use crate::{
    AccessList, Key, RateGuard, client,
    not_checked::{Exemption, NotChecked, RejectReason},
};

/// The policies, plans and access lists that the limits of one middleware or handler apply to one request.
#[derive(Clone, Copy)]
pub(crate) struct LimitContext<'a> {
    pub(crate) guard: &'a RateGuard,
    pub(crate) policy_set: &'a PolicySet,
    /// The access list of the middleware. The access lists of the guard take precedence over this list. `None` if
    /// the limits belong to a handler.
    pub(crate) middleware_access: Option<&'a AccessList>,
    pub(crate) purpose: Purpose,
    /// Whether RateGuard has read the body of the request, so that limits can read keys from it.
    pub(crate) is_body_read: bool,
}

/// The purpose for which a limit is applied to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The limit checks the request. For a check, RateGuard marks policies and plans as used, registers the names
    /// of limits, and logs configuration errors.
    Enforce,
    /// An explanation shows what the limit would do. For an explanation, RateGuard neither changes its state nor
    /// writes log messages.
    Explain,
}

/// Returns the part of a message that says that the guard has no policy or plan of this name.
pub(crate) fn missing(kind: &str, plural: &str, name: &str, names: &[&str]) -> String {
    if names.is_empty() {
        return format!("the guard has no {plural}");
    }
    format!("the guard has no {kind} of this name; {}", expected_one_of(kind, name, names))
}

impl<'a> LimitContext<'a> {
    /// Returns the guard's policy with this name. `user` describes, for the log message, the macro attribute or
    /// middleware that uses the policy.
    ///
    /// # Errors
    ///
    /// [`RejectReason::NoPolicy`] if the guard has no policy with this name. The request is rejected in this case,
    /// because a missing policy must not disable a limit.
    pub(crate) fn named_policy(
        &self,
        name: &str,
        user: impl Display,
    ) -> Result<&'a NamedPolicy, NotChecked> {
        let policy = match self.purpose {
            Purpose::Enforce => self.policy_set.policy(name),
            Purpose::Explain => self.policy_set.peek_policy(name),
        };
        policy.ok_or_else(|| {
            static LOG: ThrottledLog = ThrottledLog::new();
            if self.may_log(&LOG) {
                let names = self.policy_set.policy_names();
                let missing = missing("policy", "policies", name, &names);
                log::error!(
                    target: "rateguard",
                    "{user} names the policy `{name}`, but {missing}. Its requests are rejected with 500. Add the policy with `RateGuard::builder().policy(…)`"
                );
            }
            NotChecked::Misconfigured(RejectReason::NoPolicy)
        })
    }

    /// Registers the name of a limit at the guard, so that the guard detects other limits with this name.
    ///
    /// # Errors
    ///
    /// [`RejectReason::NameConflict`] if another limit has the same name, but a different quota, ban or shadow
    /// setting.
    #[cfg(feature = "macros")]
    pub(crate) fn register_name(
        &self,
        registration: NameRegistration<'_>,
    ) -> Result<(), NotChecked> {
        let at = registration.origin.location;
        let is_registered = match self.purpose {
            Purpose::Enforce => self.guard.register_name(registration).map_err(|conflict| {
                static LOG: ThrottledLog = ThrottledLog::new();
                if self.may_log(&LOG) {
                    log::error!(target: "rateguard", "{conflict}. The requests of the limit at {at} are rejected with 500");
                }
            }),
            Purpose::Explain => self.guard.can_register_name(&registration).then_some(()).ok_or(()),
        };
        is_registered.map_err(|()| NotChecked::Misconfigured(RejectReason::NameConflict))
    }

    pub(crate) fn may_log(&self, log: &ThrottledLog) -> bool {
        self.purpose == Purpose::Enforce && log.try_emit().is_some()
    }

    fn lists(&self) -> impl Iterator<Item = &'a AccessList> {
        let lists = [&self.policy_set.access, &self.guard.http().access];
        lists.into_iter().chain(self.middleware_access)
    }

    /// Searches the access lists in order, and returns the first result of `access` that is not
    /// [`Access::Unlisted`].
    fn listed(&self, access: impl Fn(&AccessList) -> Access) -> Access {
        let mut entries = self.lists().map(access).filter(|access| *access != Access::Unlisted);
        entries.next().unwrap_or(Access::Unlisted)
    }

    /// Applies the access lists to the client's address.
    ///
    /// # Errors
    ///
    /// [`Exemption::AddressAllowed`] if a list allows the address. [`RejectReason::AddressDenied`] if a list denies
    /// the address.
    pub(crate) fn check_client(&self, client: ResolvedClient) -> Result<(), NotChecked> {
        match self.listed(|list| list.of_client(client)) {
            Access::Allowed => Err(NotChecked::Exempt(Exemption::AddressAllowed)),
            Access::Denied => Err(NotChecked::Forbidden(RejectReason::AddressDenied)),
            Access::Unlisted => Ok(()),
        }
    }

    /// Applies the access lists to the address of the client that sent this request.
    ///
    /// # Errors
    ///
    /// The errors are the same as for [`check_client`](Self::check_client).
    pub(crate) fn check_address(&self, request: &HttpRequest) -> Result<(), NotChecked> {
        match self.lists().any(AccessList::has_addresses) {
            true => {
                let client = client::resolved(request);
                let result = self.check_client(client);
                if result.is_err() && client.address.is_none() && self.purpose == Purpose::Enforce {
                    client::warn_of_denied_unknown(request);
                }
                result
            }
            false => Ok(()),
        }
    }

    /// Applies the access lists to the key of a request. If `is_unreliable` returns `true`, the client may have
    /// chosen the address in the key, so an access list can deny the key, but not allow it.
    ///
    /// # Errors
    ///
    /// [`Exemption::KeyAllowed`] if a list allows the key. [`RejectReason::KeyDenied`] if a list denies the key.
    pub(crate) fn check_key(
        &self,
        key: &Key,
        is_unreliable: impl Fn() -> bool,
    ) -> Result<(), NotChecked> {
        match self.listed(|list| list.of_key(key, &is_unreliable)) {
            Access::Allowed => Err(NotChecked::Exempt(Exemption::KeyAllowed)),
            Access::Denied => Err(NotChecked::Forbidden(RejectReason::KeyDenied)),
            Access::Unlisted => Ok(()),
        }
    }
}
