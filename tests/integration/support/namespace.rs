//! A Linux network namespace. It has a link to the network of the host, and a test can disable this link.

use std::process::{self, Command};

use super::{redis_server::Location, skipped};

pub struct Namespace {
    name: String,
    subnet: String,
}

impl Namespace {
    /// Creates the namespace. If the process has no permission for this, reports that the test is skipped, and
    /// returns `None`.
    pub fn new() -> Option<Self> {
        let id = process::id();
        // The network 198.18.0.0/15 is reserved for network tests by RFC 2544.
        let subnet = format!("198.18.{}.", id % 256);
        let this = Self { name: format!("rateguard-{id}"), subnet };
        let (name, link) = (&this.name, this.link());
        let (local, remote) = (this.address(1), this.address(2));
        let is_created = ip(&format!("netns add {name}"))
            && ip(&format!("link add {link} type veth peer name {link} netns {name}"))
            && ip(&format!("addr add {local}/30 dev {link}"))
            && ip(&format!("-n {name} addr add {remote}/30 dev {link}"))
            && ip(&format!("link set {link} up"))
            && ip(&format!("-n {name} link set {link} up"));
        if !is_created {
            skipped("this test needs a network namespace: run it as root with `ip` installed");
            return None;
        }
        Some(this)
    }

    /// Returns the location for a server that runs in this namespace.
    pub fn location(&self) -> Location {
        let wrapper = ["ip", "netns", "exec", &self.name].map(str::to_owned);
        Location { host: self.address(2), wrapper: wrapper.into() }
    }

    /// Makes the link drop all packets in both directions. Neither side gets an error.
    pub fn set_link_down(&self) {
        self.set_link("down");
    }

    pub fn set_link_up(&self) {
        self.set_link("up");
    }

    fn set_link(&self, state: &str) {
        let (name, link) = (&self.name, self.link());
        assert!(ip(&format!("-n {name} link set {link} {state}")));
    }

    fn link(&self) -> String {
        format!("rg{}", process::id())
    }

    fn address(&self, number: u8) -> String {
        format!("{}{number}", self.subnet)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // When one end of the link is deleted, the other end is deleted too.
        ip(&format!("link del {}", self.link()));
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> bool {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    output.is_ok_and(|it| it.status.success())
}
