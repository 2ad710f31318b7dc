//! The attack: one client that sends on many connections, as fast as it gets responses.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::limits::{ATTACKED, CLIENT};
use crate::attack::{
    Outcome, PATIENCE,
    load::{self, Load, Tally},
    request::{Addresses, Request},
};

/// How many connections there are, to all servers together.
const CONNECTIONS: usize = 300;
/// No attack sends more requests than this, however fast the servers are.
const MAX_REQUESTS: u64 = 100_000;

/// An attack that is under way.
#[derive(Debug)]
pub struct Attack(JoinHandle<Outcome<Tally>>);

impl Attack {
    /// Opens the connections to the servers at these ports, and attacks from then on for this long.
    ///
    /// # Errors
    ///
    /// If the connections cannot be opened.
    pub fn begin(ports: &[u16], lasts: Duration) -> Outcome<Self> {
        let servers = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
        let lines = format!("{CLIENT}: attacker\r\n");
        let request = |path| Request::for_path(path, Addresses::Peer, &lines);
        let load = Load {
            servers,
            connections: CONNECTIONS,
            requests: ATTACKED.map(request).to_vec(),
            lasts,
            first_address: 0,
            max_requests: MAX_REQUESTS,
            pause: Duration::ZERO,
        };
        let (opened, is_open) = mpsc::channel();
        let attack = Self(thread::spawn(move || load::run(&load, &opened)));
        match is_open.recv_timeout(PATIENCE) {
            Ok(()) => Ok(attack),
            // It has ended, and says why.
            Err(mpsc::RecvTimeoutError::Disconnected) => attack.end().and(Err("no attack".into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the end of the attack.
    ///
    /// # Errors
    ///
    /// If it could not begin.
    pub fn end(self) -> Outcome<Tally> {
        self.0.join().map_err(|_| "the attack panicked")?
    }
}
