//! The list of all limits of a guard.

use std::{fmt, sync::Arc, time::Duration};

use actix_rateguard_core::adapter::{PLACEHOLDER_QUOTA, PolicySet};

use super::{LimitInfo, middlewares::RegisteredLimit, missing_key_name, on_error_name};
use crate::{Policy, Quota, Quotas, RateGuard};

/// All limits of a guard. [`RateGuard::inventory`] returns the inventory; `Display` formats the inventory as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    limits: Vec<LimitInfo>,
    omitted: usize,
}

impl Inventory {
    /// Returns the limits: first the limits of macro attributes by file and line, then the limits of middlewares in the
    /// order in which they started.
    #[must_use]
    pub fn limits(&self) -> &[LimitInfo] {
        &self.limits
    }

    /// Returns the number of middleware starts that are not in the list, because the list holds at most 1,024 limits of
    /// middlewares.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

/// The macro attribute or middleware of a limit, which an explanation reads.
#[derive(Clone)]
pub(crate) enum LimitSource {
    #[cfg(feature = "macros")]
    Attribute(&'static super::AttributeLimit),
    Middleware(Arc<RegisteredLimit>),
}

impl LimitSource {
    /// Returns the limit's own policy. `None` if the limit is a macro attribute with a policy of the guard, or no
    /// worker runs the middleware.
    fn policy(&self) -> Option<Policy> {
        match self {
            #[cfg(feature = "macros")]
            Self::Attribute(attribute) => (attribute.limit)().own_policy().cloned(),
            Self::Middleware(registered) => Some(registered.active()?.limit().policy.clone()),
        }
    }
}

/// Returns the maximum number of quotas, so a reset deletes the buckets of every plan.
fn max_quotas() -> Arc<Quotas> {
    let second = Duration::from_secs(1);
    let quotas = (1..=Quotas::MAX as u32).filter_map(|limit| Quota::new(limit, second).ok());
    Arc::new(Quotas::new(quotas).unwrap_or_else(|_| Quotas::from(PLACEHOLDER_QUOTA)))
}

impl RateGuard {
    /// Lists the limits of this guard: every `#[rate_limit]` of the program, and every [`RateLimit`](crate::RateLimit)
    /// that a worker has started with this guard. The workers share one entry for a limit.
    ///
    /// A macro attribute with a `limiter` is listed once this guard has handled its first request. Other macro
    /// attributes are listed unless [`for_attributes`](crate::RateGuardBuilder::for_attributes) is `false`. The
    /// inventory does not contain the routes that a middleware wraps, or whether a handler is registered.
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

    /// Returns the current policy of this name. Use the policy to [explain](Self::explain),
    /// [reset](actix_rateguard_core::RateGuard::reset) or [ban](actix_rateguard_core::RateGuard::ban) a key.
    ///
    /// The function looks first for a policy of the guard's [builder](crate::RateGuardBuilder::policy) or policies
    /// file, then for a limit in the [inventory](Self::inventory). `None` if neither has the name. If the quotas are
    /// chosen for each request, the policy has placeholder quotas, so you can reset and ban a key, but not explain one.
    #[must_use]
    pub fn policy_of_limit(&self, name: &str) -> Option<Policy> {
        self.current_policy(name).or_else(|| {
            let mut infos = self.limit_infos(&self.policy_set()).into_iter();
            let (info, source) = infos.find(|(info, _)| info.name == name)?;
            let policy = source.policy()?;
            Some(if info.is_per_request { policy.with_quotas(max_quotas()) } else { policy })
        })
    }

    /// Returns the limits with their sources.
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
