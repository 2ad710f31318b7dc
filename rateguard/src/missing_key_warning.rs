//! Logs a warning about a limit if no request has the limit's key, which is most likely a mistake of the application.

use std::{borrow::Cow, fmt};

use actix_rateguard_grammar::KeyPart;
use actix_web::HttpRequest;

use crate::{
    Caller, MissingKey,
    inventory::LimitKind,
    key::{BuiltinKey, IDENTITY_VERSION, SESSION_VERSION},
    key_probe::KeyProbe,
    limit_context::{LimitContext, Purpose},
    limit_name::LimitName,
};

/// The properties of a limit that the warning contains.
pub(crate) struct ProbedLimit<'a> {
    pub(crate) limit: LimitName<'a>,
    pub(crate) kind: LimitKind,
    /// The key in the notation of the macro attribute, or another text if a function reads the key.
    pub(crate) key: Cow<'a, str>,
    pub(crate) missing: MissingKey,
}

/// Records whether a request has the limit's key. Logs at most one warning for each limit. Does nothing for an
/// explanation.
///
/// The function logs the warning if none of the first 100 requests had the key. It logs the warning earlier if the
/// route of this request has the parameter of the key, but the limit runs before actix-web reads the parameter. If the
/// route lacks the parameter, the function does not log the warning earlier, because another route of the same limit
/// may have the parameter.
pub(crate) fn record_key<'a>(
    context: &LimitContext<'_>,
    probe: &KeyProbe,
    caller: &Caller,
    request: &HttpRequest,
    limit: impl FnOnce() -> ProbedLimit<'a>,
) {
    if context.purpose == Purpose::Explain {
        return;
    }
    let count = match caller {
        Caller::Known(_) => {
            probe.end();
            None
        }
        // The limit does not apply to this client, so the client needs no key.
        Caller::Exempt => None,
        Caller::Unknown => probe.count_keyless(),
    };
    let Some(count) = count else { return };
    let limit = limit();
    let missing: Vec<KeyPart> =
        limit.key.parse::<BuiltinKey>().map_or(Vec::new(), |key| key.missing_parts(request));
    if let Some(mistake) = missing.iter().find_map(|part| read_too_early(part, request)) {
        if probe.end() {
            log::warn!(target: "rateguard", "{limit}: {mistake}. {}", consequence(limit.missing));
        }
    } else if count == KeyProbe::MAX_KEYLESS {
        log::warn!(
            target: "rateguard",
            "{limit}: none of its first {count} requests had the key. {}. {}",
            consequence(limit.missing),
            advice(missing.first(), limit.kind, request),
        );
    }
}

/// Returns the mistake if `part` is a parameter of the request's route that actix-web reads after the limit has run.
fn read_too_early(part: &KeyPart, request: &HttpRequest) -> Option<String> {
    let KeyPart::Path(name) = part else { return None };
    let pattern = request.match_pattern()?;
    // If actix-web has processed the whole path, the limit runs after actix-web has read the parameters. If the
    // parameter has an empty value, the request has no key, but the application has made no mistake.
    let is_too_early =
        has_parameter(&pattern, name) && !request.match_info().unprocessed().is_empty();
    (is_too_early && request.match_info().get(name).is_none()).then(|| format!(
        "it runs before actix-web reads the parameter `{name}` of the route `{pattern}`. Wrap the scope or the resource whose own path has the parameter, or add `#[rate_limit]` to the handler"
    ))
}

/// Returns whether the pattern of a route has a parameter with this name.
fn has_parameter(pattern: &str, name: &str) -> bool {
    let declarations = [format!("{{{name}}}"), format!("{{{name}:")];
    declarations.iter().any(|declaration| pattern.contains(declaration))
}

/// Describes how the limit treats requests without the key.
fn consequence(missing: MissingKey) -> &'static str {
    match missing {
        MissingKey::Deny => "Requests without the key are rejected with 403",
        MissingKey::Skip => "Requests without the key are not limited",
        _ => "Requests without the key are counted by address",
    }
}

/// Returns the advice in the warning: what to check if requests lack this part of the key. `None` means that a function
/// reads the key. `request` is the last of these requests.
///
/// The order of the middlewares concerns only a limit in a middleware: all middlewares run before the limit of a macro
/// attribute. Extractors run after all limits.
fn advice(part: Option<&KeyPart>, kind: LimitKind, request: &HttpRequest) -> Cow<'static, str> {
    match part {
        Some(KeyPart::User) => match kind {
            LimitKind::Attribute => "If users are authenticated, a middleware around the handler must insert a `UserId` into the extensions of the request. An extractor cannot insert it in time, because extractors run after the limit",
            LimitKind::Middleware => "If users are authenticated, register the authentication after the limit, so that it runs first. The authentication must be a middleware that inserts a `UserId` into the extensions of the request. An extractor cannot insert it in time, because extractors run after the limit",
        }
        .into(),
        Some(KeyPart::Identity) => {
            let order = match kind {
                LimitKind::Attribute => "wrap the application with the middlewares of actix-identity and actix-session",
                LimitKind::Middleware => "register the middlewares of actix-identity and actix-session after the limit, so that they run first",
            };
            format!(
                "If users are authenticated, {order}. They must be of the versions actix-identity {IDENTITY_VERSION} and actix-session {SESSION_VERSION}: RateGuard does not find the identities of other versions"
            )
            .into()
        }
        Some(KeyPart::Session(name)) => {
            let order = match kind {
                LimitKind::Attribute => "Wrap the application with the middleware of actix-session",
                LimitKind::Middleware => "Register the middleware of actix-session after the limit, so that it runs first",
            };
            format!(
                "{order}, and check the name `{name}`. The middleware must be of actix-session {SESSION_VERSION}: RateGuard does not find the sessions of other versions"
            )
            .into()
        }
        Some(KeyPart::Bearer) => {
            "Check whether clients send `Authorization: Bearer`, and whether a proxy removes it".into()
        }
        Some(KeyPart::Header(name)) => format!(
            "Check the name of the header `{name}`, whether clients send it, and whether a proxy removes it"
        )
        .into(),
        Some(KeyPart::Cookie(name)) => {
            format!("Check the name of the cookie `{name}`, and whether clients send it").into()
        }
        Some(KeyPart::Path(name)) => {
            let pattern = request.match_pattern();
            let route = match pattern.filter(|pattern| !has_parameter(pattern, name)) {
                Some(pattern) => {
                    format!("; the route `{pattern}` of the last request has no such parameter")
                }
                None => String::new(),
            };
            let note = match kind {
                LimitKind::Attribute => "",
                LimitKind::Middleware => ". A limit around an application runs before actix-web reads route parameters",
            };
            format!("Check the name of the route parameter `{name}`{route}{note}").into()
        }
        Some(KeyPart::Json(pointer)) => format!(
            "Check the pointer `{pointer}`, and whether clients send an uncompressed JSON body with its media type, of at most `max_key_body` bytes"
        )
        .into(),
        Some(KeyPart::Form(name)) => format!(
            "Check the name of the form field `{name}`, and whether clients send an uncompressed form with the media type `application/x-www-form-urlencoded`, of at most `max_key_body` bytes"
        )
        .into(),
        Some(KeyPart::Route) => {
            "Check whether routes are registered for the paths of these requests: a path without a route has no pattern".into()
        }
        Some(KeyPart::Ip | KeyPart::IpNetwork(_) | KeyPart::Global | KeyPart::Method) | None => {
            let order = match kind {
                LimitKind::Attribute => "check whether this middleware wraps the handler",
                LimitKind::Middleware => "register this middleware after the limit, so that it runs first",
            };
            format!(
                "Check why the key function returns no key. If it reads a value that a middleware inserts, {order}. It cannot read a value that an extractor inserts, because extractors run after the limit"
            )
            .into()
        }
    }
}

impl fmt::Display for ProbedLimit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, key, .. } = self;
        write!(f, "{limit} with the key `{key}`")
    }
}
