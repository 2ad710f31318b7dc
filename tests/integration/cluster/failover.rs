//! Tests a master that fails while clients send checks. The guard must always decide checks of keys on the masters that
//! have not failed. After the failover, it must decide checks of the keys of the failed master again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Policy, RateGuard};
use futures_util::future::join_all;

use super::{guard, masters_of_keys};
use crate::support::{eventually, redis_cluster::RedisCluster};

const DEADLINE: Duration = Duration::from_secs(2);
/// The maximum duration of a check: the deadline, plus a margin for a busy machine.
const MAX_WAIT: Duration = Duration::from_secs(6);

/// The number of decided checks and the number of failed checks, for the keys on one master.
#[derive(Default)]
struct Tally {
    decided: AtomicU64,
    failed: AtomicU64,
}

/// Threads that check all keys again and again, until [`stop`](Self::stop) is called.
struct Load {
    /// The counts of the checks for each of the three masters.
    tallies: Arc<[Tally; 3]>,
    /// The duration in milliseconds of the longest check.
    longest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(guard: &RateGuard, masters: &[usize]) -> Self {
        let tallies = Arc::new([(); 3].map(|()| Tally::default()));
        let (stop, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..2)
            .map(|_| {
                let (guard, masters) = (guard.clone(), masters.to_vec());
                let (tallies, stop, longest) = (tallies.clone(), stop.clone(), longest.clone());
                thread::spawn(move || {
                    let policy = Policy::new("placed", "1000000/hour").unwrap();
                    let check = async |(key, master): (usize, usize)| {
                        let start = Instant::now();
                        let result = guard.check(&policy, &Key::from(key as u32)).await;
                        longest.fetch_max(start.elapsed().as_millis() as u64, SeqCst);
                        let count = if result.is_ok() {
                            &tallies[master].decided
                        } else {
                            &tallies[master].failed
                        };
                        count.fetch_add(1, SeqCst);
                    };
                    // Each key has its own loop, so a slow check of one key does not delay the checks of other keys.
                    let check_repeatedly = async |it| {
                        while !stop.load(SeqCst) {
                            check(it).await;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    };
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime
                        .block_on(join_all(masters.into_iter().enumerate().map(check_repeatedly)));
                })
            })
            .collect();
        Self { tallies, longest, stop, threads }
    }

    /// Waits until `checks` more checks of keys on this master have been decided.
    fn wait_for_decisions(&self, master: usize, checks: u64) {
        let before = self.tallies[master].decided.load(SeqCst);
        eventually("decisions", || {
            (self.tallies[master].decided.load(SeqCst) >= before + checks).then_some(())
        });
    }

    /// Waits until a check of a key on this master fails.
    fn wait_for_failure(&self, master: usize) {
        let before = self.tallies[master].failed.load(SeqCst);
        eventually("a failed check", || {
            (self.tallies[master].failed.load(SeqCst) > before).then_some(())
        });
    }

    /// Stops the load. Returns the number of failed checks for each master, and the duration of the longest check.
    fn stop(self) -> ([u64; 3], Duration) {
        self.stop.store(true, SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let failed = [0, 1, 2].map(|master: usize| self.tallies[master].failed.load(SeqCst));
        (failed, Duration::from_millis(self.longest.load(SeqCst)))
    }
}

/// Starts a cluster, a guard, and threads that check all keys.
async fn under_load(prefix: &str) -> (RedisCluster, RateGuard, Load) {
    // With the default value of this setting, all masters reject requests while some cluster slots have no master.
    let cluster = RedisCluster::start_with(&["--cluster-require-full-coverage", "no"]);
    cluster.use_short_node_timeout();
    let masters = masters_of_keys(&cluster, &guard(&cluster, prefix), prefix, 24).await;
    let guard = RateGuard::redis(cluster.url()).prefix(prefix).deadline(DEADLINE).build().unwrap();
    eventually("connections to all masters", || guard.health().is_good().then_some(()));
    let load = Load::start(&guard, &masters);
    (0..3).for_each(|master| load.wait_for_decisions(master, 50));
    (cluster, guard, load)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_master_affects_only_its_keys_until_failover() {
    let (mut cluster, guard, load) = under_load("dying").await;
    cluster.nodes[1].kill();
    load.wait_for_failure(1);
    let start = Instant::now();
    load.wait_for_decisions(0, 50);
    load.wait_for_decisions(2, 50);
    load.wait_for_decisions(1, 50);
    println!("the replica of the killed master decided after {:?}", start.elapsed());
    eventually("the guard is healthy", || guard.health().is_good().then_some(()));

    // The old master starts again as a replica of the new master. The guard must not send requests to it.
    cluster.nodes[1].restart_with_data();
    cluster.wait_until_healthy();
    load.wait_for_decisions(1, 50);
    let ([first, _, third], longest) = load.stop();
    assert_eq!([first, third], [0, 0]);
    assert!(longest < MAX_WAIT, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_master_affects_only_its_keys_until_failover() {
    let (cluster, guard, load) = under_load("hanging").await;
    cluster.nodes[2].freeze();
    load.wait_for_failure(2);
    load.wait_for_decisions(0, 50);
    load.wait_for_decisions(1, 50);
    load.wait_for_decisions(2, 50);
    cluster.nodes[2].thaw();
    cluster.wait_until_healthy();
    (0..3).for_each(|master| load.wait_for_decisions(master, 50));
    eventually("the guard is healthy", || guard.health().is_good().then_some(()));
    let ([first, second, _], longest) = load.stop();
    assert_eq!([first, second], [0, 0]);
    assert!(longest < MAX_WAIT, "{longest:?}");
}
