//! A policy that is replayed, with the settings that the library reads from a policies file.

use actix_rateguard_core::{Count, MissingKey, Policy};
use actix_rateguard_grammar::{KeyNotation, KeyPart, Methods};

use super::route::RoutePattern;

/// A policy that is replayed.
#[derive(Clone, Debug)]
pub(crate) struct LimitPolicy {
    /// The policy without its shadow mode, because the replay shows what the policy denies when it is enforced.
    pub(crate) policy: Policy,
    pub(crate) key: KeyNotation,
    pub(crate) missing: MissingKey,
    pub(crate) cost: u32,
    pub(crate) count: Count,
    pub(crate) methods: Option<Methods>,
    /// The route of the policy. `None` if the policy applies to all paths.
    pub(crate) route: Option<RoutePattern>,
    /// Whether these are the candidate quotas of another policy.
    pub(crate) is_candidate: bool,
    /// Differences between the replay and a server with this policy.
    pub(crate) notes: Vec<String>,
}

/// A policy that is not replayed, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotReplayed {
    pub(crate) policy: String,
    pub(crate) reason: String,
}

impl LimitPolicy {
    /// Returns whether the policy limits the requests in progress.
    pub(crate) fn has_permits(&self) -> bool {
        self.policy.has_permits()
    }

    /// Returns whether the key of the policy has the client's address.
    pub(crate) fn needs_client(&self) -> bool {
        self.key.parts().iter().any(|it| matches!(it, KeyPart::Ip | KeyPart::IpNetwork(_)))
    }

    /// Returns whether the policy applies to the method and path of a request.
    pub(crate) fn applies_to(&self, method: Option<&[u8]>, path: Option<&[u8]>) -> bool {
        self.methods.as_ref().is_none_or(|methods| has_method(methods, method))
            && self.route.as_ref().is_none_or(|route| path.is_some_and(|path| route.matches(path)))
    }
}

/// Returns whether a limit for these methods applies to a request. `GET` includes `HEAD`, as in the library.
fn has_method(methods: &Methods, method: Option<&[u8]>) -> bool {
    let Some(method) = method else { return false };
    let includes =
        |listed: &String| listed.as_bytes() == method || (method == b"HEAD" && listed == "GET");
    methods.names().iter().any(includes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_route_select_requests() {
        let policy = LimitPolicy {
            policy: Policy::new("login", "5/minute").unwrap(),
            key: KeyNotation::ip(),
            missing: MissingKey::Ip,
            cost: 1,
            count: Count::All,
            methods: Some("GET, POST".parse().unwrap()),
            route: Some("/login".parse().unwrap()),
            is_candidate: false,
            notes: Vec::new(),
        };
        let applies = |method: &str, path: &str| {
            policy.applies_to(Some(method.as_bytes()), Some(path.as_bytes()))
        };
        assert!(applies("POST", "/login") && applies("HEAD", "/login"));
        assert!(!applies("PUT", "/login") && !applies("POST", "/logout"));
        assert!(
            !policy.applies_to(None, Some(b"/login")) && !policy.applies_to(Some(b"GET"), None)
        );
    }
}
