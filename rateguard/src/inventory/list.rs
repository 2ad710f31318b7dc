//! Lists all limits of a guard.

use std::{fmt, sync::Arc, time::Duration};

use actix_rateguard_core::adapter::{PLACEHOLDER_QUOTA, PolicySet};

use super::{LimitInfo, middlewares::RegisteredLimit, missing_key_name, on_error_name};
use crate::{Policy, Quota, Quotas, RateGuard};

/// A list of all limits of a guard. [`RateGuard::inventory`] returns this list, and `Display` formats it as a
/// table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    limits: Vec<LimitInfo>,
    omitted: usize,
}

impl Inventory {
    /// Returns the limits. The limits of macro attributes come first, sorted by file and line. The limits of
    /// middlewares follow, in the order in which workers started them.
    #[must_use]
    pub fn limits(&self) -> &[LimitInfo] {
        &self.limits
    }

    /// The list contains only the first 1,024 limits of middlewares. This method returns how often workers have started
    /// a middleware limit that is missing from the list. If the list is complete, the result is 0.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

/// The macro attribute or middleware that a limit belongs to. An explanation evaluates the limit with this value.
#[derive(Clone)]
pub(crate) enum LimitSource {
    #[cfg(feature = "macros")]
    Attribute(&'static super::AttributeLimit),
    Middleware(Arc<RegisteredLimit>),
}

impl LimitSource {
    /// Returns the policy of the limit. The result is `None` if a macro attribute uses a policy of the guard, or if
    /// no worker runs the middleware any more.
    fn policy(&self) -> Option<Policy> {
        match self {
            #[cfg(feature = "macros")]
            Self::Attribute(attribute) => (attribute.limit)().own_policy().cloned(),
            Self::Middleware(registered) => Some(registered.active()?.limit().policy.clone()),
        }
    }
}

/// Returns a list with the maximum number of quotas that a policy can have. No plan has more quotas, so a reset
/// with this list deletes the buckets of every plan.
fn max_quotas() -> Arc<Quotas> {
    let second = Duration::from_secs(1);
    let quotas = (1..=Quotas::MAX as u32).filter_map(|limit| Quota::new(limit, second).ok());
    Arc::new(Quotas::new(quotas).unwrap_or_else(|_| Quotas::from(PLACEHOLDER_QUOTA)))
}

impl RateGuard {
    /// Returns a list of the limits of this guard. The list contains the macro attributes `#[rate_limit]` of the
    /// program, and the limits of every [`RateLimit`](crate::RateLimit) that a worker has started with this guard. A
    /// limit that several workers have started has one entry.
    ///
    /// A macro attribute with a `limiter` argument appears in the list after this guard has checked a request to the
    /// attribute's handler. If [`for_attributes`](crate::RateGuardBuilder::for_attributes) is `false`, the list
    /// contains no macro attributes without a `limiter` argument. The list does not show which routes a middleware
    /// wraps, and does not show whether a handler is registered.
    ///
    /// ```
    /// # use actix_rateguard::RateGuard;
    /// # let guard = RateGuard::in_memory();
    /// println!("{}", guard.inventory());
    /// ```
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let infos = self.limit_infos(&self.policy_set());
        let limits = infos.into_iter().map(|(info, _)| info).collect();
        Inventory { limits, omitted: self.middlewares().omitted() }
    }

    /// Returns the current policy with this name, which is a policy of the guard or the policy of a limit. Use the
    /// policy to [explain](Self::explain), [reset](actix_rateguard_core::RateGuard::reset) or
    /// [ban](actix_rateguard_core::RateGuard::ban) a key.
    ///
    /// The function first searches the policies of the guard's [builder](crate::RateGuardBuilder::policy) and policies
    /// file, and then the limits in the [inventory](Self::inventory). The result is `None` if no policy and no limit
    /// has the name. If a function chooses the quotas of a limit for each request, the result has placeholder quotas.
    /// With such a policy, you can reset or ban a key, but you cannot explain a key.
    #[must_use]
    pub fn policy_of_limit(&self, name: &str) -> Option<Policy> {
        self.current_policy(name).or_else(|| {
            let mut infos = self.limit_infos(&self.policy_set()).into_iter();
            let (info, source) = infos.find(|(info, _)| info.name == name)?;
            let policy = source.policy()?;
            Some(if info.is_per_request { policy.with_quotas(max_quotas()) } else { policy })
        })
    }

    /// Returns the description of each limit, and the macro attribute or middleware that the limit belongs to.
    pub(crate) fn limit_infos(&self, policy_set: &PolicySet) -> Vec<(LimitInfo, LimitSource)> {
        let mut infos: Vec<(LimitInfo, LimitSource)> = Vec::new();
        #[cfg(feature = "macros")]
        infos.extend(super::AttributeLimit::of(self).into_iter().map(|attribute| {
            (attribute.info(self, policy_set), LimitSource::Attribute(attribute))
        }));
        let middlewares = self.middlewares().registered();
        infos.extend(middlewares.into_iter().map(|registered| {
            (registered.current_info(self, policy_set), LimitSource::Middleware(registered))
        }));
        infos
    }
}

const HEADINGS: [&str; 8] =
    ["NAME", "LIMIT", "KEY", "COST", "COUNTS", "METHODS", "ON ERROR", "LOCATION"];

impl fmt::Display for Inventory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 8]> = self.limits.iter().map(row).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([HEADINGS[column].len()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
        let headings = HEADINGS.map(str::to_owned);
        for row in [&headings].into_iter().chain(&rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        match self.omitted {
            0 => Ok(()),
            number => writeln!(f, "omitted {number} starts of middlewares"),
        }
    }
}

fn row(limit: &LimitInfo) -> [String; 8] {
    let mut quotas = limit.quotas_text();
    if let Some(ban) = limit.ban {
        quotas = format!("{quotas}, ban {ban}");
    }
    if !limit.wait.is_zero() {
        quotas = format!("{quotas}, wait {:?}", limit.wait);
    }
    let key = match missing_key_name(limit.missing_key) {
        "ip" => limit.key.clone(),
        missing => format!("{} (missing: {missing})", limit.key),
    };
    let cost = limit.cost.map_or("function".to_owned(), |cost| cost.to_string());
    let mut methods = limit.methods.join(",");
    if methods.is_empty() {
        methods = "all".to_owned();
    }
    if limit.has_skip {
        methods.push_str(" (with skip)");
    }
    let location = format!("{}:{} ({})", limit.file, limit.line, limit.kind);
    let on_error = on_error_name(limit.on_error).to_owned();
    [limit.name.clone(), quotas, key, cost, limit.count_text(), methods, on_error, location]
}
