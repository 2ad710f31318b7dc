//! Searches the requests of a guard for a proxy that the guard's rule for client addresses does not know.

use std::{
    cell::Cell,
    net::IpAddr,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use actix_rateguard_core::adapter::{ResolvedClient, canonical};
use actix_web::HttpRequest;

use super::evidence::{Evidence, Mistake};
use crate::{ClientAddress, client::PeerKind};

/// Searches the requests of a guard for a proxy that the guard's rule for client addresses does not know. Logs at
/// most one warning.
#[derive(Default)]
pub(crate) struct ProxyWarning {
    is_done: AtomicBool,
    /// The number of requests that were counted by the address of an unknown proxy, because of any mistake.
    hidden: AtomicU32,
    /// The same requests, with a separate count for each mistake. A warning is about one mistake, and contains only the
    /// count of this mistake.
    mistakes: Mutex<Vec<CountedMistake>>,
    /// The number of requests that were counted by the address of their client.
    known: AtomicU32,
    /// The number of requests without evidence since the last request with evidence, at most
    /// [`MAX_UNCLEAR`](Self::MAX_UNCLEAR).
    unclear: AtomicU32,
    /// The time of the first request with evidence.
    start: OnceLock<Instant>,
}

/// The number of requests that show the same mistake. Peers with an address and peers on a Unix socket are counted
/// separately, because they need different settings.
struct CountedMistake {
    mistake: Mistake,
    is_unix_socket: bool,
    requests: u32,
}

impl ProxyWarning {
    /// The minimum number of requests with evidence for a conclusion about a rule that trusts proxies.
    const MIN_REQUESTS: u32 = 100;
    /// The minimum time for a conclusion about a rule that trusts proxies.
    const MIN_TIME: Duration = Duration::from_secs(60);
    /// After this number of requests from clients that connect directly, a guard that trusts no proxies stops the
    /// search, because a proxy would have added its header to the requests.
    const MAX_DIRECT: u32 = 1_000;
    /// After this number of requests without evidence, such as health checks, the guard examines only one in
    /// [`SAMPLED`](Self::SAMPLED) requests of each worker, because the search for headers takes time.
    const MAX_UNCLEAR: u32 = 1_000;
    /// After [`MAX_UNCLEAR`](Self::MAX_UNCLEAR) such requests, the guard examines one in this number of requests.
    ///
    /// If several guards examine each request, they share the counter of a worker. The number is prime, so the counter
    /// selects each of these guards equally often.
    const SAMPLED: u32 = 61;

    /// Examines a request, and logs the warning if there is enough evidence. `client` returns the client that `rule`
    /// determines.
    pub(crate) fn examine(
        &self,
        rule: &ClientAddress,
        request: &HttpRequest,
        client: impl FnOnce() -> ResolvedClient,
    ) {
        if self.is_done.load(Relaxed) || !self.is_selected() {
            return;
        }
        let peer = match PeerKind::of(request) {
            PeerKind::Known(peer) => Some(canonical(peer)),
            PeerKind::UnixSocket => None,
            // The peer cannot be a proxy that the guard should trust, because nothing is known about it.
            PeerKind::UnknownTcp => return,
        };
        let evidence = Evidence::of(rule, peer, client, request.headers());
        if let Some(message) = self.conclude(evidence, rule, peer, Instant::now) {
            log::warn!(target: "rateguard", "{message}");
        }
    }

    /// Returns whether the guard should examine the current request.
    fn is_selected(&self) -> bool {
        thread_local! {
            static REQUESTS: Cell<u32> = const { Cell::new(0) };
        }
        self.unclear.load(Relaxed) < Self::MAX_UNCLEAR || {
            REQUESTS.set(REQUESTS.get().wrapping_add(1));
            REQUESTS.get().is_multiple_of(Self::SAMPLED)
        }
    }

    /// Counts the evidence of a request, and returns the warning if there is enough evidence.
    fn conclude(
        &self,
        evidence: Evidence,
        rule: &ClientAddress,
        peer: Option<IpAddr>,
        now: impl FnOnce() -> Instant,
    ) -> Option<String> {
        let mistake = match evidence {
            Evidence::Hidden(mistake) => Some(mistake),
            Evidence::Known => None,
            Evidence::None => {
                if self.unclear.load(Relaxed) < Self::MAX_UNCLEAR {
                    self.unclear.fetch_add(1, Relaxed);
                }
                return None;
            }
        };
        let counter = if mistake.is_some() { &self.hidden } else { &self.known };
        counter.fetch_add(1, Relaxed);
        self.unclear.store(0, Relaxed);
        let (hidden, known) = (self.hidden.load(Relaxed), self.known.load(Relaxed));
        let (is_hidden, is_enough) = if rule.is_peer() {
            (hidden > 0, hidden > 0 || known >= Self::MAX_DIRECT)
        } else {
            // Any client that connects directly can send the header of a proxy. So a few requests with such a header do
            // not prove a mistake. If 19 of 20 requests have it, they prove a mistake.
            let now = now();
            let time = now.duration_since(*self.start.get_or_init(|| now));
            let is_enough = hidden + known >= Self::MIN_REQUESTS && time >= Self::MIN_TIME;
            (hidden / 19 >= known, is_enough)
        };
        let requests = mistake.as_ref().and_then(|mistake| self.count(mistake, peer.is_none()));
        // If this request does not show the most frequent mistake, a later request that shows it logs the warning.
        if !is_enough || (is_hidden && requests.is_none()) {
            return None;
        }
        // If several workers have enough evidence at the same time, only one of them logs the warning.
        if self.is_done.swap(true, Relaxed) || !is_hidden {
            return None;
        }
        Some(mistake?.message(rule, peer, requests?))
    }

    /// Counts a request that shows this mistake. Returns the number of such requests if no other mistake is more
    /// frequent.
    fn count(&self, mistake: &Mistake, is_unix_socket: bool) -> Option<u32> {
        // No code can panic while it holds the lock, so the lock is never poisoned.
        let mut mistakes = self.mistakes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same =
            |it: &CountedMistake| (&it.mistake, it.is_unix_socket) == (mistake, is_unix_socket);
        let index = mistakes.iter().position(is_same).unwrap_or_else(|| {
            let mistake = mistake.clone();
            mistakes.push(CountedMistake { mistake, is_unix_socket, requests: 0 });
            mistakes.len() - 1
        });
        mistakes[index].requests = mistakes[index].requests.saturating_add(1);
        let requests = mistakes[index].requests;
        mistakes.iter().all(|it| it.requests <= requests).then_some(requests)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer() -> Option<IpAddr> {
        "10.0.0.8".parse().ok()
    }

    fn hidden(mistake: fn(Cow<'static, str>) -> Mistake) -> Evidence {
        Evidence::Hidden(mistake("X-Forwarded-For".into()))
    }

    fn rule() -> ClientAddress {
        ClientAddress::behind(["10.0.0.7"]).unwrap()
    }

    /// Passes a request each second to a new warning, and returns the seconds at which it was logged.
    fn logged(rule: &ClientAddress, requests: impl Iterator<Item = Evidence>) -> Vec<u32> {
        let (warning, start) = (ProxyWarning::default(), Instant::now());
        let seconds = (0..).zip(requests);
        let logged_at = |(second, evidence): (u32, Evidence)| {
            let message = warning.conclude(evidence, rule, peer(), || start + second * SECOND);
            message.map(|_| second)
        };
        seconds.filter_map(logged_at).collect()
    }

    #[test]
    fn warning_needs_one_header_if_no_proxy_is_trusted() {
        let rule = ClientAddress::peer();
        let header = || hidden(Mistake::NoProxies);
        assert_eq!(logged(&rule, [Evidence::None, header(), header()].into_iter()), [1]);
        // 1,000 clients with public addresses and without a header show that there is no proxy. Health checks never
        // show this, however many there are.
        let known = (0..1_000).map(|_| Evidence::Known);
        assert_eq!(logged(&rule, known.chain([header()])), [0; 0]);
        let health_checks = (0..5_000).map(|_| Evidence::None);
        assert_eq!(logged(&rule, health_checks.chain([header()])), [5_000]);
    }

    #[test]
    fn warning_about_trusted_proxies_needs_a_minute_and_100_requests() {
        let header = || hidden(Mistake::OtherProxies);
        assert_eq!(logged(&rule(), (0..200).map(|_| header())), [99]);
        let warning = ProxyWarning::default();
        let start = Instant::now();
        let at =
            |second: u32| warning.conclude(header(), &rule(), peer(), || start + second * SECOND);
        assert!((0..1_000).all(|number| at(number % 60).is_none()));
        assert!(at(60).is_some());
        assert!(at(61).is_none());
    }

    #[test]
    fn warning_about_trusted_proxies_needs_nearly_all_requests() {
        let with_known = |one_in| {
            (1..400).map(move |number| match number % one_in {
                0 => Evidence::Known,
                _ => hidden(Mistake::OtherProxies),
            })
        };
        assert_eq!(logged(&rule(), with_known(20)).len(), 1);
        assert_eq!(logged(&rule(), with_known(10)).len(), 0);
        let health_checks = (0..400).map(|number| match number % 2 {
            0 => Evidence::None,
            _ => hidden(Mistake::OtherProxies),
        });
        assert_eq!(logged(&rule(), health_checks).len(), 1);
        assert_eq!(logged(&rule(), (0..400).map(|_| Evidence::None)).len(), 0);
    }

    #[test]
    fn warning_is_about_the_most_frequent_mistake_and_its_number_of_requests() {
        // A third of the first 90 requests show each of the three mistakes. All later requests show the last mistake,
        // so it becomes the most frequent one.
        let evidence = |number: u8| match if number < 90 { number % 3 } else { 2 } {
            0 => (Mistake::OtherHeader("Forwarded".into()), "10.0.0.7".parse().ok()),
            1 => (Mistake::OtherProxies("X-Forwarded-For".into()), None),
            _ => {
                let peer = IpAddr::from([10, 0, 1, number]);
                (Mistake::OtherProxies("X-Forwarded-For".into()), Some(peer))
            }
        };
        let (warning, start) = (ProxyWarning::default(), Instant::now());
        let log = |number: u8| {
            let (mistake, peer) = evidence(number);
            let now = || start + u32::from(number) * SECOND;
            warning.conclude(Evidence::Hidden(mistake), &rule(), peer, now)
        };
        let messages: Vec<_> = (0..120).filter_map(log).collect();
        let [message] = &*messages else { panic!("{messages:?}") };
        assert!(message.starts_with("at least 40 requests have the header `X-Forwarded-For` and come from peers that are not trusted proxies, such as 10.0.1.99,"), "{message}");
    }

    #[test]
    fn only_a_sample_is_examined_after_many_requests_without_evidence() {
        let warning = ProxyWarning::default();
        let none = || warning.conclude(Evidence::None, &rule(), peer(), Instant::now);
        assert!((0..1_000).all(|_| warning.is_selected() && none().is_none()));
        assert_eq!((0..610).filter(|_| warning.is_selected()).count(), 10);
        // A request with evidence ends the sampling.
        warning.conclude(Evidence::Known, &rule(), peer(), Instant::now);
        assert!((0..61).all(|_| warning.is_selected()));
    }
}
