//! Determines the client of an HTTP request: the client's address, and the key by which limits count the client.

use std::{
    cell::RefCell,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use actix_rateguard_core::adapter::{
    AddressTraceRecorder, Network, NetworkCaps, ResolvedClient, SharedKey, ThrottledLog,
    TraceListener,
};
use actix_web::{HttpMessage, HttpRequest, http::header::HeaderValue};

use smallvec::SmallVec;

use crate::{
    ClientAddress, Key, client_address::AddressTrace, client_networks::ClientNetworks,
    settings::HttpSettings,
};

/// The rule by which a guard determines the client's address if the application sets no rule.
static PEER: ClientAddress = ClientAddress::peer();

/// The client of an HTTP request. The guard stores this value in the extensions of the request.
///
/// If the guard uses the rule [`PEER`] and the peer has no IPv6 address, the guard does not store this value,
/// because each limit can read the client's address from the connection.
struct RequestClient {
    client: ResolvedClient,
    ipv6_bits: u8,
    assignment: Option<KeyAssignment>,
}

/// The data with which limits choose the keys of an IPv6 client. If an IPv6 network has too many clients, some of
/// them get shared keys. IPv4 clients never get shared keys, so they do not need this data.
struct KeyAssignment {
    networks: Arc<ClientNetworks>,
    caps: NetworkCaps,
    /// Whether the guard may give the client a key that is not shared. `false` for an explanation, which must not
    /// change the keys of clients.
    assign: bool,
    /// Pairs of keys. The first key of a pair is the key that the client shares with other clients. The second key is
    /// the client's own key, which the client would have without sharing.
    shared: RefCell<Vec<(Key, Key)>>,
}

/// Determines the client of a request by the guard's rule, and stores the client in the request. Limits that count
/// by address read the stored client.
pub(crate) fn resolve(settings: &HttpSettings, request: &HttpRequest) {
    store_client(settings, request, true);
    settings.proxy_warning.examine(&settings.client_address, request, || resolved(request));
}

/// Does the same as [`resolve`] for a request that no limit counts, such as the request of an explanation. The
/// function does not change the keys of clients, and logs no warning about proxies.
pub(crate) fn resolve_without_warning(settings: &HttpSettings, request: &HttpRequest) {
    store_client(settings, request, false);
}

fn store_client(settings: &HttpSettings, request: &HttpRequest, assign: bool) {
    let rule = &settings.client_address;
    let is_ipv6_peer =
        || request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_ipv6());
    if *rule == PEER && !is_ipv6_peer() {
        // A guard with a different rule may have stored a client in the request. The current guard must not use
        // that client, so this code removes the client.
        request.extensions_mut().remove::<RequestClient>();
        return;
    }
    let (client, ipv6_bits) = (resolve_by_rule(rule, request, &mut ()), rule.ipv6_bits());
    let assignment = client.address.is_some_and(|it| it.is_ipv6()).then(|| KeyAssignment {
        networks: Arc::clone(&settings.client_networks),
        caps: rule.ipv6_caps(),
        assign,
        shared: RefCell::default(),
    });
    request.extensions_mut().insert(RequestClient { client, ipv6_bits, assignment });
}

/// Returns a trace that shows how the guard's rule determines the client of a request.
pub(crate) fn trace_address(settings: &HttpSettings, request: &HttpRequest) -> AddressTrace {
    let rule = &settings.client_address;
    let mut steps = AddressTraceRecorder::default();
    let client = resolve_by_rule(rule, request, &mut steps);
    let header = (!rule.is_peer()).then(|| rule.header_name());
    steps.into_trace(client, header, network_of(settings, client.address, None))
}

/// Returns the address of the client by the rule of the guard. The function does not change the state of the request.
pub(crate) fn address(settings: &HttpSettings, request: &HttpRequest) -> Option<IpAddr> {
    resolve_by_rule(&settings.client_address, request, &mut ()).address
}

/// Returns the network by which the limits count a client at this address. `bits` is the prefix length for IPv6.
/// Without `bits`, the guard's prefix length is used. The function does not change the keys of clients.
pub(crate) fn network_of(
    settings: &HttpSettings,
    address: Option<IpAddr>,
    bits: Option<u8>,
) -> Network {
    let rule = &settings.client_address;
    let network = Network::of(address, bits.unwrap_or(rule.ipv6_bits()));
    settings.client_networks.keys.counted_as(network, rule.ipv6_caps(), false)
}

/// Returns the client of a request, as [`resolve`] has stored it.
pub(crate) fn resolved(request: &HttpRequest) -> ResolvedClient {
    with_client(request, |it| it.client)
}

/// Returns the key for the IPv4 address or IPv6 network of this request's client. Two keys with different `tag`s
/// are never equal. `bits` is the prefix length for IPv6. Without `bits`, the guard's prefix length is used. If the
/// surrounding IPv6 network has too many clients, the client may get a key that it shares with other clients.
pub(crate) fn key(request: &HttpRequest, bits: Option<u8>, tag: &'static str) -> Key {
    with_client(request, |RequestClient { client, ipv6_bits, assignment }| {
        if client.address.is_none() {
            warn_of_no_address(PeerKind::of(request));
        }
        let own = Network::of(client.address, bits.unwrap_or(*ipv6_bits));
        let Some(KeyAssignment { networks, caps, assign, shared }) = assignment else {
            return own.key(tag);
        };
        let assigned = networks.keys.counted_as(own, *caps, *assign);
        let key = assigned.key(tag);
        if let Network::SharedV6(network) = assigned {
            shared.borrow_mut().push((key, own.key(tag)));
            if *assign {
                warn_of_shared_key(&networks.log, network);
            }
        }
        key
    })
}

/// Combines several keys of this request into one key. If one of the keys is shared by several clients, the
/// function also records the combined key that the client would have without shared keys.
pub(crate) fn combined_key(request: &HttpRequest, parts: &[Key]) -> Key {
    let key = Key::combined(parts);
    with_client(request, |client| {
        let Some(KeyAssignment { shared, .. }) = &client.assignment else { return };
        let own: SmallVec<[Key; 4]> =
            parts.iter().map(|part| client.own_key(part).unwrap_or(*part)).collect();
        if *own != *parts {
            shared.borrow_mut().push((key, Key::combined(&own)));
        }
    });
    key
}

/// If `key` is a shared key, returns the client's own key, which the client would have without sharing. The result is
/// `None` if `key` is not a shared key.
pub(crate) fn own_key(request: &HttpRequest, key: &Key) -> Option<Key> {
    request.extensions().get::<RequestClient>()?.own_key(key)
}

impl RequestClient {
    fn own_key(&self, key: &Key) -> Option<Key> {
        let shared = self.assignment.as_ref()?.shared.borrow();
        shared.iter().find(|(shared, _)| shared == key).map(|(_, own)| *own)
    }
}

/// Logs a warning that clients of a network share keys. The log message does not contain the network, because
/// warnings of RateGuard contain no client addresses.
fn warn_of_shared_key(log: &ThrottledLog, network: SharedKey) {
    if let Some(requests) = log.try_emit() {
        let SharedKey { bits, of, max_own, .. } = network;
        log::warn!(
            target: "rateguard",
            "an IPv6 /{bits} network has more than {max_own} clients, or the total number of IPv6 clients is at its limit. The further clients of the network share {of} keys, so a client may be denied because of others ({requests} requests since the last message of this kind). If this is not a flood, increase `ClientAddress::max_ipv6_keys_per_{bits}`"
        );
    }
}

fn warn_of_no_address(peer: PeerKind) {
    static UNIX_SOCKET_LOG: ThrottledLog = ThrottledLog::new();
    static TCP_LOG: ThrottledLog = ThrottledLog::new();
    match peer {
        PeerKind::UnknownTcp if TCP_LOG.try_emit().is_some() => log::warn!(
            target: "rateguard",
            "requests whose clients reset the TCP connection before the server read their address are all counted as one client"
        ),
        PeerKind::UnixSocket if UNIX_SOCKET_LOG.try_emit().is_some() => log::warn!(
            target: "rateguard",
            "requests without a peer address, such as over a Unix socket, are all counted as one client"
        ),
        _ => {}
    }
}

/// Logs a warning that an access list has rejected a request because the request has no address.
pub(crate) fn warn_of_denied_unknown(request: &HttpRequest) {
    static UNIX_SOCKET_LOG: ThrottledLog = ThrottledLog::new();
    static TCP_LOG: ThrottledLog = ThrottledLog::new();
    match PeerKind::of(request) {
        PeerKind::UnknownTcp if TCP_LOG.try_emit().is_some() => log::warn!(
            target: "rateguard",
            "an access list that denies addresses rejected a request with 403, because its client reset the TCP connection before the server read the client's address"
        ),
        PeerKind::UnixSocket if UNIX_SOCKET_LOG.try_emit().is_some() => log::warn!(
            target: "rateguard",
            "an access list that denies addresses rejected a request with 403, because the request has no peer address, such as over a Unix socket. If a proxy uses the socket, call `ClientAddress::trust_unix_sockets()`. In a test, set an address with `TestRequest::peer_addr`"
        ),
        _ => {}
    }
}

/// The peer of a request, by what is known about its address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerKind {
    /// The peer has this address.
    Known(IpAddr),
    /// The connection uses TCP, but the server could not read the address of the peer, because the peer had reset the
    /// connection. The server still receives the bytes that the peer sent before.
    UnknownTcp,
    /// The connection uses a Unix socket. A request that a test has built without an address also has this kind.
    UnixSocket,
}

impl PeerKind {
    /// The address that actix-web reports as the local address of each Unix socket, and of a request that a test has
    /// built. A TCP listener has its own address.
    const UNIX_SOCKET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

    /// Determines the peer of a request.
    ///
    /// A TCP listener with the address [`UNIX_SOCKET`](Self::UNIX_SOCKET) cannot be distinguished from a Unix socket,
    /// except if it uses TLS.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        if let Some(peer) = request.peer_addr() {
            return Self::Known(peer.ip());
        }
        let listener = request.app_config();
        match listener.local_addr() == Self::UNIX_SOCKET && !listener.secure() {
            true => Self::UnixSocket,
            false => Self::UnknownTcp,
        }
    }
}

fn with_client<T>(request: &HttpRequest, read: impl FnOnce(&RequestClient) -> T) -> T {
    if let Some(client) = request.extensions().get() {
        return read(client);
    }
    let client = resolve_by_rule(&PEER, request, &mut ());
    read(&RequestClient { client, ipv6_bits: PEER.ipv6_bits(), assignment: None })
}

pub(crate) fn resolve_by_rule(
    rule: &ClientAddress,
    request: &HttpRequest,
    listener: &mut impl TraceListener,
) -> ResolvedClient {
    let peer = match PeerKind::of(request) {
        PeerKind::Known(peer) => Some(peer),
        PeerKind::UnixSocket => None,
        PeerKind::UnknownTcp => {
            // The rule may trust Unix sockets, and a client that resets its connection must not benefit from this.
            listener.peer(None, false);
            return ResolvedClient { address: None, is_proxy: false };
        }
    };
    let values: Vec<_> = if rule.is_peer() {
        Vec::new()
    } else {
        request.headers().get_all(rule.header_name()).map(HeaderValue::as_bytes).collect()
    };
    rule.trace_address(peer, values, listener)
}
