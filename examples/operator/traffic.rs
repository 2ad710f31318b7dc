//! Clients that send requests to the example, so that its dashboard has something to show.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, SystemTime},
};

use ureq::Agent;

/// Starts the clients. Each client is a thread. They end with the program.
pub(crate) fn start(server: SocketAddr, token: String) {
    thread::spawn(move || set_override(server, &token));
    for customer in ["customer-1", "customer-2", "customer-3", "customer-7"] {
        Client::new(server, customer, 10).every(Duration::from_millis(140), "/search");
    }
    Client::new(server, "visitor", 21).every(Duration::from_millis(9_000), "/login");
    // This client guesses passwords, so it is denied and then banned.
    Client::new(server, "guesser", 99).every(Duration::from_millis(450), "/login");
    for _ in 0..3 {
        Client::new(server, "customer-2", 10).every(Duration::from_millis(300), "/export");
        Client::new(server, "customer-3", 10).every(Duration::from_millis(350), "/thumbnail");
    }
}

/// Gives one customer a higher limit for a day, as an operator does it with `curl`.
fn set_override(server: SocketAddr, token: &str) {
    const BODY: &str = r#"{"policy": "search", "key": "customer-7", "quotas": "1000/minute",
        "for_seconds": 86400, "description": "import of old orders"}"#;
    let request = ureq::post(format!("http://{server}/operator/set_override"))
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/json");
    if let Err(error) = request.send(BODY) {
        println!("The override was not set: {error}");
    }
}

struct Client {
    agent: Agent,
    server: SocketAddr,
    api_key: &'static str,
    address: String,
}

impl Client {
    /// `host` is the last number of the client's address. The example trusts its peers as proxies, so a client can choose
    /// its address with a header.
    fn new(server: SocketAddr, api_key: &'static str, host: u8) -> Self {
        let config = Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(Duration::from_secs(10))).build().into();
        Self { agent, server, api_key, address: format!("203.0.113.{host}") }
    }

    fn every(self, interval: Duration, path: &'static str) {
        thread::spawn(move || {
            let url = format!("http://{}{path}", self.server);
            loop {
                let request = self.agent.post(&url).header("X-Forwarded-For", &self.address);
                // A failed request is no problem: the next one follows.
                let _ = request.header("X-Api-Key", self.api_key).send_empty();
                thread::sleep(interval.mul_f64(load()));
            }
        });
    }
}

/// A factor for the pauses between requests. It changes from second to second and from minute to minute.
fn load() -> f64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since_1970.map_or(0.0, |time| time.as_secs_f64());
    1.0 + 0.3 * (seconds / 90.0).sin() + 0.2 * (seconds * 7.3).sin()
}
