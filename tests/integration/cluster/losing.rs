//! Masters that die or hang under load: their keys are decided on again when a replica has taken over, all others always.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rateguard::{Key, Policy, RateGuard};

use super::{guard, placed};
use crate::support::{eventually, redis_cluster::RedisCluster};

const DEADLINE: Duration = Duration::from_secs(2);
/// The deadline and a little, on a machine that does much else.
const AT_MOST: Duration = Duration::from_secs(6);

/// What came of the checks of the keys on one master.
#[derive(Default)]
struct Tally {
    decided: AtomicU64,
    unanswered: AtomicU64,
}

/// Checks of all keys, again and again, until it is ended.
struct Load {
    of: Arc<[Tally; 3]>,
    longest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(guard: &RateGuard, places: &[usize]) -> Self {
        let of = Arc::new([(); 3].map(|()| Tally::default()));
        let (stop, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = (0..2)
            .map(|_| {
                let (guard, places) = (guard.clone(), places.to_vec());
                let (of, stop, longest) = (of.clone(), stop.clone(), longest.clone());
                thread::spawn(move || {
                    let policy = Policy::new("placed", "1000000/hour").unwrap();
                    let check = async |(key, place): (usize, usize)| {
                        let begun = Instant::now();
                        let answer = guard.check(&policy, &Key::from(key as u32)).await;
                        longest.fetch_max(begun.elapsed().as_millis() as u64, SeqCst);
                        let count =
                            if answer.is_ok() { &of[place].decided } else { &of[place].unanswered };
                        count.fetch_add(1, SeqCst);
                    };
                    // Each in its own time, so that those that wait hold no others up.
                    let again = async |it| {
                        while !stop.load(SeqCst) {
                            check(it).await;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    };
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(join_all(places.into_iter().enumerate().map(again)));
                })
            })
            .collect();
        Self { of, longest, stop, threads }
    }

    /// Waits until the keys on a master are decided on so often again.
    fn goes_on(&self, master: usize, checks: u64) {
        let before = self.of[master].decided.load(SeqCst);
        eventually("decisions", || {
            (self.of[master].decided.load(SeqCst) >= before + checks).then_some(())
        });
    }

    /// Waits until a check of the keys on a master is left unanswered.
    fn is_missed(&self, master: usize) {
        let before = self.of[master].unanswered.load(SeqCst);
        eventually("a check is left unanswered", || {
            (self.of[master].unanswered.load(SeqCst) > before).then_some(())
        });
    }

    /// How many checks were left unanswered on each master, and the longest of all.
    fn end(self) -> ([u64; 3], Duration) {
        self.stop.store(true, SeqCst);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        let unanswered = [0, 1, 2].map(|master: usize| self.of[master].unanswered.load(SeqCst));
        (unanswered, Duration::from_millis(self.longest.load(SeqCst)))
    }
}

/// A cluster under load.
async fn under_load(prefix: &str) -> (RedisCluster, RateGuard, Load) {
    // Else the other masters refuse as well, for as long as some slots have none.
    let cluster = RedisCluster::start_with(&["--cluster-require-full-coverage", "no"]);
    cluster.fail_over_soon();
    let places = placed(&cluster, &guard(&cluster, prefix), prefix, 24).await;
    let guard = RateGuard::redis(cluster.url()).prefix(prefix).deadline(DEADLINE).build().unwrap();
    eventually("connections to all", || guard.health().is_good().then_some(()));
    let load = Load::start(&guard, &places);
    (0..3).for_each(|master| load.goes_on(master, 50));
    (cluster, guard, load)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_dies_is_missed_only_by_its_keys_until_its_replica_takes_over() {
    let (mut cluster, guard, load) = under_load("dying").await;
    cluster.nodes[1].kill();
    load.is_missed(1);
    let begun = Instant::now();
    load.goes_on(0, 50);
    load.goes_on(2, 50);
    load.goes_on(1, 50);
    println!("a replica had taken over, and was used, after {:?}", begun.elapsed());
    eventually("all is well", || guard.health().is_good().then_some(()));

    // It comes back as a replica of its replica, and nobody asks it.
    cluster.nodes[1].revive();
    cluster.until_well();
    load.goes_on(1, 50);
    let ([first, _, third], longest) = load.end();
    assert_eq!([first, third], [0, 0]);
    assert!(longest < AT_MOST, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_hangs_is_missed_only_by_its_keys_until_its_replica_takes_over() {
    let (cluster, guard, load) = under_load("hanging").await;
    cluster.nodes[2].freeze();
    load.is_missed(2);
    load.goes_on(0, 50);
    load.goes_on(1, 50);
    load.goes_on(2, 50);
    cluster.nodes[2].thaw();
    cluster.until_well();
    (0..3).for_each(|master| load.goes_on(master, 50));
    eventually("all is well", || guard.health().is_good().then_some(()));
    let ([first, second, _], longest) = load.end();
    assert_eq!([first, second], [0, 0]);
    assert!(longest < AT_MOST, "{longest:?}");
}
