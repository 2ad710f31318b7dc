//! Measures the decisions in each failure mode after a flood of forged addresses has used up the memory of Redis.

use std::{sync::mpsc, time::Duration};

use super::{
    AttackResult, Report,
    limits::Limit,
    load::{self, Load},
    request::{Addresses, Request},
    server::{Server, Setup},
    store::Store,
    victims::Victims,
};

/// The name of this attack on the command line.
pub const NAME: &str = "full-redis";

const INVENTED: u64 = 100_000;
const CONNECTIONS: usize = 50;
/// The memory in bytes that Redis may use, in addition to the memory that it uses right before the flood.
const FREE_MEMORY: f64 = 8.0 * 1024.0 * 1024.0;
const MAX_DURATION: Duration = Duration::from_secs(60);
const MODES: [&str; 3] = ["open", "closed", "local"];

/// Fills the memory of a Redis server that does not evict keys, and counts the HTTP requests that get no decision.
///
/// # Errors
///
/// Returns an error if a server does not respond.
pub fn measure() -> AttackResult<Report> {
    let mut report = Report::default();
    report.lines.push(format!(
        "{:<8}{:>10}{:>9}{:>11}{:>8}{:>15}{:>13}{:>13}",
        "mode",
        "addresses",
        "passed",
        "unchecked",
        "local",
        "victims' sent",
        "v.rejected",
        "v.unchecked"
    ));
    let limit = Limit::named("invented").ok_or("unknown limit")?;
    for mode in MODES {
        let args = "--maxmemory-policy noeviction".split(' ').map(str::to_owned);
        let store = Store::redis(Duration::ZERO, &args.collect::<Vec<_>>())?;
        let setup =
            Setup { store: &store.url, prefix: "attack", mode, replicas: 1, limit, deadline: None };
        let server = Server::start(setup)?;
        let mut victims = Victims::new(vec![server.http1()], limit.allowance());
        victims.warm_up()?;
        let redis = &store.nodes[0];
        let maximum = redis.info("memory", "used_memory")? + FREE_MEMORY;
        let _: () = redis.command(&["CONFIG", "SET", "maxmemory", &format!("{maximum:.0}")])?;
        let load = Load {
            servers: vec![server.http1()],
            connections: CONNECTIONS,
            requests: vec![Request::new(Addresses::ManyNetworks, "")],
            duration: MAX_DURATION,
            first_address: 0,
            max_requests: INVENTED,
            pause: Duration::ZERO,
        };
        let tally = load::run(&load, &mpsc::channel().0)?;
        let observed = victims.send(Duration::from_secs(1))?;
        let failures = server.failures()?;
        report.lines.push(format!(
            "{mode:<8}{:>10}{:>9}{:>11}{:>8}{:>15}{:>13}{:>13}",
            tally.sent,
            tally.passed,
            tally.undecided,
            failures.local,
            observed.micros.len(),
            observed.rejected + observed.lost,
            observed.unchecked,
        ));
        let mut require_none = |count: u64, what: &str| {
            if count > 0 {
                report.violations.push(format!("{NAME} {mode}: {count} {what}"));
            }
        };
        require_none(tally.undecided, "requests from forged addresses had no decision");
        require_none(observed.unchecked, "requests of victims had no decision");
        require_none(
            observed.rejected + observed.lost,
            "requests of victims within their limits were rejected",
        );
    }
    Ok(report)
}
