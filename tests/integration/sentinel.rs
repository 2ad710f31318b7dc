//! Tests Redis with Sentinel. Before and after a failover, the current primary must decide the checks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use actix_rateguard::{Key, Policy, RateGuard, StoreError};

use crate::{
    deployments::use_all_operations,
    support::{
        TEST_TIMEOUT, eventually,
        redis_server::{RedisServer, free_port},
        sentinels::{SERVICE, Sentinels, sentinel_command},
    },
};

const DEADLINE: Duration = Duration::from_secs(1);
/// The maximum duration of a check: the deadline, plus 4 s for a busy machine.
const MAX_DURATION: Duration = Duration::from_secs(5);

fn policy() -> Policy {
    Policy::new("p", "1000000/hour").unwrap()
}

/// Returns how many units of the global key are counted on this server.
async fn counted(server: &RedisServer, prefix: &str) -> u32 {
    let guard = server.guard(prefix);
    1_000_000 - guard.peek(&policy(), &Key::global()).await.unwrap().remaining()
}

/// A thread that sends a check of one key every millisecond, until [`stop`](Self::stop) is called.
struct Load {
    decided: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Load {
    fn start(guard: &RateGuard) -> Self {
        let [decided, failed] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (guard, stop) = (guard.clone(), stop.clone());
            let (decided, failed) = (decided.clone(), failed.clone());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            move || {
                let mut longest = Duration::ZERO;
                while !stop.load(SeqCst) {
                    let started = Instant::now();
                    let (policy, key) = (policy(), Key::global());
                    let result = runtime.block_on(guard.check(&policy, &key));
                    longest = longest.max(started.elapsed());
                    let count = if result.is_ok() { &decided } else { &failed };
                    count.fetch_add(1, SeqCst);
                    thread::sleep(Duration::from_millis(1));
                }
                longest
            }
        });
        Self { decided, failed, stop, thread }
    }

    /// Waits until the store has decided more than 50 additional checks.
    fn wait_for_decisions(&self) {
        let before = self.decided.load(SeqCst);
        eventually("decisions", || (self.decided.load(SeqCst) > before + 50).then_some(()));
    }

    /// Waits until one more check fails.
    fn wait_for_failure(&self) {
        let before = self.failed.load(SeqCst);
        eventually("a failed check", || (self.failed.load(SeqCst) > before).then_some(()));
    }

    /// Stops the load. Returns the number of decided checks and the number of failed checks.
    fn stop(self) -> [u64; 2] {
        self.stop.store(true, SeqCst);
        let longest = self.thread.join().unwrap();
        assert!(longest < MAX_DURATION, "{longest:?}");
        [self.decided, self.failed].map(|it| it.load(SeqCst))
    }
}

#[tokio::test]
async fn promoted_replica_continues_with_the_replicated_counts() {
    let mut servers = Sentinels::start();
    let guard = RateGuard::redis(servers.url()).prefix("dies").deadline(DEADLINE).build().unwrap();
    eventually("a connection", || guard.health().is_good().then_some(()));
    let patient =
        RateGuard::redis(servers.url()).prefix("dies").deadline(TEST_TIMEOUT).build().unwrap();
    for _ in 0..100 {
        patient.check(&policy(), &Key::global()).await.unwrap();
    }
    let wait = redis::cmd("WAIT").arg(1).arg(0).query(&mut servers.primary.client());
    assert_eq!(wait, Ok(1), "the replica has not received the checks");

    let load = Load::start(&guard);
    load.wait_for_decisions();
    servers.primary.kill();
    load.wait_for_failure();
    let started = Instant::now();
    load.wait_for_decisions();
    println!("the guard used the new primary after {:?}", started.elapsed());
    assert!(guard.health().is_good());

    // The old primary starts again as a replica, so the guard must not use it.
    servers.primary.restart_with_data();
    eventually("the old primary is a replica", || {
        // When a sentinel makes the server a replica, it disconnects all clients.
        let mut client = servers.primary.try_client()?;
        let role: Vec<redis::Value> = redis::cmd("ROLE").query(&mut client).ok()?;
        let name: String = redis::from_redis_value_ref(&role[0]).unwrap();
        (name == "slave").then_some(())
    });
    load.wait_for_decisions();
    let [decided, failed] = load.stop();
    let counted = u64::from(counted(&servers.replica, "dies").await);
    // The new primary has the counts of all checks that were replicated before the old primary died. One of these
    // checks may have failed for the guard, because the old primary died before it sent the reply.
    println!("{decided} decided, {} counted, {failed} failed", counted - 100);
    assert!((100..=100 + decided + 1).contains(&counted), "{decided} {counted}");
}

#[tokio::test]
async fn manual_failover_interrupts_checks_briefly() {
    let servers = Sentinels::start();
    let guard =
        RateGuard::redis(servers.url()).prefix("manual").deadline(DEADLINE).build().unwrap();
    let load = Load::start(&guard);
    load.wait_for_decisions();
    sentinel_command("FAILOVER").exec(&mut servers.sentinels[0].client()).unwrap();
    load.wait_for_failure();
    load.wait_for_decisions();
    eventually("the guard is healthy", || guard.health().is_good().then_some(()));
    load.stop();
}

#[tokio::test]
async fn primary_replaced_in_the_sentinels_is_abandoned() {
    let servers = Sentinels::start();
    let other = RedisServer::start();
    let guard = RateGuard::redis(servers.url()).prefix("left").deadline(DEADLINE).build().unwrap();
    let load = Load::start(&guard);
    load.wait_for_decisions();
    // The old server still replies and is still a primary. Only the sentinels report that the primary is now a
    // different server.
    for sentinel in &servers.sentinels {
        let mut client = sentinel.client();
        sentinel_command("REMOVE").exec(&mut client).unwrap();
        let mut monitor = sentinel_command("MONITOR");
        monitor.arg("127.0.0.1").arg(other.port()).arg(2).exec(&mut client).unwrap();
    }
    let is_used = async || counted(&other, "left").await > 0;
    let started = Instant::now();
    while !is_used().await {
        assert!(started.elapsed() < TEST_TIMEOUT);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    load.wait_for_decisions();
    load.stop();
}

#[tokio::test]
async fn outdated_sentinel_does_not_block_failover() {
    let mut servers = Sentinels::start();
    let guard =
        RateGuard::redis(servers.url()).prefix("missed").deadline(DEADLINE).build().unwrap();
    let load = Load::start(&guard);
    load.wait_for_decisions();
    // The first sentinel in the URL does not get the new configuration, so it still reports the address of the old
    // primary.
    for sentinel in &servers.sentinels[1..] {
        let mut client = sentinel.client();
        sentinel_command("REMOVE").exec(&mut client).unwrap();
        let mut monitor = sentinel_command("MONITOR");
        monitor.arg("127.0.0.1").arg(servers.replica.port()).arg(2).exec(&mut client).unwrap();
    }
    let mut promote = redis::cmd("REPLICAOF");
    promote.arg("NO").arg("ONE").exec(&mut servers.replica.client()).unwrap();
    servers.primary.kill();
    load.wait_for_failure();
    load.wait_for_decisions();

    // The old primary is now a replica. A newly created guard must also find the new primary.
    servers.primary.restart_with_data();
    let mut demote = redis::cmd("REPLICAOF");
    let replica = servers.replica.port();
    demote.arg("127.0.0.1").arg(replica).exec(&mut servers.primary.client()).unwrap();
    let other = RateGuard::redis(servers.url()).prefix("missed").build().unwrap();
    eventually("the guard is healthy", || other.health().is_good().then_some(()));
    load.stop();
}

#[tokio::test]
async fn majority_of_sentinels_decides_the_primary() {
    let servers = Sentinels::start();
    let other = RedisServer::start();
    for sentinel in &servers.sentinels[1..] {
        let mut client = sentinel.client();
        sentinel_command("REMOVE").exec(&mut client).unwrap();
        let mut monitor = sentinel_command("MONITOR");
        monitor.arg("127.0.0.1").arg(other.port()).arg(2).exec(&mut client).unwrap();
    }
    let guard =
        RateGuard::redis(servers.url()).prefix("most").deadline(TEST_TIMEOUT).build().unwrap();
    for _ in 0..10 {
        guard.check(&policy(), &Key::global()).await.unwrap();
    }
    assert_eq!(counted(&other, "most").await, 10);
}

#[tokio::test]
async fn unreachable_and_hung_sentinels_are_skipped() {
    let servers = Sentinels::start();
    servers.sentinels[0].freeze();
    let unreachable = format!("redis+sentinel://127.0.0.1:{},", free_port());
    let url = servers.url().replace("redis+sentinel://", &unreachable);
    let guard = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
    use_all_operations(&guard).await;
    assert!(guard.health().is_good());
}

#[tokio::test]
async fn sentinels_accept_a_separate_password() {
    let servers = Sentinels::start_with("requirepass guarded");
    let url = format!("{}?sentinel_password=guarded", servers.url());
    let guard = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
    use_all_operations(&guard).await;

    let without_password =
        RateGuard::redis(servers.url()).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
    let unavailable = without_password.check(&policy(), &Key::global()).await.unwrap_err();
    assert_eq!(unavailable.cause(), StoreError::Authentication);
}

#[tokio::test]
async fn unknown_service_and_unreachable_sentinels_are_distinct_errors() {
    let servers = Sentinels::start();
    let unreachable = format!("redis+sentinel://127.0.0.1:{}/{SERVICE}", free_port());
    for (url, cause) in [
        (servers.url().replace(SERVICE, "unknown"), StoreError::NoPrimary),
        (unreachable, StoreError::Unreachable(None)),
    ] {
        let guard = RateGuard::redis(url).prefix("test").deadline(TEST_TIMEOUT).build().unwrap();
        let unavailable = guard.check(&policy(), &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.cause(), cause);
    }
}
