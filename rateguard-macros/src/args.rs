//! The arguments of the macro attribute: `name = value`, each at most once.

use std::time::Duration;

use actix_rateguard_grammar::{
    Algorithm, Ban, Count, KeyNotation, Methods, MissingKey, OnError, Quota, QuotaError, Quotas,
};
use proc_macro2::Span;
use syn::{
    Expr, Ident, LitStr, Path, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use crate::{
    error::error_at,
    shadow::{self, ShadowSpec, ShadowValue},
    values::{self, Cost, Key},
};

/// The validated arguments of the macro attribute.
pub(crate) struct Args {
    pub(crate) allowance: Allowance,
    pub(crate) key: Key,
    pub(crate) missing: MissingKey,
    pub(crate) cost: Option<Expr>,
    pub(crate) count: Count,
    pub(crate) methods: Option<Methods>,
    pub(crate) skip: Option<Expr>,
    pub(crate) ban: Option<Ban>,
    pub(crate) shadow: Option<ShadowSpec>,
    pub(crate) name: Option<LitStr>,
    pub(crate) on_error: Option<OnError>,
    pub(crate) on_denied: Option<Expr>,
    pub(crate) limiter: Option<Expr>,
    /// The path of the library, from the argument `crate`. `None` if this argument is absent.
    pub(crate) crate_path: Option<Path>,
}

/// Where the quotas of the limit come from.
pub(crate) enum Allowance {
    Fixed(Quotas),
    /// A function that chooses the quotas for each request.
    PerRequest(Expr),
    /// The policy with this name in the guard.
    Named(LitStr),
}

/// A value with its location in the source.
struct Located<T> {
    value: T,
    span: Span,
}

/// The arguments that have been parsed so far.
#[derive(Default)]
struct ParsedArgs {
    limit: Option<Located<u32>>,
    window: Option<Located<Duration>>,
    rate: Option<Located<Quotas>>,
    quota: Option<Located<Expr>>,
    policy: Option<Located<LitStr>>,
    algorithm: Option<Located<Algorithm>>,
    burst: Option<Located<u32>>,
    key: Option<Located<Key>>,
    missing: Option<Located<MissingKey>>,
    cost: Option<Located<Cost>>,
    count: Option<Located<Count>>,
    methods: Option<Located<Methods>>,
    skip: Option<Located<Expr>>,
    ban: Option<Located<Ban>>,
    shadow: Option<Located<ShadowValue>>,
    rollout: Option<Located<u8>>,
    name: Option<Located<LitStr>>,
    on_error: Option<Located<OnError>>,
    on_denied: Option<Located<Expr>>,
    limiter: Option<Located<Expr>>,
    crate_path: Option<Located<Path>>,
}

type Reader = fn(&mut ParsedArgs, &Ident, ParseStream<'_>) -> syn::Result<()>;

/// All arguments with their parsers. Error messages list the names in this table as the valid names.
const ARGUMENTS: &[(&str, Reader)] = &[
    ("limit", |to, name, input| set_once(&mut to.limit, name, input, values::limit)),
    ("window", |to, name, input| set_once(&mut to.window, name, input, values::window)),
    ("rate", |to, name, input| set_once(&mut to.rate, name, input, values::rate)),
    ("quota", |to, name, input| set_once(&mut to.quota, name, input, values::quota)),
    ("policy", |to, name, input| set_once(&mut to.policy, name, input, values::policy_name)),
    ("algorithm", |to, name, input| set_once(&mut to.algorithm, name, input, values::algorithm)),
    ("burst", |to, name, input| set_once(&mut to.burst, name, input, values::burst)),
    ("key", |to, name, input| set_once(&mut to.key, name, input, values::key)),
    ("missing_key", |to, name, input| set_once(&mut to.missing, name, input, values::missing)),
    ("cost", |to, name, input| set_once(&mut to.cost, name, input, values::cost)),
    ("count", |to, name, input| set_once(&mut to.count, name, input, values::count)),
    ("methods", |to, name, input| set_once(&mut to.methods, name, input, values::methods)),
    ("skip", |to, name, input| set_once(&mut to.skip, name, input, values::skip)),
    ("ban", |to, name, input| set_once(&mut to.ban, name, input, values::ban)),
    ("shadow", |to, name, input| set_once(&mut to.shadow, name, input, shadow::shadow)),
    ("rollout", |to, name, input| set_once(&mut to.rollout, name, input, shadow::rollout)),
    ("name", |to, name, input| set_once(&mut to.name, name, input, values::policy_name)),
    ("on_error", |to, name, input| set_once(&mut to.on_error, name, input, values::on_error)),
    ("on_denied", |to, name, input| set_once(&mut to.on_denied, name, input, values::on_denied)),
    ("limiter", |to, name, input| set_once(&mut to.limiter, name, input, Ok)),
    ("crate", |to, name, input| set_once(&mut to.crate_path, name, input, values::path)),
];

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = ParsedArgs::default();
        while !input.is_empty() {
            // The name may be the keyword `crate`, so any keyword is parsed as a name here.
            let name = input.call(Ident::parse_any).map_err(|error| {
                let names = argument_names();
                error_at(
                    error.span(),
                    format!("expected `name = value`, where the name is one of {names}"),
                )
            })?;
            let Some((_, read)) = ARGUMENTS.iter().find(|(argument, _)| name == argument) else {
                let names = argument_names();
                return Err(error_at(
                    name.span(),
                    format!("unknown argument `{name}`; expected one of {names}"),
                ));
            };
            if !input.peek(Token![=]) {
                return Err(error_at(
                    name.span(),
                    format!("expected `{name} = …`, found `{name}`"),
                ));
            }
            input.parse::<Token![=]>()?;
            read(&mut args, &name, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        args.validate()
    }
}

fn argument_names() -> String {
    ARGUMENTS.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl ParsedArgs {
    fn validate(self) -> syn::Result<Args> {
        let allowance = self.allowance()?;
        let rollout = self.rollout.map(|it| (it.value, it.span));
        let shadow = shadow::spec(self.shadow.map(|it| it.value), rollout)?;
        let enforced = match &allowance {
            Allowance::Fixed(quotas) => Some(quotas),
            Allowance::PerRequest(_) | Allowance::Named(_) => None,
        };
        let candidate = match &shadow {
            Some(ShadowSpec::Candidate(quotas, _)) => Some(quotas),
            Some(ShadowSpec::Whole) | None => None,
        };
        if let Some(Located { value: Cost { number: Some(cost), .. }, span }) = &self.cost
            && let Some(max) = enforced.into_iter().chain(candidate).map(Quotas::max_cost).min()
            && *cost > max
        {
            return Err(error_at(
                *span,
                format!(
                    "expected a cost of at most {max}, the maximum of the quotas, found {cost}"
                ),
            ));
        }
        Ok(Args {
            allowance,
            key: self.key.map_or(Key::Notation(KeyNotation::ip()), |key| key.value),
            missing: self.missing.map_or(MissingKey::Ip, |missing| missing.value),
            cost: self.cost.map(|cost| cost.value.expr),
            count: self.count.map_or(Count::All, |count| count.value),
            methods: self.methods.map(|methods| methods.value),
            skip: self.skip.map(|skip| skip.value),
            ban: self.ban.map(|ban| ban.value),
            shadow,
            name: self.name.map(|name| name.value),
            on_error: self.on_error.map(|on_error| on_error.value),
            on_denied: self.on_denied.map(|on_denied| on_denied.value),
            limiter: self.limiter.map(|limiter| limiter.value),
            crate_path: self.crate_path.map(|path| path.value),
        })
    }

    /// Returns where the quotas come from. Two conflicting arguments are an error.
    fn allowance(&self) -> syn::Result<Allowance> {
        let of_quotas = [
            ("limit", self.limit.as_ref().map(|it| it.span)),
            ("window", self.window.as_ref().map(|it| it.span)),
            ("rate", self.rate.as_ref().map(|it| it.span)),
            ("algorithm", self.algorithm.as_ref().map(|it| it.span)),
            ("burst", self.burst.as_ref().map(|it| it.span)),
            ("quota", self.quota.as_ref().map(|it| it.span)),
        ];
        let of_policy = [
            ("ban", self.ban.as_ref().map(|it| it.span)),
            ("shadow", self.shadow.as_ref().map(|it| it.span)),
            ("rollout", self.rollout.as_ref().map(|it| it.span)),
            ("name", self.name.as_ref().map(|it| it.span)),
            ("on_error", self.on_error.as_ref().map(|it| it.span)),
        ];
        let reject_conflicts = |argument: &str, others: &[(&str, Option<Span>)]| {
            let other = others.iter().find_map(|(name, span)| Some((name, (*span)?)));
            other.map_or(Ok(()), |(name, span)| {
                Err(error_at(
                    span,
                    format!("`{name}` conflicts with `{argument}`; remove `{name}`"),
                ))
            })
        };
        if let Some(policy) = &self.policy {
            reject_conflicts("policy", &of_quotas)?;
            reject_conflicts("policy", &of_policy)?;
            return Ok(Allowance::Named(policy.value.clone()));
        }
        if let Some(quota) = &self.quota {
            reject_conflicts("quota", &of_quotas[..5])?;
            return Ok(Allowance::PerRequest(quota.value.clone()));
        }
        let quotas = quotas(&self.rate, &self.limit, &self.window)?;
        with_algorithm_and_burst(quotas, &self.algorithm, &self.burst).map(Allowance::Fixed)
    }
}

fn quotas(
    rate: &Option<Located<Quotas>>,
    limit: &Option<Located<u32>>,
    window: &Option<Located<Duration>>,
) -> syn::Result<Quotas> {
    match (rate, limit, window) {
        (Some(rate), None, None) => Ok(rate.value.clone()),
        (None, Some(limit), Some(window)) => {
            Quota::new(limit.value, window.value).map(Quotas::from).map_err(|error| {
                let span = if error == QuotaError::Limit { limit.span } else { window.span };
                error_at(span, error)
            })
        }
        (Some(rate), ..) => {
            Err(error_at(rate.span, "expected either `rate`, or `limit` and `window`, found both"))
        }
        (None, Some(limit), None) => {
            Err(error_at(limit.span, "`limit` requires `window`, such as `window = 60` (seconds)"))
        }
        (None, None, Some(window)) => {
            Err(error_at(window.span, "`window` requires `limit`, such as `limit = 5`"))
        }
        (None, None, None) => Err(error_at(
            Span::call_site(),
            "expected one of `rate = \"5/minute\"`, `limit = 5, window = 60`, `quota = a_function`, `policy = \"search\"`",
        )),
    }
}

/// Returns the quotas, changed by the separate arguments `algorithm` and `burst`.
fn with_algorithm_and_burst(
    quotas: Quotas,
    algorithm: &Option<Located<Algorithm>>,
    burst: &Option<Located<u32>>,
) -> syn::Result<Quotas> {
    let mut quotas: Vec<Quota> = quotas.iter().copied().collect();
    if let Some(algorithm) = algorithm {
        for quota in &mut quotas {
            match quota.algorithm() {
                // This is the default algorithm. A quota does not store whether its notation named an algorithm, so the
                // argument can replace it.
                Algorithm::SlidingWindow => {
                    *quota = quota
                        .with_algorithm(algorithm.value)
                        .map_err(|error| error_at(algorithm.span, error))?;
                }
                of_rate if of_rate == algorithm.value => {}
                of_rate => {
                    return Err(error_at(
                        algorithm.span,
                        format!(
                            "`algorithm` conflicts with `{of_rate}` in `rate`; remove one of them"
                        ),
                    ));
                }
            }
        }
    }
    if let Some(burst) = burst {
        let [quota] = &mut quotas[..] else {
            return Err(error_at(
                burst.span,
                "`burst` requires a single quota; in a list, write the burst after its quota: \"5/second token_bucket burst 20; 100/minute\"",
            ));
        };
        *quota = quota.with_burst(burst.value).map_err(|error| error_at(burst.span, error))?;
    }
    Quotas::new(quotas).map_err(|error| error_at(Span::call_site(), error))
}

/// Parses the value of the argument `name` and stores it in `to`. A second value for the same argument is an error.
fn set_once<T>(
    to: &mut Option<Located<T>>,
    name: &Ident,
    input: ParseStream<'_>,
    read: fn(Expr) -> syn::Result<T>,
) -> syn::Result<()> {
    let mut expr: Expr = input.parse()?;
    // A value that a `macro_rules!` macro passes is inside an invisible group, which must be removed first.
    while let Expr::Group(group) = expr {
        expr = *group.expr;
    }
    if to.is_some() {
        return Err(error_at(name.span(), format!("duplicate argument `{name}`")));
    }
    let span = expr.span();
    *to = Some(Located { value: read(expr)?, span });
    Ok(())
}
