//! The client of an HTTP request.

use std::{
    cell::RefCell,
    net::IpAddr,
    sync::{
        Arc, Once,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use actix_web::{
    HttpMessage, HttpRequest,
    http::header::{FORWARDED, HeaderName, HeaderValue},
};

use smallvec::SmallVec;

use crate::{
    ClientAddress, Key, RateGuard,
    bucket::KeySecret,
    client::{
        AddressWalk, Listener, Network, NetworkCaps, NetworkKeys, ResolvedClient, SharedKey, Steps,
    },
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

/// The client of a request, where a guard has its own rule for it or tracks the clients of its network.
struct Found {
    client: ResolvedClient,
    ipv6_bits: u8,
    tracked: Option<Tracked>,
}

/// Which clients of wide IPv6 networks have keys of their own, and what the log says when one shares a key.
pub(super) struct ClientNetworks {
    keys: NetworkKeys,
    line: Line,
}

impl ClientNetworks {
    pub(super) fn new(secret: Option<&KeySecret>) -> Self {
        let keys = NetworkKeys::new();
        let keys = match secret {
            Some(secret) => keys.with_secret(secret),
            None => keys,
        };
        Self { keys, line: Line::new() }
    }
}

/// What a guard knows of the networks of its clients. Only for IPv6 clients: others have nothing to do with it.
struct Tracked {
    networks: Arc<ClientNetworks>,
    caps: NetworkCaps,
    /// The request is enforced, and not only explained.
    assign: bool,
    /// The keys of this client that it shares with others, and the one that it would have instead of each.
    shared: RefCell<Vec<(Key, Key)>>,
}

/// Finds the client of a request by the guard's rule, for the keys that are read next.
pub(crate) fn find(guard: &RateGuard, request: &HttpRequest) {
    find_for(guard, request, true);
    if guard.http().client_address.is_peer() {
        warn_of_proxies(guard, request);
    }
}

/// The same for a request that is only explained.
pub(super) fn find_quietly(guard: &RateGuard, request: &HttpRequest) {
    find_for(guard, request, false);
}

fn find_for(guard: &RateGuard, request: &HttpRequest, assign: bool) {
    let rule = &guard.http().client_address;
    let is_ipv6_peer =
        || request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_ipv6());
    if *rule == PEER && !is_ipv6_peer() {
        // That of another guard is not meant.
        request.extensions_mut().remove::<Found>();
        return;
    }
    let (client, ipv6_bits) = (by_rule(rule, request, &mut ()), rule.ipv6_bits());
    let tracked = client.address.is_some_and(|address| address.is_ipv6()).then(|| Tracked {
        networks: Arc::clone(&guard.http().client_networks),
        caps: rule.ipv6_caps(),
        assign,
        shared: RefCell::default(),
    });
    request.extensions_mut().insert(Found { client, ipv6_bits, tracked });
}

/// How it is found.
pub(super) fn walk(guard: &RateGuard, request: &HttpRequest) -> AddressWalk {
    let rule = &guard.http().client_address;
    let mut steps = Steps::default();
    let client = by_rule(rule, request, &mut steps);
    let header = (!rule.is_peer()).then(|| rule.header_name());
    steps.walked(client, header, counted_as(guard, client.address, None))
}

/// What a client at this address would be counted as, by an IPv6 network of so many bits, or as many as the guard says.
pub(crate) fn counted_as(guard: &RateGuard, address: Option<IpAddr>, bits: Option<u8>) -> Network {
    let rule = &guard.http().client_address;
    let network = Network::of(address, bits.unwrap_or(rule.ipv6_bits()));
    guard.http().client_networks.keys.counted_as(network, rule.ipv6_caps(), false)
}

/// The client of this request.
pub(crate) fn resolved(request: &HttpRequest) -> ResolvedClient {
    with_found(request, |found| found.client)
}

/// The key of the client of this request, among those with this tag: its address, or its IPv6 network of so many bits, or
/// as many as the guard says. Of a network with too many clients it may be one that they share.
pub(crate) fn key(request: &HttpRequest, bits: Option<u8>, tag: &'static str) -> Key {
    with_found(request, |Found { client, ipv6_bits, tracked }| {
        warn_of_no_address(client.address);
        let own = Network::of(client.address, bits.unwrap_or(*ipv6_bits));
        let Some(Tracked { networks, caps, assign, shared }) = tracked else {
            return own.key(tag);
        };
        let counted_as = networks.keys.counted_as(own, *caps, *assign);
        let key = counted_as.key(tag);
        if let Network::SharedV6(network) = counted_as {
            shared.borrow_mut().push((key, own.key(tag)));
            if *assign {
                warn_of_shared_key(&networks.line, network);
            }
        }
        key
    })
}

/// The key of several keys of this request.
pub(crate) fn combined_key(request: &HttpRequest, parts: &[Key]) -> Key {
    let key = Key::combined(parts);
    with_found(request, |found| {
        let Some(Tracked { shared, .. }) = &found.tracked else { return };
        let own: SmallVec<[Key; 4]> =
            parts.iter().map(|part| found.own_key(part).unwrap_or(*part)).collect();
        if *own != *parts {
            shared.borrow_mut().push((key, Key::combined(&own)));
        }
    });
    key
}

/// The key that the client would have instead of this one, if it shares this one with others of its network.
pub(crate) fn own_key(request: &HttpRequest, key: &Key) -> Option<Key> {
    request.extensions().get::<Found>()?.own_key(key)
}

impl Found {
    fn own_key(&self, key: &Key) -> Option<Key> {
        let shared = self.tracked.as_ref()?.shared.borrow();
        shared.iter().find(|(shared, _)| shared == key).map(|(_, own)| *own)
    }
}

/// Says that clients of a network share keys. Addresses do not leave us in logs, so it does not say which network it is.
fn warn_of_shared_key(line: &Line, network: SharedKey) {
    if let Some(requests) = line.say() {
        let SharedKey { bits, of, max_own, .. } = network;
        log::warn!(
            target: "rateguard",
            "a /{bits} network of IPv6 has more clients than the {max_own} that have keys of their own, or there are too many such clients in all: its further clients share {of} keys, and one may be denied for what others took; {requests} requests since the last line like this. If they are no flood, make `ClientAddress::max_ipv6_keys_per_{bits}` greater"
        );
    }
}

fn warn_of_no_address(address: Option<IpAddr>) {
    if address.is_none() {
        static LINE: Line = Line::new();
        if LINE.say().is_some() {
            log::warn!(
                target: "rateguard",
                "requests without a peer address (a Unix socket?) are limited all together"
            );
        }
    }
}

fn with_found<T>(request: &HttpRequest, read: impl FnOnce(&Found) -> T) -> T {
    if let Some(found) = request.extensions().get() {
        return read(found);
    }
    let client = by_rule(&PEER, request, &mut ());
    read(&Found { client, ipv6_bits: PEER.ipv6_bits(), tracked: None })
}

fn by_rule(
    rule: &ClientAddress,
    request: &HttpRequest,
    listener: &mut impl Listener,
) -> ResolvedClient {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let lines: Vec<_> = if rule.is_peer() {
        Vec::new()
    } else {
        request.headers().get_all(rule.header_name()).map(HeaderValue::as_bytes).collect()
    };
    rule.walk(peer, lines, listener)
}

impl RateGuard {
    /// The address of the client of a request.
    #[cfg(feature = "operator")]
    pub(crate) fn client_of(&self, request: &HttpRequest) -> Option<IpAddr> {
        by_rule(&self.http().client_address, request, &mut ()).address
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
