//! Parses the arguments of the macro attribute. Each argument is written as `name = value` and occurs at most once.

use std::time::Duration;

use actix_rateguard_grammar::{
    Ban, Count, KeyNotation, Methods, MissingKey, OnError, Quotas, ShadowFields, ShadowSpec,
    check_concurrency, check_cost, check_lease, check_wait, expected_one_of,
};
use proc_macro2::{Delimiter, Span, TokenTree};
use syn::{
    Expr, Ident, LitStr, Path, Token,
    ext::IdentExt,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use crate::{
    error::{Located, at_field, error_at},
    quota::{ConstantQuota, EXAMPLES, QuotaArgs},
    shadow,
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
    pub(crate) plan_fallback: Option<Quotas>,
    pub(crate) hides_headers: bool,
    pub(crate) is_permissive: bool,
    pub(crate) wait: Option<Duration>,
    pub(crate) skip: Option<Expr>,
    pub(crate) ban: Option<Ban>,
    pub(crate) shadow: Option<ShadowSpec>,
    pub(crate) name: Option<LitStr>,
    /// The name of the limit of a middleware that this limit replaces.
    pub(crate) replaces: Option<LitStr>,
    pub(crate) on_error: Option<OnError>,
    pub(crate) on_reject: Option<Expr>,
    pub(crate) limiter: Option<Expr>,
    /// The path of the library, from the argument `crate`. `None` if the attribute does not have this argument.
    pub(crate) crate_path: Option<Path>,
}

/// The source of the limit's quotas.
pub(crate) enum Allowance {
    Fixed(Quotas),
    /// The compiler evaluates the numbers of the quota.
    Constant(Box<ConstantQuota>),
    /// A function chooses the quotas for each request.
    PerRequest(Expr),
    /// The guard has a policy with this name, which contains the quotas.
    Named(LitStr),
}

/// The arguments that have been parsed until now.
#[derive(Default)]
struct ParsedArgs {
    quota: QuotaArgs,
    plan: Option<Located<Expr>>,
    policy: Option<Located<LitStr>>,
    key: Option<Located<Key>>,
    missing: Option<Located<MissingKey>>,
    cost: Option<Located<Cost>>,
    count: Option<Located<Count>>,
    methods: Option<Located<Methods>>,
    plan_fallback: Option<Located<Quotas>>,
    headers: Option<Located<bool>>,
    permissive: Option<Located<bool>>,
    wait: Option<Located<Duration>>,
    skip: Option<Located<Expr>>,
    ban: Option<Located<Ban>>,
    shadow: ShadowFields<Span>,
    name: Option<Located<LitStr>>,
    replaces: Option<Located<LitStr>>,
    on_error: Option<Located<OnError>>,
    on_reject: Option<Located<Expr>>,
    limiter: Option<Located<Expr>>,
    crate_path: Option<Located<Path>>,
}

type Reader = fn(&mut ParsedArgs, &Ident, ParseStream<'_>) -> syn::Result<()>;

/// The names of all arguments, with the function that parses each argument. If an argument is unknown, the error
/// message lists these names as the valid names.
const ARGUMENTS: &[(&str, Reader)] = &[
    ("limit", |to, name, input| set_once(&mut to.quota.limit, name, input, values::limit)),
    ("window", |to, name, input| set_once(&mut to.quota.window, name, input, values::window)),
    ("rate", |to, name, input| set_once(&mut to.quota.rate, name, input, values::rate)),
    ("concurrent", |to, name, input| {
        set_once(&mut to.quota.concurrent, name, input, values::concurrent)
    }),
    ("permit_lease", |to, name, input| {
        set_once(&mut to.quota.permit_lease, name, input, values::permit_lease)
    }),
    ("lease", |to, name, input| set_once(&mut to.quota.lease, name, input, values::lease)),
    ("lease_for", |to, name, input| {
        set_once(&mut to.quota.lease_for, name, input, values::lease_for)
    }),
    ("plan", |to, name, input| set_once(&mut to.plan, name, input, values::plan)),
    ("plan_fallback", |to, name, input| set_once(&mut to.plan_fallback, name, input, values::rate)),
    ("policy", |to, name, input| set_once(&mut to.policy, name, input, values::policy_name)),
    ("algorithm", |to, name, input| {
        set_once(&mut to.quota.algorithm, name, input, values::algorithm)
    }),
    ("burst", |to, name, input| set_once(&mut to.quota.burst, name, input, values::burst)),
    ("key", |to, name, input| set_once(&mut to.key, name, input, values::key)),
    ("missing_key", |to, name, input| set_once(&mut to.missing, name, input, values::missing)),
    ("cost", |to, name, input| set_once(&mut to.cost, name, input, values::cost)),
    ("count", |to, name, input| set_once(&mut to.count, name, input, values::count)),
    ("methods", |to, name, input| set_once(&mut to.methods, name, input, values::methods)),
    ("wait", |to, name, input| set_once(&mut to.wait, name, input, values::wait)),
    ("skip", |to, name, input| set_once(&mut to.skip, name, input, values::skip)),
    ("headers", |to, name, input| set_once(&mut to.headers, name, input, values::headers)),
    ("permissive", |to, name, input| set_once(&mut to.permissive, name, input, values::permissive)),
    ("ban", |to, name, input| set_once(&mut to.ban, name, input, values::ban)),
    ("shadow", |to, name, input| set_once(&mut to.shadow.shadow, name, input, shadow::shadow)),
    ("candidate", |to, name, input| {
        set_once(&mut to.shadow.candidate, name, input, shadow::candidate)
    }),
    ("rollout", |to, name, input| set_once(&mut to.shadow.rollout, name, input, shadow::rollout)),
    ("name", |to, name, input| set_once(&mut to.name, name, input, values::policy_name)),
    ("replaces", |to, name, input| set_once(&mut to.replaces, name, input, values::policy_name)),
    ("on_error", |to, name, input| set_once(&mut to.on_error, name, input, values::on_error)),
    ("on_reject", |to, name, input| set_once(&mut to.on_reject, name, input, values::on_reject)),
    ("limiter", |to, name, input| set_once(&mut to.limiter, name, input, Ok)),
    ("crate", |to, name, input| set_once(&mut to.crate_path, name, input, values::path)),
];

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = ParsedArgs::default();
        while !input.is_empty() {
            // An argument can have a keyword as its name, such as `crate`, so every keyword is accepted as a name
            // here.
            let name = input.call(Ident::parse_any).map_err(|error| {
                let names = argument_names().join("`, `");
                error_at(
                    error.span(),
                    format!("expected `name = value`, where the name is one of `{names}`"),
                )
            })?;
            let Some((_, read)) = ARGUMENTS.iter().find(|(argument, _)| name == argument) else {
                if name == "exempt" {
                    return Err(error_at(
                        name.span(),
                        "expected `exempt` in an attribute of its own: `#[rate_limit(exempt)]`; to replace one limit, write `replaces = \"app\"`",
                    ));
                }
                let (names, unknown) = (argument_names(), name.to_string());
                let expected = expected_one_of("argument", &unknown, &names);
                return Err(error_at(
                    name.span(),
                    format!("unknown argument `{unknown}`; {expected}"),
                ));
            };
            let is_assignment =
                input.peek(Token![=]) && !input.peek(Token![==]) && !input.peek(Token![=>]);
            if !is_assignment {
                return Err(missing_equals(&name, input));
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

/// Returns the error for an argument name that no `=` follows.
fn missing_equals(name: &Ident, input: ParseStream<'_>) -> syn::Error {
    // The error is at the token after the name. If no token follows, the error is at the name.
    let next = input.fork().parse::<TokenTree>().ok();
    let span = next.as_ref().map_or(name.span(), TokenTree::span);
    let found = match next {
        None => "the end of the arguments".to_owned(),
        Some(TokenTree::Group(group)) => match group.delimiter() {
            Delimiter::Parenthesis => "`(`".to_owned(),
            Delimiter::Bracket => "`[`".to_owned(),
            Delimiter::Brace => "`{`".to_owned(),
            Delimiter::None => format!("`{}`", group.stream()),
        },
        Some(_) if input.peek(Token![==]) => "`==`".to_owned(),
        Some(_) if input.peek(Token![=>]) => "`=>`".to_owned(),
        Some(token) => format!("`{token}`"),
    };
    error_at(span, format!("expected `=` after `{name}`, found {found}"))
}

fn argument_names() -> Vec<&'static str> {
    ARGUMENTS.iter().map(|(name, _)| *name).collect()
}

impl ParsedArgs {
    fn validate(self) -> syn::Result<Args> {
        let allowance = self.allowance()?;
        let shadow = self.shadow.spec().map_err(at_field)?;
        let enforced = match &allowance {
            Allowance::Fixed(quotas) => Some(quotas),
            Allowance::Constant(_) | Allowance::PerRequest(_) | Allowance::Named(_) => None,
        };
        let of_rates = [
            ("cost", self.cost.as_ref().map(|it| it.location)),
            ("count", self.count.as_ref().map(|it| it.location)),
            ("ban", self.ban.as_ref().map(|it| it.location)),
        ];
        let of_rates = of_rates.into_iter().filter_map(|(name, location)| Some((name, location?)));
        let with_placeholder = match &allowance {
            Allowance::Constant(quota) => quota.with_placeholder(),
            Allowance::Fixed(_) | Allowance::PerRequest(_) | Allowance::Named(_) => None,
        };
        check_concurrency(with_placeholder.as_ref().or(enforced), of_rates, &self.shadow)
            .map_err(at_field)?;
        let ban = self.ban.as_ref().map(|it| it.location);
        check_lease(enforced, ban, &self.shadow).map_err(at_field)?;
        let wait = self.wait.as_ref().map(|it| it.location);
        check_wait(enforced, wait, &self.shadow).map_err(at_field)?;
        if let Some(Located { value: Cost { number: Some(cost), .. }, location }) = &self.cost {
            check_cost(*cost, enforced, shadow.as_ref())
                .map_err(|message| error_at(*location, message))?;
        }
        Ok(Args {
            allowance,
            key: self.key.map_or(Key::Notation(KeyNotation::ip()), |key| key.value),
            missing: self.missing.map_or(MissingKey::Ip, |missing| missing.value),
            cost: self.cost.map(|cost| cost.value.expr),
            count: self.count.map_or(Count::All, |count| count.value),
            methods: self.methods.map(|methods| methods.value),
            plan_fallback: self.plan_fallback.map(|fallback| fallback.value),
            hides_headers: self.headers.is_some_and(|headers| !headers.value),
            is_permissive: self.permissive.is_some_and(|permissive| permissive.value),
            wait: self.wait.map(|wait| wait.value),
            skip: self.skip.map(|skip| skip.value),
            ban: self.ban.map(|ban| ban.value),
            shadow,
            name: self.name.map(|name| name.value),
            replaces: self.replaces.map(|limit| limit.value),
            on_error: self.on_error.map(|on_error| on_error.value),
            on_reject: self.on_reject.map(|on_reject| on_reject.value),
            limiter: self.limiter.map(|limiter| limiter.value),
            crate_path: self.crate_path.map(|path| path.value),
        })
    }

    /// Returns the source of the quotas. Returns an error if two arguments conflict.
    fn allowance(&self) -> syn::Result<Allowance> {
        let quota = self.quota.fields();
        let plan = self.plan.as_ref().map(|it| ("plan", it.location));
        let of_policy = [
            ("ban", self.ban.as_ref().map(|it| it.location)),
            ("name", self.name.as_ref().map(|it| it.location)),
            ("on_error", self.on_error.as_ref().map(|it| it.location)),
        ];
        let of_policy =
            of_policy.into_iter().filter_map(|(name, location)| Some((name, location?)));
        if let Some(policy) = &self.policy {
            let fallback = self.plan_fallback.as_ref().map(|it| ("plan_fallback", it.location));
            let others = quota.present().chain(plan).chain(fallback).chain(self.shadow.present());
            reject_conflicts("policy", others.chain(of_policy))?;
            return Ok(Allowance::Named(policy.value.clone()));
        }
        if let Some(plan) = &self.plan {
            reject_conflicts("plan", quota.present())?;
            return Ok(Allowance::PerRequest(plan.value.clone()));
        }
        if let Some(fallback) = &self.plan_fallback {
            return Err(error_at(
                fallback.location,
                "`plan_fallback` requires `plan`; add `plan = plan_of` or remove `plan_fallback`",
            ));
        }
        match self.quota.constant()? {
            Some(constant) => Ok(Allowance::Constant(Box::new(constant))),
            None => quota.quotas(EXAMPLES).map(Allowance::Fixed).map_err(at_field),
        }
    }
}

/// Returns an error if any argument in `others` is present, because all of them conflict with `argument`.
fn reject_conflicts(
    argument: &str,
    mut others: impl Iterator<Item = (&'static str, Span)>,
) -> syn::Result<()> {
    others.next().map_or(Ok(()), |(name, span)| {
        Err(error_at(span, format!("`{name}` conflicts with `{argument}`; remove `{name}`")))
    })
}

/// Returns the part of the error message for a duplicate argument that says what to do: write all values in one
/// argument, or remove one of the two arguments.
fn duplicate_remedy(name: &str) -> &'static str {
    match name {
        "rate" | "candidate" | "plan_fallback" => {
            "write several rates in one string, such as \"5/second; 100/minute\""
        }
        "limit" | "window" => {
            "for several quotas, write all of them as `rate = \"5/second; 100/minute\"`"
        }
        "key" => "write several parts of a key in one string, such as \"user+ip\"",
        "methods" => "write several methods in one string, such as \"POST, PUT\"",
        "count" => "write several statuses in one string, such as \"status:401,403\"",
        _ => "remove one of them",
    }
}

/// Parses the value of the argument `name` and stores it in `to`. Returns an error if `to` already has a value.
fn set_once<T>(
    to: &mut Option<Located<T>>,
    name: &Ident,
    input: ParseStream<'_>,
    read: fn(Expr) -> syn::Result<T>,
) -> syn::Result<()> {
    let mut expr: Expr = input.parse()?;
    // If a `macro_rules!` macro passes the value, the value is inside an invisible group. So the group is removed
    // here.
    while let Expr::Group(group) = expr {
        expr = *group.expr;
    }
    if to.is_some() {
        let remedy = duplicate_remedy(&name.to_string());
        return Err(error_at(name.span(), format!("duplicate argument `{name}`; {remedy}")));
    }
    let span = expr.span();
    *to = Some(Located { value: read(expr)?, location: span });
    Ok(())
}
