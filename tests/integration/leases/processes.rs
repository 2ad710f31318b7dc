//! Tests leases of several processes, which the test kills and stops. No window may have more admissions than the
//! limit, and no interval may have more admissions than a token bucket allows.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::support::redis_server::RedisServer;

const LIMIT: usize = 400;
const WINDOW_MICROS: u128 = 2_000_000;
const QUOTAS: &str = "400/2s lease 60 for 500ms";

const BURST: u128 = 500;
const TOKENS_IN_A_WINDOW: u128 = 800;
const TOKEN_BUCKET: &str = "800/2s token_bucket burst 500 lease 60 for 500ms";

/// An admission took place between these two times, in microseconds. The clock is that of the Redis server, because
/// both are on one machine.
#[derive(Clone, Copy, Debug)]
struct Admission {
    before: u128,
    after: u128,
    is_leased: bool,
}

/// A process that admits requests.
struct LeaseWorker {
    child: Child,
    reader: JoinHandle<Vec<Admission>>,
}

impl LeaseWorker {
    fn start(server: &RedisServer, prefix: &str, quotas: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lease_worker"))
            .args([&server.url(), prefix, quotas])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let reader = thread::spawn(move || {
            // The last line of a process that was killed can be incomplete.
            out.lines().map_while(Result::ok).filter_map(|line| parse(&line)).collect()
        });
        Self { child, reader }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Kills the process with SIGKILL, and returns its admissions.
    fn kill(mut self) -> Vec<Admission> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap()
    }
}

fn parse(line: &str) -> Option<Admission> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    let (before, after) = (next()?.parse().ok()?, next()?.parse().ok()?);
    Some(Admission { before, after, is_leased: next()?.parse().ok()? })
}

/// Returns the maximum number of admissions that certainly took place in one window.
fn most_in_a_window(admissions: &[Admission]) -> usize {
    let mut by_start = admissions.to_vec();
    by_start.sort_unstable_by_key(|it| it.before);
    let certain = |(first, start): (usize, &Admission)| {
        // The admission at the start of the window took place at `start.before` or later, so the window can begin
        // there.
        let end = start.before + WINDOW_MICROS;
        let within = by_start[first..].iter().take_while(|it| it.before < end);
        within.filter(|it| it.after < end).count()
    };
    by_start.iter().enumerate().map(certain).max().unwrap_or(0)
}

#[test]
fn windows_of_admissions_are_counted_with_their_bounds() {
    let at = |before, after| Admission { before, after, is_leased: false };
    let end = WINDOW_MICROS;
    assert_eq!(most_in_a_window(&[]), 0);
    assert_eq!(most_in_a_window(&[at(0, 1), at(5, end - 1)]), 2);
    assert_eq!(most_in_a_window(&[at(0, 1), at(5, end)]), 1);
    assert_eq!(most_in_a_window(&[at(9, end), at(0, 1), at(8, 9)]), 2);
}

/// Returns an interval with more admissions than a token bucket allows, as its number of admissions and its duration in
/// microseconds.
fn exceeded_interval(admissions: &[Admission]) -> Option<(u128, u128)> {
    let mut by_end = admissions.to_vec();
    by_end.sort_unstable_by_key(|it| it.after);
    let starts_at = |start: u128| {
        let mut count = 0;
        by_end.iter().filter(|it| it.before >= start).find_map(|last| {
            // These admissions certainly took place from `start` to `last.after`.
            count += 1;
            let duration = last.after - start;
            let allowed = BURST * WINDOW_MICROS + TOKENS_IN_A_WINDOW * duration;
            (count * WINDOW_MICROS > allowed).then_some((count, duration))
        })
    };
    admissions.iter().find_map(|first| starts_at(first.before))
}

#[test]
fn intervals_of_admissions_are_compared_with_burst_and_rate() {
    let at = |before, after| Admission { before, after, is_leased: false };
    // A token comes back in 2,500 µs.
    let full: Vec<_> = (0..500).map(|_| at(0, 0)).collect();
    let with = |last: &[Admission]| exceeded_interval(&[&full, last].concat());
    assert_eq!(with(&[]), None);
    assert_eq!(with(&[at(2_500, 2_500)]), None);
    assert_eq!(with(&[at(2_400, 2_500), at(5_000, 5_000)]), None);
    assert_eq!(with(&[at(2_400, 2_499)]), Some((501, 2_499)));
    assert_eq!(with(&[at(2_500, 2_500), at(0, 4_999)]), Some((502, 4_999)));
}

#[test]
fn no_interval_exceeds_the_token_bucket_while_processes_are_killed_and_stopped() {
    let admissions = admissions_of_killed_processes("bucket", TOKEN_BUCKET);
    assert_eq!(exceeded_interval(&admissions), None, "{} admissions", admissions.len());
}

#[test]
fn no_window_exceeds_the_limit_while_processes_are_killed_and_stopped() {
    let admissions = admissions_of_killed_processes("killed", QUOTAS);
    let most = most_in_a_window(&admissions);
    assert!(most <= LIMIT, "{most} of {} admissions in a window", admissions.len());
}

/// Returns the admissions of processes that the test kills and stops while they have leases.
fn admissions_of_killed_processes(prefix: &str, quotas: &str) -> Vec<Admission> {
    let server = RedisServer::start();
    let start = || LeaseWorker::start(&server, prefix, quotas);
    let mut workers: Vec<LeaseWorker> = (0..4).map(|_| start()).collect();
    let mut admissions = Vec::new();
    for round in 0..4 {
        thread::sleep(Duration::from_millis(1_150 + 210 * round));
        // The process is stopped for longer than a lease, and then continues with a lease that has ended.
        workers[1].signal("-STOP");
        thread::sleep(Duration::from_millis(900));
        workers[1].signal("-CONT");
        thread::sleep(Duration::from_millis(150));
        // The killed process returns nothing.
        admissions.extend(workers.remove(0).kill());
        workers.push(start());
    }
    for worker in workers {
        admissions.extend(worker.kill());
    }
    let leased = admissions.iter().filter(|it| it.is_leased).count();
    assert!(leased > 100, "{leased} of {} admissions used a lease", admissions.len());
    admissions
}

#[test]
fn no_window_exceeds_the_limit_of_servers_with_different_leases() {
    let server = RedisServer::start();
    let quotas = [QUOTAS, "400/2s lease 20 for 300ms", "400/2s", "400/2s lease 90 for 100ms"];
    let workers = quotas.map(|quotas| LeaseWorker::start(&server, "different", quotas));
    thread::sleep(Duration::from_secs(7));
    let admissions: Vec<Admission> = workers.into_iter().flat_map(LeaseWorker::kill).collect();
    let most = most_in_a_window(&admissions);
    assert!(most <= LIMIT, "{most} admissions in a window");
    // The units of earlier windows have expired, although servers with and without a lease use the same key.
    let first = admissions.iter().map(|it| it.before).min().unwrap();
    let late = admissions.iter().filter(|it| it.before > first + 2 * WINDOW_MICROS).count();
    assert!(late > 0, "no admission after two windows");
}
