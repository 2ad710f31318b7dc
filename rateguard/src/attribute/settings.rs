//! The settings of a macro attribute.

use std::time::Duration;

use actix_rateguard_core::adapter::ShadowSpec;

use crate::{Ban, Count, MissingKey, OnError, Quotas};

/// The settings of a macro attribute that do not depend on the request.
pub struct Settings {
    /// The name of the limit. `None` if the macro attribute sets no name.
    pub name: Option<&'static str>,
    /// The position of this limit in the list of the handler's limits. The first limit has the position 1.
    pub number: usize,
    /// The source of the quotas.
    pub allowance: Allowance,
    /// The escalating ban. `None` if the limit bans no clients.
    pub ban: Option<Ban>,
    /// The part of the limit that is in shadow mode: the whole limit, or only its candidate quotas. `None` if the
    /// limit has no part in shadow mode.
    pub shadow: Option<ShadowSpec>,
    /// The failure mode, which determines the decision while the store does not answer. `None` if the limit uses
    /// the failure mode of the guard.
    pub on_error: Option<OnError>,
    /// Determines which responses make a request count.
    pub count: Count,
    /// Determines how the limit treats a request without a key.
    pub missing: MissingKey,
    /// The methods that the limit applies to. If the list is empty, the limit applies to all methods.
    pub methods: &'static [&'static str],
    /// The name of the limit of a middleware that this limit replaces.
    pub replaces: Option<&'static str>,
    /// The quotas for requests whose plan is not known.
    pub plan_fallback: Option<Quotas>,
    /// Whether the header fields of a response do not report the limit.
    pub hides_headers: bool,
    /// Whether a request that the limit denies still reaches the handler.
    pub is_permissive: bool,
    /// The maximum time that a request waits for room. Zero if the limit denies it immediately.
    pub wait: Duration,
}

/// The source of a limit's quotas.
pub enum Allowance {
    /// The limit has the same quotas for all requests.
    Fixed(Quotas),
    /// A function chooses the limit's quotas for each request.
    PerRequest,
    /// The limit has the quotas of the guard's policy with this name.
    Named(&'static str),
}
