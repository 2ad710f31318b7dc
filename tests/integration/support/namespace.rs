//! A network of its own for one process, with a cable to ours that can be pulled.

use std::process::{self, Command};

use super::{redis_server::Place, skipped};

pub struct Namespace {
    name: String,
    subnet: String,
}

impl Namespace {
    /// `None` where that is not permitted, which it says.
    pub fn new() -> Option<Self> {
        let id = process::id();
        // Addresses that are set aside for tests of networks.
        let subnet = format!("198.18.{}.", id % 256);
        let this = Self { name: format!("rateguard-{id}"), subnet };
        let (name, cable) = (&this.name, this.cable());
        let (here, there) = (this.address(1), this.address(2));
        let is_made = ip(&format!("netns add {name}"))
            && ip(&format!("link add {cable} type veth peer name {cable} netns {name}"))
            && ip(&format!("addr add {here}/30 dev {cable}"))
            && ip(&format!("-n {name} addr add {there}/30 dev {cable}"))
            && ip(&format!("link set {cable} up"))
            && ip(&format!("-n {name} link set {cable} up"));
        if !is_made {
            skipped("a network of its own, which this test needs, is for root with `ip`");
            return None;
        }
        Some(this)
    }

    /// In this network.
    pub fn place(&self) -> Place {
        let within = ["ip", "netns", "exec", &self.name].map(str::to_owned);
        Place { host: self.address(2), within: within.into() }
    }

    /// What is sent is lost from now on, either way, and nobody is told.
    pub fn pull_the_cable(&self) {
        self.set_cable("down");
    }

    pub fn plug_it_in(&self) {
        self.set_cable("up");
    }

    fn set_cable(&self, state: &str) {
        let (name, cable) = (&self.name, self.cable());
        assert!(ip(&format!("-n {name} link set {cable} {state}")));
    }

    fn cable(&self) -> String {
        format!("rg{}", process::id())
    }

    fn address(&self, number: u8) -> String {
        format!("{}{number}", self.subnet)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // One end of a cable goes with the other.
        ip(&format!("link del {}", self.cable()));
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|it| it.status.success())
}
