//! Injects faults into Redis and the network.

use std::{
    io::{Error, Result},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use redis::{RedisResult, Value};

use super::{
    TIMEOUT,
    attack::Attack,
    clock::Setting,
    evidence::{FaultPeriod, StoreEvents},
    fleet::Fleet,
    now,
    proxy::{Proxy, ProxyMode},
    redis_process::{RedisProcess, run_command},
    retry_until,
    schedule::{Fault, Step},
    storm_server::StormServer,
};
use crate::attack::load::Tally;

/// The pause between two repetitions of an action that a fault repeats.
const REPEAT_INTERVAL: Duration = Duration::from_millis(10);

/// The faults `ClockBack` and `ClockForward` change the clock by at least this duration.
const MIN_CLOCK_STEP: Duration = Duration::from_secs(2);

/// A script that uses `ARGV[1]` seconds of CPU time. It simulates a slow script of another application.
const BUSY: &str = "local start = os.clock() while os.clock() - start < tonumber(ARGV[1]) do end";

/// Three lists of permissions. The fault `Acl` removes the permissions of one list from the default user. At the end
/// of the fault, the user gets these permissions back.
const PERMISSIONS: [&[&str]; 3] = [&["-evalsha", "-eval"], &["-set"], &["-setrange"]];

/// Injects faults into a Redis server and into the proxies in front of it, and records the faults.
#[derive(Debug)]
pub struct FaultInjector {
    /// The Redis server.
    pub redis: RedisProcess,
    /// The proxies through which some of the servers connect to Redis.
    pub proxies: Vec<Proxy>,
    /// The application servers.
    pub fleet: Fleet,
    /// The recorded data losses, clock steps and faults. The servers cannot observe these events directly.
    pub events: StoreEvents,
    /// For each attack, the number of its requests with each outcome.
    pub attacks: Vec<Tally>,
    attack: Option<Attack>,
    /// During a failover, the port of the old primary.
    address: Option<u16>,
    admin: Option<AdminConnection>,
}

struct AdminConnection(redis::Connection);

impl std::fmt::Debug for AdminConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminConnection")
    }
}

impl FaultInjector {
    /// Creates an injector.
    #[must_use]
    pub fn new(redis: RedisProcess, proxies: Vec<Proxy>, fleet: Fleet) -> Self {
        let (events, attacks) = (StoreEvents::default(), Vec::new());
        Self { redis, proxies, fleet, events, attacks, attack: None, address: None, admin: None }
    }

    /// Starts the faults of a schedule step, waits for the duration of the step, and ends the faults.
    ///
    /// # Errors
    ///
    /// Returns an error if Redis does not start again, or does not accept a command.
    pub fn inject(&mut self, step: &Step) -> Result<()> {
        let mut busy = None;
        let from = now();
        for fault in &step.faults {
            busy = self.begin(*fault, step)?.or(busy);
        }
        let end = Instant::now() + step.duration;
        for fault in &step.faults {
            self.repeat(*fault, end);
        }
        thread::sleep(end.saturating_duration_since(Instant::now()));
        for fault in &step.faults {
            self.end(*fault, step)?;
        }
        if let Some(busy) = busy {
            let _ = busy.join();
        }
        let until = now();
        let server = step.server(self.fleet.servers().len());
        let periods = step.faults.iter().map(|fault| {
            let blocks_redis = step.blocks_redis(*fault);
            let server = fault.is_server_fault().then_some(server);
            FaultPeriod { fault: *fault, blocks_redis, server, from, until }
        });
        self.events.faults.extend(periods);
        Ok(())
    }

    fn begin(&mut self, fault: Fault, step: &Step) -> Result<Option<JoinHandle<()>>> {
        let millis = step.duration.as_millis().to_string();
        // A clock step changes the clock by more than the duration of any call. Therefore the time of a reply
        // shows whether Redis used the old or the new offset.
        let by = (MIN_CLOCK_STEP + step.duration).as_micros() as i64;
        match fault {
            Fault::Freeze => self.redis.freeze(),
            Fault::KillKeepData => self.redis.kill()?,
            Fault::KillLoseData => {
                self.redis.kill()?;
                self.redis.delete_data()?;
                self.events.losses.push(now());
            }
            Fault::PauseWrites => self.run_until_ok(&["CLIENT", "PAUSE", &millis, "WRITE"])?,
            Fault::PauseAll => self.run_until_ok(&["CLIENT", "PAUSE", &millis, "ALL"])?,
            Fault::MaxClients => {
                self.run_until_ok(&["CONFIG", "SET", "maxclients", "1"])?;
                self.end_connections();
            }
            Fault::Password => {
                self.run_until_ok(&["CONFIG", "SET", "requirepass", "unknown-password"])?;
                self.end_connections();
            }
            Fault::Acl => {
                let permissions = PERMISSIONS[step.random_choice % PERMISSIONS.len()];
                self.run_until_ok(&[&["ACL", "SETUSER", "default"], permissions].concat())?;
            }
            Fault::Memory => self.run_until_ok(&["CONFIG", "SET", "maxmemory", "1"])?,
            Fault::Busy => {
                // With this setting, Redis replies with BUSY after the script has run for 20 ms. All Redis versions
                // support this older name of `busy-reply-threshold`.
                self.run_until_ok(&["CONFIG", "SET", "lua-time-limit", "20"])?;
                let connection = self.redis.connect().map_err(Error::other)?;
                let seconds = step.duration.as_secs_f64().to_string();
                let mut connection = AdminConnection(connection);
                return Ok(Some(thread::spawn(move || {
                    let _ = run_command(&mut connection.0, &["EVAL", BUSY, "0", &seconds]);
                })));
            }
            Fault::Replica => self.run_until_ok(&["REPLICAOF", "127.0.0.1", "1"])?,
            Fault::Failover => self.replace_primary(step.replication_lag())?,
            Fault::ServerKill => self.fleet.kill(step.server(self.fleet.servers().len()))?,
            Fault::ServerStop => self.stopped_server(step).freeze(),
            Fault::ScriptFlush | Fault::ClientKill | Fault::Cut => {}
            Fault::Slow => {
                self.set_proxies(ProxyMode::Delay(step.delay()));
            }
            Fault::Stall => self.set_proxies(ProxyMode::Stall),
            Fault::Closed => self.set_proxies(ProxyMode::Close),
            Fault::ClockBack => self.set_clock(-by)?,
            Fault::ClockForward => self.set_clock(by)?,
            Fault::Attack => {
                let targets: Vec<u16> =
                    self.fleet.servers().iter().map(StormServer::port).collect();
                let attack = Attack::begin(&targets, step.duration).map_err(Error::other)?;
                self.attack = Some(attack);
            }
        }
        Ok(None)
    }

    /// If the fault consists of repeated actions, repeats these actions until the time `end`.
    fn repeat(&mut self, fault: Fault, end: Instant) {
        while Instant::now() < end {
            match fault {
                Fault::ScriptFlush => drop(self.run_once(&["SCRIPT", "FLUSH"])),
                Fault::ClientKill => self.end_connections(),
                Fault::Cut => {
                    self.set_proxies(ProxyMode::CutReplies);
                    thread::sleep(REPEAT_INTERVAL);
                    // The servers need some time to reconnect before the proxies cut the next reply.
                    self.set_proxies(ProxyMode::Forward);
                    thread::sleep(9 * REPEAT_INTERVAL);
                }
                _ => return,
            }
            thread::sleep(REPEAT_INTERVAL);
        }
    }

    fn end(&mut self, fault: Fault, step: &Step) -> Result<()> {
        match fault {
            Fault::Failover => {
                let port = self.address.take().unwrap_or(self.redis.port());
                self.redis.take_over(port)?;
            }
            Fault::ServerKill => self.fleet.restart(step.server(self.fleet.servers().len()))?,
            Fault::ServerStop => self.stopped_server(step).resume(),
            Fault::Freeze => self.redis.resume(),
            Fault::KillKeepData | Fault::KillLoseData => self.redis.restart()?,
            Fault::MaxClients => self.run_until_ok(&["CONFIG", "SET", "maxclients", "10000"])?,
            Fault::Password => self.run_until_ok(&["CONFIG", "SET", "requirepass", ""])?,
            Fault::Acl => self.run_until_ok(&["ACL", "SETUSER", "default", "+@all"])?,
            Fault::Memory => self.run_until_ok(&["CONFIG", "SET", "maxmemory", "0"])?,
            Fault::Replica => self.run_until_ok(&["REPLICAOF", "NO", "ONE"])?,
            Fault::Slow | Fault::Stall | Fault::Cut | Fault::Closed => {
                self.set_proxies(ProxyMode::Forward);
            }
            Fault::Attack => {
                let tallies = self.attack.take().map(|attack| attack.end().map_err(Error::other));
                self.attacks.extend(tallies.transpose()?);
            }
            // The script runs until it has used a certain amount of CPU time. On a loaded machine this may take much
            // longer than the fault, so the script is killed.
            Fault::Busy => {
                let ended = retry_until(TIMEOUT, || match self.run_once(&["SCRIPT", "KILL"]) {
                    Err(error) if error.code() != Some("NOTBUSY") => None,
                    _ => Some(()),
                });
                ended.map_err(|_| Error::other("the script of the fault `busy` does not end"))?;
            }
            // Nothing needs to be done at the end of these faults.
            Fault::PauseWrites
            | Fault::PauseAll
            | Fault::ScriptFlush
            | Fault::ClientKill
            | Fault::ClockBack
            | Fault::ClockForward => {}
        }
        Ok(())
    }

    fn stopped_server(&self, step: &Step) -> &StormServer {
        let servers = self.fleet.servers();
        &servers[step.server(servers.len())]
    }

    /// Promotes a new replica, and then kills the primary. The writes of the time between, which is at least `lag`, are
    /// lost. Until the end of the fault, no Redis listens on the port.
    fn replace_primary(&mut self, lag: Duration) -> Result<()> {
        let replica = self.redis.start_replica()?;
        let mut primary = self.redis.connect().map_err(Error::other)?;
        // The replica has all writes before this time, because it has the later write of the marker.
        let from = now();
        let replicated = retry_until(TIMEOUT, || {
            run_command(&mut primary, &["SET", "storm-marker", "1", "PX", "1000"]).ok()?;
            let replicas = run_command(&mut primary, &["WAIT", "1", "1000"]).ok()?;
            (replicas == Value::Int(1)).then_some(())
        });
        replicated.map_err(|_| Error::other("the replica has not received the last write"))?;
        let mut promoted = replica.connect().map_err(Error::other)?;
        run_command(&mut promoted, &["REPLICAOF", "NO", "ONE"]).map_err(Error::other)?;
        thread::sleep(lag);
        self.redis.kill()?;
        self.events.failovers.push((from, now()));
        self.address = Some(self.redis.port());
        (self.redis, self.admin) = (replica, None);
        Ok(())
    }

    fn set_clock(&mut self, by: i64) -> Result<()> {
        let Some(clock) = self.redis.clock() else { return Ok(()) };
        let ahead = self.events.settings.last().map_or(0, |last| last.ahead) + by;
        // Redis is frozen during the clock step, so it executes no call before the step has been recorded.
        self.redis.freeze();
        let set = clock.set(ahead);
        self.events.settings.push(Setting { at: now(), ahead });
        self.redis.resume();
        set
    }

    fn set_proxies(&self, mode: ProxyMode) {
        self.proxies.iter().for_each(|proxy| proxy.set(mode));
    }

    /// Closes all connections to Redis except the connection of the admin user.
    fn end_connections(&mut self) {
        let _ = self.run_once(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }

    /// Repeats a command until Redis accepts it.
    fn run_until_ok(&mut self, words: &[&str]) -> Result<()> {
        let accepted = retry_until(TIMEOUT, || self.run_once(words).ok());
        accepted.map(|_| ()).map_err(|_| Error::other(format!("Redis does not accept {words:?}")))
    }

    /// Runs a command once. The admin connection is opened if it is not open.
    ///
    /// Redis may reject new connections during a fault, so the admin connection stays open.
    fn run_once(&mut self, words: &[&str]) -> RedisResult<Value> {
        let mut admin = match self.admin.take() {
            Some(admin) => admin,
            None => AdminConnection(self.redis.connect()?),
        };
        let reply = run_command(&mut admin.0, words);
        let is_alive = reply.as_ref().err().is_none_or(|error| error.code().is_some());
        self.admin = is_alive.then_some(admin);
        reply
    }
}
