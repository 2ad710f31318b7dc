//! Measures one row of the table of attacks. A row has the parameters of one attack. Victims are clients that send
//! requests within their limits before and during the attack.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use super::{
    AttackResult,
    load::{self, Load, Tally},
    options::Options,
    process,
    request::{Addresses, Request},
    row::Row,
    server::{Failures, Server, Setup},
    store::{Kind, Store},
    victims::{VictimStats, Victims},
};

/// The duration of a baseline measurement. The victims send requests for this duration before the attack.
const BASELINE: Duration = Duration::from_secs(1);
/// The maximum number of attempts to measure a baseline. Other programs on the machine can make checks fail. A
/// baseline with failed checks is therefore measured again.
const BASELINES: u32 = 5;

/// The results of measuring one row.
#[derive(Debug)]
pub struct Measurement {
    /// The measured row.
    pub row: Row,
    /// The numbers of requests, responses and closed connections of the attack.
    pub tally: Tally,
    /// The number of failed checks that the guards counted, for the requests of the attack and of the victims.
    pub failures: Failures,
    /// The statistics of the victims before the attack.
    pub baseline: VictimStats,
    /// The statistics of the victims under attack.
    pub attacked: VictimStats,
    /// The share of the machine's CPU time that other processes used during the attack, from 0 to 1.
    pub foreign_load: f64,
}

/// Measures a row.
///
/// # Errors
///
/// Returns an error if a process does not start, or if it ends during the measurement.
pub fn measure(row: Row, options: &Options) -> AttackResult<Measurement> {
    let duration = options.duration;
    let store = Store::start(row.store, Duration::from_millis(row.delay_ms))?;
    let setup = Setup {
        store: &store.url,
        prefix: "attack",
        mode: row.mode,
        replicas: row.servers,
        limit: row.limit,
        deadline: options.deadline,
    };
    let servers: Vec<_> =
        (0..row.servers).map(|_| Server::start(setup)).collect::<AttackResult<_>>()?;
    let addresses: Vec<_> = servers.iter().map(Server::http1).collect();
    let mut victims = Victims::new(addresses.clone(), row.limit.allowance());
    victims.warm_up()?;
    let mut baseline = victims.send(BASELINE)?;
    for _ in 1..BASELINES {
        if baseline.is_clean() {
            break;
        }
        baseline = victims.send(BASELINE)?;
    }
    let forwarded = match row.limit.is_many_addresses {
        true => Addresses::ManyNetworks,
        false => Addresses::Peer,
    };
    let load = Load {
        servers: addresses,
        connections: row.connections,
        requests: vec![Request::new(forwarded, "")],
        duration,
        first_address: 0,
        max_requests: u64::MAX,
        pause: options.pause,
    };
    if row.store != Kind::Memory && row.limit.rate.contains("counter") {
        wait_within_minute(duration);
    }
    let before = failures(&servers)?;
    let (foreign_cpu, start) = (foreign_cpu(&servers, &store)?, Instant::now());
    let (opened, is_open) = mpsc::channel();
    let (tally, attacked) = thread::scope(|scope| {
        let attack = scope.spawn(|| load::run(&load, &opened));
        let attacked = match is_open.recv_timeout(super::TIMEOUT) {
            Ok(()) => victims.send(duration),
            Err(_) => Err("the connections of the attack cannot be opened".into()),
        };
        (attack.join(), attacked)
    });
    let tally = tally.map_err(|_| "the attack panicked")??;
    let failures = failures(&servers)? - before;
    let cores = thread::available_parallelism().map_or(1, usize::from) as f64;
    let foreign_cpu = self::foreign_cpu(&servers, &store)?.saturating_sub(foreign_cpu);
    let foreign_load = foreign_cpu.as_secs_f64() / start.elapsed().as_secs_f64() / cores;
    Ok(Measurement { row, tally, failures, baseline, attacked: attacked?, foreign_load })
}

/// Returns the CPU time that all processes outside the measurement have used until now.
fn foreign_cpu(servers: &[Server], store: &Store) -> AttackResult<Duration> {
    let mut own = process::own_cpu()?;
    for server in servers {
        own += server.cpu()?;
    }
    for node in &store.nodes {
        own += node.process_cpu()?;
    }
    Ok(process::cpu_of_all()?.saturating_sub(own))
}

fn failures(servers: &[Server]) -> AttackResult<Failures> {
    let mut sum = Failures::default();
    for server in servers {
        sum = sum + server.failures()?;
    }
    Ok(sum)
}

/// Waits for the next minute if the attack would not end within the current minute. During an attack that overlaps
/// two minutes, a sliding-window counter with a window of one minute may correctly admit more units than its limit.
fn wait_within_minute(duration: Duration) {
    let minute = Duration::from_secs(60);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let left = minute - Duration::from_millis((now.as_millis() % minute.as_millis()) as u64);
    if left < duration + Duration::from_secs(5) {
        thread::sleep(left + Duration::from_millis(10));
    }
}
