//! Redis with Sentinel: whoever is the primary decides, also when it becomes another.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rateguard::{Key, Policy, RateGuard, StoreError};

use crate::{
    deployments::use_everything,
    support::{
        PATIENCE, eventually,
        redis_server::{RedisServer, free_port},
        sentinels::{SERVICE, Sentinels, sentinel_command},
    },
};

const DEADLINE: Duration = Duration::from_secs(1);
/// The deadline and a little, on a machine that does much else.
const AT_MOST: Duration = Duration::from_secs(5);

fn policy() -> Policy {
    Policy::new("p", "1000000/hour").unwrap()
}

/// How much of the key has been counted on this server.
async fn counted(server: &RedisServer, prefix: &str) -> u32 {
    let guard = server.guard(prefix);
    1_000_000 - guard.peek(&policy(), &Key::global()).await.unwrap().remaining()
}

/// Checks of one key, one after the other, until it is ended.
struct Load {
    decided: Arc<AtomicU64>,
    unanswered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Load {
    fn start(guard: &RateGuard) -> Self {
        let [decided, unanswered] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (guard, stop) = (guard.clone(), stop.clone());
            let (decided, unanswered) = (decided.clone(), unanswered.clone());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            move || {
                let mut longest = Duration::ZERO;
                while !stop.load(SeqCst) {
                    let begun = Instant::now();
                    let (policy, key) = (policy(), Key::global());
                    let answer = runtime.block_on(guard.check(&policy, &key));
                    longest = longest.max(begun.elapsed());
                    let count = if answer.is_ok() { &decided } else { &unanswered };
                    count.fetch_add(1, SeqCst);
                    thread::sleep(Duration::from_millis(1));
                }
                longest
            }
        });
        Self { decided, unanswered, stop, thread }
    }

    /// Waits until decisions are made.
    fn goes_on(&self) {
        let before = self.decided.load(SeqCst);
        eventually("decisions", || (self.decided.load(SeqCst) > before + 50).then_some(()));
    }

    /// Waits until a check is left unanswered.
    fn is_missed(&self) {
        let before = self.unanswered.load(SeqCst);
        eventually("no decision", || (self.unanswered.load(SeqCst) > before).then_some(()));
    }

    /// How many were decided, and how many not. None took too long.
    fn end(self) -> [u64; 2] {
        self.stop.store(true, SeqCst);
        let longest = self.thread.join().unwrap();
        assert!(longest < AT_MOST, "{longest:?}");
        [self.decided, self.unanswered].map(|it| it.load(SeqCst))
    }
}

#[tokio::test]
async fn when_the_primary_dies_the_next_one_decides_and_knows_what_was_counted() {
    let mut servers = Sentinels::start();
    let guard = RateGuard::redis(servers.url()).prefix("dies").deadline(DEADLINE).build().unwrap();
    eventually("a connection", || guard.health().is_good().then_some(()));
    let patient =
        RateGuard::redis(servers.url()).prefix("dies").deadline(PATIENCE).build().unwrap();
    for _ in 0..100 {
        patient.check(&policy(), &Key::global()).await.unwrap();
    }
    let wait = redis::cmd("WAIT").arg(1).arg(0).query(&mut servers.primary.client());
    assert_eq!(wait, Ok(1), "the replica has heard of them");

    let load = Load::start(&guard);
    load.goes_on();
    servers.primary.kill();
    load.is_missed();
    let begun = Instant::now();
    load.goes_on();
    println!("the replica had become the primary, and was used, after {:?}", begun.elapsed());
    assert!(guard.health().is_good());

    // It comes back, becomes a replica, and nobody asks it.
    servers.primary.revive();
    eventually("it is a replica", || {
        let role: Vec<redis::Value> =
            redis::cmd("ROLE").query(&mut servers.primary.client()).ok()?;
        let name: String = redis::from_redis_value_ref(&role[0]).unwrap();
        (name == "slave").then_some(())
    });
    load.goes_on();
    let [decided, unanswered] = load.end();
    let counted = u64::from(counted(&servers.replica, "dies").await);
    // What the replica had heard of counts on. What it had not is lost; and who gave up in the moment of death may have been
    // counted nevertheless.
    println!("{decided} decided, {} counted, {unanswered} unanswered", counted - 100);
    assert!((100..=100 + decided + 1).contains(&counted), "{decided} {counted}");
}

#[tokio::test]
async fn in_a_failover_that_is_asked_for_hardly_any_check_is_missed() {
    let servers = Sentinels::start();
    let guard = RateGuard::redis(servers.url()).prefix("asked").deadline(DEADLINE).build().unwrap();
    let load = Load::start(&guard);
    load.goes_on();
    sentinel_command("FAILOVER").exec(&mut servers.sentinels[0].client()).unwrap();
    load.is_missed();
    load.goes_on();
    eventually("all is well", || guard.health().is_good().then_some(()));
    load.end();
}

#[tokio::test]
async fn a_primary_that_does_not_know_that_it_is_one_no_more_is_left() {
    let servers = Sentinels::start();
    let other = RedisServer::start();
    let guard = RateGuard::redis(servers.url()).prefix("left").deadline(DEADLINE).build().unwrap();
    let load = Load::start(&guard);
    load.goes_on();
    // The first still takes itself for the primary, and answers.
    for sentinel in &servers.sentinels {
        let mut client = sentinel.client();
        sentinel_command("REMOVE").exec(&mut client).unwrap();
        let mut monitor = sentinel_command("MONITOR");
        monitor.arg("127.0.0.1").arg(other.port()).arg(2).exec(&mut client).unwrap();
    }
    let is_asked = async || counted(&other, "left").await > 0;
    let begun = Instant::now();
    while !is_asked().await {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    load.goes_on();
    load.end();
}

#[tokio::test]
async fn a_sentinel_that_missed_the_failover_is_not_asked_for_ever() {
    let mut servers = Sentinels::start();
    let guard =
        RateGuard::redis(servers.url()).prefix("missed").deadline(DEADLINE).build().unwrap();
    let load = Load::start(&guard);
    load.goes_on();
    // The one that was asked first is cut off from the others, and says what was true before.
    for sentinel in &servers.sentinels[1..] {
        let mut client = sentinel.client();
        sentinel_command("REMOVE").exec(&mut client).unwrap();
        let mut monitor = sentinel_command("MONITOR");
        monitor.arg("127.0.0.1").arg(servers.replica.port()).arg(2).exec(&mut client).unwrap();
    }
    let mut promote = redis::cmd("REPLICAOF");
    promote.arg("NO").arg("ONE").exec(&mut servers.replica.client()).unwrap();
    servers.primary.kill();
    load.is_missed();
    load.goes_on();

    // The same if the old one is a replica now.
    servers.primary.revive();
    let mut demote = redis::cmd("REPLICAOF");
    let replica = servers.replica.port();
    demote.arg("127.0.0.1").arg(replica).exec(&mut servers.primary.client()).unwrap();
    let other = RateGuard::redis(servers.url()).prefix("missed").build().unwrap();
    eventually("it is well", || other.health().is_good().then_some(()));
    load.end();
}

#[tokio::test]
async fn most_of_the_sentinels_are_believed_though_one_and_the_old_primary_say_otherwise() {
    let servers = Sentinels::start();
    let other = RedisServer::start();
    for sentinel in &servers.sentinels[1..] {
        let mut client = sentinel.client();
        sentinel_command("REMOVE").exec(&mut client).unwrap();
        let mut monitor = sentinel_command("MONITOR");
        monitor.arg("127.0.0.1").arg(other.port()).arg(2).exec(&mut client).unwrap();
    }
    let guard = RateGuard::redis(servers.url()).prefix("most").deadline(PATIENCE).build().unwrap();
    for _ in 0..10 {
        guard.check(&policy(), &Key::global()).await.unwrap();
    }
    assert_eq!(counted(&other, "most").await, 10);
}

#[tokio::test]
async fn sentinels_that_are_away_or_hang_are_passed_over() {
    let servers = Sentinels::start();
    servers.sentinels[0].freeze();
    let away = format!("redis+sentinel://127.0.0.1:{},", free_port());
    let url = servers.url().replace("redis+sentinel://", &away);
    let guard = RateGuard::redis(url).deadline(PATIENCE).build().unwrap();
    use_everything(&guard).await;
    assert!(guard.health().is_good());
}

#[tokio::test]
async fn sentinels_may_ask_for_a_password_of_their_own() {
    let servers = Sentinels::start_with("requirepass guarded");
    let url = format!("{}?sentinel_password=guarded", servers.url());
    let guard = RateGuard::redis(url).deadline(PATIENCE).build().unwrap();
    use_everything(&guard).await;

    let stranger = RateGuard::redis(servers.url()).deadline(PATIENCE).build().unwrap();
    let unavailable = stranger.check(&policy(), &Key::global()).await.unwrap_err();
    assert_eq!(unavailable.cause(), StoreError::Authentication);
}

#[tokio::test]
async fn a_service_that_nobody_knows_is_told_from_sentinels_that_are_away() {
    let servers = Sentinels::start();
    let away = format!("redis+sentinel://127.0.0.1:{}/{SERVICE}", free_port());
    for (url, cause) in [
        (servers.url().replace(SERVICE, "nobody"), StoreError::NoPrimary),
        (away, StoreError::Unreachable),
    ] {
        let guard = RateGuard::redis(url).deadline(PATIENCE).build().unwrap();
        let unavailable = guard.check(&policy(), &Key::global()).await.unwrap_err();
        assert_eq!(unavailable.cause(), cause);
    }
}
