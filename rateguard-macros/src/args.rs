//! The attribute's arguments: `name = value`, each at most once.

use std::time::Duration;

use proc_macro2::Span;
use rateguard_grammar::{
    Algorithm, Ban, Count, KeyNotation, Methods, MissingKey, OnError, Quota, QuotaError, Quotas,
};
use syn::{
    Expr, Ident, LitStr, Token,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use crate::{
    refuse::refuse,
    trial::{self, Shadow, Trial, trial},
    values::{self, Cost, Key},
};

/// What the attribute says, checked.
pub(crate) struct Args {
    pub(crate) allowance: Allowance,
    pub(crate) key: Key,
    pub(crate) missing: MissingKey,
    pub(crate) cost: Option<Expr>,
    pub(crate) count: Count,
    pub(crate) methods: Option<Methods>,
    pub(crate) skip: Option<Expr>,
    pub(crate) ban: Option<Ban>,
    pub(crate) trial: Option<Trial>,
    pub(crate) name: Option<LitStr>,
    pub(crate) on_error: Option<OnError>,
    pub(crate) on_denied: Option<Expr>,
    pub(crate) limiter: Option<Expr>,
}

/// How much is admitted.
pub(crate) enum Allowance {
    Fixed(Quotas),
    /// What a function says for each request.
    PerRequest(Expr),
    /// What the guard's policy of this name says.
    Named(LitStr),
}

/// A value together with the place where it was written.
struct At<T> {
    value: T,
    span: Span,
}

/// What has been read so far.
#[derive(Default)]
struct Written {
    limit: Option<At<u32>>,
    window: Option<At<Duration>>,
    rate: Option<At<Quotas>>,
    quota: Option<At<Expr>>,
    policy: Option<At<LitStr>>,
    algorithm: Option<At<Algorithm>>,
    burst: Option<At<u32>>,
    key: Option<At<Key>>,
    missing: Option<At<MissingKey>>,
    cost: Option<At<Cost>>,
    count: Option<At<Count>>,
    methods: Option<At<Methods>>,
    skip: Option<At<Expr>>,
    ban: Option<At<Ban>>,
    shadow: Option<At<Shadow>>,
    rollout: Option<At<u8>>,
    name: Option<At<LitStr>>,
    on_error: Option<At<OnError>>,
    on_denied: Option<At<Expr>>,
    limiter: Option<At<Expr>>,
}

type Reader = fn(&mut Written, &Ident, ParseStream<'_>) -> syn::Result<()>;

/// Every argument and how it is read; the list of legal names in messages comes from here.
const ARGUMENTS: &[(&str, Reader)] = &[
    ("limit", |to, name, input| set_once(&mut to.limit, name, input, values::limit)),
    ("window", |to, name, input| set_once(&mut to.window, name, input, values::window)),
    ("rate", |to, name, input| set_once(&mut to.rate, name, input, values::rate)),
    ("quota", |to, name, input| set_once(&mut to.quota, name, input, values::quota)),
    ("policy", |to, name, input| set_once(&mut to.policy, name, input, values::policy_name)),
    ("algorithm", |to, name, input| set_once(&mut to.algorithm, name, input, values::algorithm)),
    ("burst", |to, name, input| set_once(&mut to.burst, name, input, values::burst)),
    ("key", |to, name, input| set_once(&mut to.key, name, input, values::key)),
    ("missing", |to, name, input| set_once(&mut to.missing, name, input, values::missing)),
    ("cost", |to, name, input| set_once(&mut to.cost, name, input, values::cost)),
    ("count", |to, name, input| set_once(&mut to.count, name, input, values::count)),
    ("methods", |to, name, input| set_once(&mut to.methods, name, input, values::methods)),
    ("skip", |to, name, input| set_once(&mut to.skip, name, input, values::skip)),
    ("ban", |to, name, input| set_once(&mut to.ban, name, input, values::ban)),
    ("shadow", |to, name, input| set_once(&mut to.shadow, name, input, trial::shadow)),
    ("rollout", |to, name, input| set_once(&mut to.rollout, name, input, trial::rollout)),
    ("name", |to, name, input| set_once(&mut to.name, name, input, values::policy_name)),
    ("on_error", |to, name, input| set_once(&mut to.on_error, name, input, values::on_error)),
    ("on_denied", |to, name, input| set_once(&mut to.on_denied, name, input, values::on_denied)),
    ("limiter", |to, name, input| set_once(&mut to.limiter, name, input, Ok)),
];

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut written = Written::default();
        while !input.is_empty() {
            let name: Ident = input.parse().map_err(|error| {
                let legal = legal_names();
                refuse(
                    error.span(),
                    format!("here comes an argument, `name = value`; legal are {legal}"),
                )
            })?;
            let Some((_, read)) = ARGUMENTS.iter().find(|(legal, _)| name == legal) else {
                let legal = legal_names();
                return Err(refuse(
                    name.span(),
                    format!("unknown argument `{name}`; legal are {legal}"),
                ));
            };
            if !input.peek(Token![=]) {
                return Err(refuse(name.span(), format!("`{name}` needs a value: `{name} = …`")));
            }
            input.parse::<Token![=]>()?;
            read(&mut written, &name, input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        written.check()
    }
}

fn legal_names() -> String {
    ARGUMENTS.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl Written {
    fn check(self) -> syn::Result<Args> {
        let allowance = self.allowance()?;
        let rollout = self.rollout.map(|it| (it.value, it.span));
        let trial = trial(self.shadow.map(|it| it.value), rollout)?;
        let own = match &allowance {
            Allowance::Fixed(quotas) => Some(quotas),
            Allowance::PerRequest(_) | Allowance::Named(_) => None,
        };
        let tried = match &trial {
            Some(Trial::Candidate(quotas, _)) => Some(quotas),
            Some(Trial::Whole) | None => None,
        };
        if let Some(At { value: Cost { number: Some(cost), .. }, span }) = &self.cost
            && let Some(most) = own.into_iter().chain(tried).map(Quotas::max_cost).min()
            && *cost > most
        {
            return Err(refuse(
                *span,
                format!("no more than {most} are admitted at once, so nothing would ever pass"),
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
            trial,
            name: self.name.map(|name| name.value),
            on_error: self.on_error.map(|on_error| on_error.value),
            on_denied: self.on_denied.map(|on_denied| on_denied.value),
            limiter: self.limiter.map(|limiter| limiter.value),
        })
    }

    /// How much is admitted, of which there is one way to say it.
    fn allowance(&self) -> syn::Result<Allowance> {
        let written = [
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
        let refuse_beside = |what: &str, others: &[(&str, Option<Span>)]| {
            let other = others.iter().find_map(|(name, span)| Some((name, (*span)?)));
            other.map_or(Ok(()), |(name, span)| {
                Err(refuse(span, format!("`{what}` already says this; leave `{name}` out")))
            })
        };
        if let Some(policy) = &self.policy {
            refuse_beside("policy", &written)?;
            refuse_beside("policy", &of_policy)?;
            return Ok(Allowance::Named(policy.value.clone()));
        }
        if let Some(quota) = &self.quota {
            refuse_beside("quota", &written[..5])?;
            return Ok(Allowance::PerRequest(quota.value.clone()));
        }
        let quotas = quotas(&self.rate, &self.limit, &self.window)?;
        counted(quotas, &self.algorithm, &self.burst).map(Allowance::Fixed)
    }
}

fn quotas(
    rate: &Option<At<Quotas>>,
    limit: &Option<At<u32>>,
    window: &Option<At<Duration>>,
) -> syn::Result<Quotas> {
    match (rate, limit, window) {
        (Some(rate), None, None) => Ok(rate.value.clone()),
        (None, Some(limit), Some(window)) => {
            Quota::new(limit.value, window.value).map(Quotas::from).map_err(|error| {
                let wrong = if error == QuotaError::Limit { limit.span } else { window.span };
                refuse(wrong, error)
            })
        }
        (Some(rate), ..) => Err(refuse(
            rate.span,
            "`rate` already says limit and window; write either `rate` or `limit` and `window`",
        )),
        (None, Some(limit), None) => {
            Err(refuse(limit.span, "`limit` needs a `window`, such as `window = 60` (seconds)"))
        }
        (None, None, Some(window)) => {
            Err(refuse(window.span, "`window` needs a `limit`, such as `limit = 5`"))
        }
        (None, None, None) => Err(refuse(
            Span::call_site(),
            "a limit is missing; write `limit = 5, window = 60`, `rate = \"5/minute\"`, `quota = a_function` or `policy = \"search\"`",
        )),
    }
}

/// The quotas with the algorithm and the burst that are written beside them.
fn counted(
    quotas: Quotas,
    algorithm: &Option<At<Algorithm>>,
    burst: &Option<At<u32>>,
) -> syn::Result<Quotas> {
    let mut quotas: Vec<Quota> = quotas.iter().copied().collect();
    if let Some(algorithm) = algorithm {
        for quota in &mut quotas {
            match quota.algorithm() {
                // Not written, as this is what stands for nothing.
                Algorithm::SlidingWindow => {
                    *quota = quota
                        .with_algorithm(algorithm.value)
                        .map_err(|error| refuse(algorithm.span, error))?;
                }
                written if written == algorithm.value => {}
                written => {
                    return Err(refuse(
                        algorithm.span,
                        format!("`rate` already says {written}; write the algorithm once"),
                    ));
                }
            }
        }
    }
    if let Some(burst) = burst {
        let [quota] = &mut quotas[..] else {
            return Err(refuse(
                burst.span,
                "`burst` is of one quota; in a list, write it behind its quota: \"5/second token_bucket burst 20; 100/minute\"",
            ));
        };
        *quota = quota.with_burst(burst.value).map_err(|error| refuse(burst.span, error))?;
    }
    Quotas::new(quotas).map_err(|error| refuse(Span::call_site(), error))
}

/// Reads the value of `name` into `to`, unless there is one already.
fn set_once<T>(
    to: &mut Option<At<T>>,
    name: &Ident,
    input: ParseStream<'_>,
    read: fn(Expr) -> syn::Result<T>,
) -> syn::Result<()> {
    let mut expr: Expr = input.parse()?;
    // A value that a `macro_rules!` macro passed on comes in an invisible group.
    while let Expr::Group(group) = expr {
        expr = *group.expr;
    }
    if to.is_some() {
        return Err(refuse(name.span(), format!("`{name}` is given twice")));
    }
    let span = expr.span();
    *to = Some(At { value: read(expr)?, span });
    Ok(())
}
