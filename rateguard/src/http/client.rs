//! The client of an HTTP request.

use actix_web::{HttpMessage, HttpRequest, http::header::HeaderValue};

use crate::{ClientAddress, RateGuard, client::Network, guard::Line};

/// The rule of a guard that was given none.
static PEER: ClientAddress = ClientAddress::peer();

/// The client of a request, where a guard has its own rule for it.
#[derive(Clone, Copy)]
struct Found(Network);

/// Finds the client of a request by the guard's rule, for the keys that are read next.
pub(crate) fn find(guard: &RateGuard, request: &HttpRequest) {
    let rule = guard.client_address();
    if *rule == PEER {
        // That of another guard is not meant.
        request.extensions_mut().remove::<Found>();
    } else {
        let network = by_rule(rule, request);
        request.extensions_mut().insert(Found(network));
    }
    if rule.is_peer() {
        warn_of_proxies(guard, request);
    }
}

/// The network of the client of this request.
pub(crate) fn network(request: &HttpRequest) -> Network {
    if let Some(Found(network)) = request.extensions().get() {
        return *network;
    }
    by_rule(&PEER, request)
}

fn by_rule(rule: &ClientAddress, request: &HttpRequest) -> Network {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let lines: Vec<_> = if rule.is_peer() {
        Vec::new()
    } else {
        request.headers().get_all(rule.header_name()).map(HeaderValue::as_bytes).collect()
    };
    let network = rule.network(peer, lines.into_iter());
    if network == Network::None {
        static LINE: Line = Line::new();
        if LINE.say().is_some() {
            log::warn!(
                target: "rateguard",
                "requests without a peer address (a Unix socket?) are limited all together"
            );
        }
    }
    network
}

/// Says once for a guard that a proxy seems to stand between, and nobody has said so.
fn warn_of_proxies(guard: &RateGuard, request: &HttpRequest) {
    let is_forwarded = || {
        ["x-forwarded-for", "forwarded"].iter().any(|name| request.headers().contains_key(*name))
    };
    if !guard.proxy_warning().is_completed() && is_forwarded() {
        guard.proxy_warning().call_once(|| {
            log::warn!(
                target: "rateguard",
                "a request says that it was forwarded, and no proxy is trusted: all that come through one are limited as one client. If there is one, say so: `RateGuard::builder().client_address(ClientAddress::behind(…)?)`"
            );
        });
    }
}
