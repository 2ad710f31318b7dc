//! The client of an HTTP request.

#[cfg(feature = "operator")]
use std::net::IpAddr;
use std::sync::{
    Once,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{FORWARDED, HeaderName, HeaderValue},
};

use crate::{
    ClientAddress, RateGuard,
    client::{AddressWalk, Listener, Network, ResolvedClient, Steps},
    guard::Line,
};

/// The rule of a guard that was given none.
static PEER: ClientAddress = ClientAddress::peer();

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How many requests are searched for the traces of a proxy.
const LOOKED_AT: u32 = 1_000;

/// Whether it has been said that there seems to be a proxy that nobody trusts.
pub(super) struct ProxyWarning {
    once: Once,
    looked_at: AtomicU32,
}

impl ProxyWarning {
    pub(super) const fn new() -> Self {
        Self { once: Once::new(), looked_at: AtomicU32::new(0) }
    }
}

/// The client of a request, where a guard has its own rule for it.
#[derive(Clone, Copy)]
struct Found {
    client: ResolvedClient,
    ipv6_bits: u8,
}

/// Finds the client of a request by the guard's rule, for the keys that are read next.
pub(crate) fn find(guard: &RateGuard, request: &HttpRequest) {
    find_quietly(guard, request);
    if guard.http().client_address.is_peer() {
        warn_of_proxies(guard, request);
    }
}

/// The same for a request that is only explained.
pub(super) fn find_quietly(guard: &RateGuard, request: &HttpRequest) {
    let rule = &guard.http().client_address;
    if *rule == PEER {
        // That of another guard is not meant.
        request.extensions_mut().remove::<Found>();
    } else {
        let found = by_rule(rule, request, &mut ());
        request.extensions_mut().insert(found);
    }
}

/// How it is found.
pub(super) fn walk(guard: &RateGuard, request: &HttpRequest) -> AddressWalk {
    let rule = &guard.http().client_address;
    let mut steps = Steps::default();
    let Found { client, ipv6_bits } = by_rule(rule, request, &mut steps);
    let header = (!rule.is_peer()).then(|| rule.header_name());
    steps.walked(client, header, Network::of(client.address, ipv6_bits))
}

/// The client of this request.
pub(crate) fn resolved(request: &HttpRequest) -> ResolvedClient {
    found(request).client
}

/// The network of the client of this request: of IPv6 ones of so many bits, or as many as the guard says.
pub(crate) fn network(request: &HttpRequest, bits: Option<u8>) -> Network {
    let Found { client: ResolvedClient { address, .. }, ipv6_bits } = found(request);
    if address.is_none() {
        static LINE: Line = Line::new();
        if LINE.say().is_some() {
            log::warn!(
                target: "rateguard",
                "requests without a peer address (a Unix socket?) are limited all together"
            );
        }
    }
    Network::of(address, bits.unwrap_or(ipv6_bits))
}

fn found(request: &HttpRequest) -> Found {
    if let Some(found) = request.extensions().get() {
        return *found;
    }
    by_rule(&PEER, request, &mut ())
}

fn by_rule(rule: &ClientAddress, request: &HttpRequest, listener: &mut impl Listener) -> Found {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let lines: Vec<_> = if rule.is_peer() {
        Vec::new()
    } else {
        request.headers().get_all(rule.header_name()).map(HeaderValue::as_bytes).collect()
    };
    Found { client: rule.walk(peer, lines, listener), ipv6_bits: rule.ipv6_bits() }
}

impl RateGuard {
    /// The address of the client of a request.
    #[cfg(feature = "operator")]
    pub(crate) fn client_of(&self, request: &HttpRequest) -> Option<IpAddr> {
        by_rule(&self.http().client_address, request, &mut ()).client.address
    }

    /// Says at start which allowance never applies, as the addresses of proxies are not allowed.
    pub(crate) fn warn_of_allowed_proxies(&self) {
        let proxies = self.http().client_address.proxies();
        for list in [&self.in_force().access, &self.http().access] {
            if let Some(network) = list.allowed_proxies(proxies) {
                log::warn!(
                    target: "rateguard",
                    "`{network}` is allowed by an access list, and all of it is trusted as proxies, so the allowance never applies: a proxy may stand for any client. Trust the addresses of the proxies alone"
                );
            }
        }
    }
}

/// Says once for a guard that a proxy seems to stand between, and nobody has said so.
fn warn_of_proxies(guard: &RateGuard, request: &HttpRequest) {
    let is_forwarded =
        || [X_FORWARDED_FOR, FORWARDED].iter().any(|name| request.headers().contains_key(name));
    let ProxyWarning { once, looked_at } = &guard.http().proxy_warning;
    // Where there is a proxy it says so in every request, so there is none if the first thousand say nothing. That some
    // are not counted here makes no difference; all workers write to it as long as it is counted.
    let looked = looked_at.load(Relaxed);
    if looked >= LOOKED_AT || once.is_completed() {
        return;
    }
    looked_at.store(looked + 1, Relaxed);
    if is_forwarded() {
        once.call_once(|| {
            log::warn!(
                target: "rateguard",
                "a request says that it was forwarded, and no proxy is trusted: all that come through one are limited as one client. If there is one, say so: `RateGuard::builder().client_address(ClientAddress::behind(…)?)`"
            );
        });
    }
}
