//! All limits that are known.

use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "macros")]
use super::{Annotated, LimitKind, known_limit::Written};
use super::{
    KnownLimit,
    known_limit::{missing_word, on_error_word},
    middlewares::Noted,
};
use crate::{Policy, Quota, Quotas, RateGuard, guard::InForce, policy::CHOSEN_LATER};

/// All limits of a guard that are known before any request comes, made by [`RateGuard::inventory`]. `Display` writes a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    limits: Vec<KnownLimit>,
    left_out: usize,
}

impl Inventory {
    /// The limits: those of annotated handlers by file and line, then those of middlewares in the order of their start.
    #[must_use]
    pub fn limits(&self) -> &[KnownLimit] {
        &self.limits
    }

    /// How many starts of further middlewares found no room among the 1,024 limits of middlewares that are noted.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }
}

/// Where a limit comes from, to be explained.
#[derive(Clone)]
pub(in crate::http) enum Source {
    #[cfg(feature = "macros")]
    Attribute(&'static Annotated),
    Middleware(Arc<Noted>),
}

impl Source {
    /// Its own policy, while it runs.
    fn policy(&self) -> Option<Policy> {
        match self {
            #[cfg(feature = "macros")]
            Self::Attribute(annotated) => (annotated.limit)().own_policy().cloned(),
            Self::Middleware(noted) => Some(noted.running()?.limit().policy.clone()),
        }
    }
}

/// Quotas that have all places that those of a plan may have.
fn as_many_as_can_be() -> Arc<Quotas> {
    let second = Duration::from_secs(1);
    let each = (1..=Quotas::MAX as u32).filter_map(|limit| Quota::new(limit, second).ok());
    Arc::new(Quotas::new(each).unwrap_or_else(|_| Quotas::from(CHOSEN_LATER)))
}

impl RateGuard {
    /// What limits there are: of every handler of the program with `#[rate_limit]`, and of every [`RateLimit`](crate::RateLimit)
    /// that was started with this guard, once for all workers.
    ///
    /// A handler whose attribute has a `limiter` is there once a request has met it under this guard, and others unless the
    /// guard is not [for attributes](crate::RateGuardBuilder::for_attributes). Which routes a middleware is around, and
    /// whether a handler is registered, it does not know.
    ///
    /// ```
    /// # use rateguard::RateGuard;
    /// # let guard = RateGuard::in_memory();
    /// println!("{}", guard.inventory());
    /// ```
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        let known = self.known_limits(&self.in_force());
        let limits = known.into_iter().map(|(known, _)| known).collect();
        Inventory { limits, left_out: self.http().middlewares.left_out() }
    }

    /// The policy of this name, as it is now: one that the guard was [given](crate::RateGuardBuilder::policy), or has of its
    /// file, or that of a limit
    /// in the [inventory](Self::inventory). It is what is needed to [explain](Self::explain), [reset](Self::reset) or
    /// [ban](Self::ban) a key of that limit. Where quotas are chosen for each request, those of this one stand for them: it does
    /// to reset all of them, and to ban.
    #[must_use]
    pub fn known_policy(&self, name: &str) -> Option<Policy> {
        self.policy_now(name).or_else(|| {
            let known = self.known_limits(&self.in_force());
            let (known, source) = known.into_iter().find(|(known, _)| known.name == name)?;
            let policy = source.policy()?;
            Some(if known.is_per_request {
                policy.with_quotas(as_many_as_can_be())
            } else {
                policy
            })
        })
    }

    /// The limits, with what is needed to explain them.
    pub(in crate::http) fn known_limits(&self, in_force: &InForce) -> Vec<(KnownLimit, Source)> {
        let mut known: Vec<(KnownLimit, Source)> = Vec::new();
        #[cfg(feature = "macros")]
        known.extend(Annotated::of(self).into_iter().map(|annotated| {
            let limit = (annotated.limit)();
            let written = Written {
                kind: LimitKind::Attribute,
                name: limit.name(),
                policy: limit.own_policy(),
                is_per_request: limit.is_per_request(),
                key: annotated.key,
                cost: annotated.cost,
                has_skip: annotated.has_skip,
                terms: &limit.terms,
                place: limit.place,
            };
            (written.known(self, in_force), Source::Attribute(annotated))
        }));
        known.extend(
            self.http()
                .middlewares
                .noted()
                .into_iter()
                .map(|noted| (noted.known_now(self, in_force), Source::Middleware(noted))),
        );
        known
    }
}

const HEADINGS: [&str; 8] =
    ["NAME", "ADMITS", "KEY", "COST", "COUNTS", "FOR", "IF NO STORE", "WRITTEN AT"];

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
        match self.left_out {
            0 => Ok(()),
            number => writeln!(f, "and {number} starts of middlewares that found no room here"),
        }
    }
}

fn row(limit: &KnownLimit) -> [String; 8] {
    let mut admits = limit.admits();
    if let Some(ban) = limit.ban {
        admits = format!("{admits}, ban {ban}");
    }
    let key = match missing_word(limit.missing_key) {
        "ip" => limit.key.clone(),
        missing => format!("{} (without: {missing})", limit.key),
    };
    let cost = limit.cost.map_or("function".to_owned(), |cost| cost.to_string());
    let mut methods = limit.methods.join(",");
    if methods.is_empty() {
        methods = "all".to_owned();
    }
    if limit.has_skip {
        methods.push_str(" but skipped");
    }
    let place = format!("{}:{} ({})", limit.file, limit.line, limit.kind);
    let on_error = on_error_word(limit.on_error).to_owned();
    [limit.name.clone(), admits, key, cost, limit.counted(), methods, on_error, place]
}
