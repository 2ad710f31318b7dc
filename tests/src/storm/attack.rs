//! The attack on the servers of a storm, which is a test that injects random faults. One client uses many
//! connections, and sends the next request on each connection as soon as it receives a response.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::limits::{ATTACKED, CLIENT};
use crate::attack::{
    AttackResult, TIMEOUT,
    load::{self, Load, Tally},
    request::{Addresses, Request},
};

/// The number of connections that the attack opens. They are distributed over all servers.
const CONNECTIONS: usize = 300;
/// The maximum number of requests in one attack. It bounds the load if the servers are fast.
const MAX_REQUESTS: u64 = 100_000;

/// A running attack.
#[derive(Debug)]
pub struct Attack(JoinHandle<AttackResult<Tally>>);

impl Attack {
    /// Opens connections to the servers at these ports, and then sends requests for this duration.
    ///
    /// # Errors
    ///
    /// Returns an error if a connection cannot be opened.
    pub fn begin(ports: &[u16], duration: Duration) -> AttackResult<Self> {
        let servers = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
        let lines = format!("{CLIENT}: attacker\r\n");
        let request = |path| Request::for_path(path, Addresses::Peer, &lines);
        let load = Load {
            servers,
            connections: CONNECTIONS,
            requests: ATTACKED.map(request).to_vec(),
            duration,
            first_address: 0,
            max_requests: MAX_REQUESTS,
            pause: Duration::ZERO,
        };
        let (opened, is_open) = mpsc::channel();
        let attack = Self(thread::spawn(move || load::run(&load, &opened)));
        match is_open.recv_timeout(TIMEOUT) {
            Ok(()) => Ok(attack),
            // The attack ended before all its connections were open, so the result of the attack should be an
            // error.
            Err(mpsc::RecvTimeoutError::Disconnected) => attack.end().and(Err("no attack".into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the attack ends, and returns how many of its requests had each outcome.
    ///
    /// # Errors
    ///
    /// Returns an error if the attack failed.
    pub fn end(self) -> AttackResult<Tally> {
        self.0.join().map_err(|_| "the attack panicked")?
    }
}
