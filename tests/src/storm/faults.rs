//! Lets faults come and go.

use std::{
    io::{Error, Result},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use redis::{RedisResult, Value};

use super::{
    PATIENCE,
    attack::Attack,
    clock::Setting,
    now,
    outages::FaultPeriod,
    proxy::{Proxy, Way},
    redis_process::{RedisProcess, order},
    schedule::{Fault, Step},
    verdict::Happened,
    within,
};
use crate::attack::load::Tally;

/// How long there is between two strokes of a fault that comes again and again.
const STROKE: Duration = Duration::from_millis(10);

/// By so much and more a clock is set.
const CLOCK_SET_BY: Duration = Duration::from_secs(2);

/// Somebody else's script, which takes so many seconds.
const BUSY: &str = "local start = os.clock() while os.clock() - start < tonumber(ARGV[1]) do end";

/// What an ordinary user may lack, and then has again.
const RIGHTS: [&[&str]; 3] = [&["-evalsha", "-eval"], &["-set"], &["-hset"]];

/// Redis, and the ways to it.
#[derive(Debug)]
pub struct World {
    /// The server.
    pub redis: RedisProcess,
    /// The ways of some of those who ask it.
    pub proxies: Vec<Proxy>,
    /// What has happened to it that servers cannot know.
    pub happened: Happened,
    /// What the attackers counted.
    pub attacks: Vec<Tally>,
    /// The ports of the servers.
    targets: Vec<u16>,
    attack: Option<Attack>,
    orders: Option<Orders>,
}

struct Orders(redis::Connection);

impl std::fmt::Debug for Orders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Orders")
    }
}

impl World {
    /// A world without faults, and with servers at these ports.
    #[must_use]
    pub fn new(redis: RedisProcess, proxies: Vec<Proxy>, targets: Vec<u16>) -> Self {
        let (happened, attacks) = (Happened::default(), Vec::new());
        Self { redis, proxies, happened, attacks, targets, attack: None, orders: None }
    }

    /// Lets the faults of a step come, and go in the end.
    ///
    /// # Errors
    ///
    /// If Redis does not come back.
    pub fn suffer(&mut self, step: &Step) -> Result<()> {
        let mut busy = None;
        let from = now();
        for fault in &step.faults {
            busy = self.begin(*fault, step)?.or(busy);
        }
        let end = Instant::now() + step.lasts;
        for fault in &step.faults {
            self.go_on(*fault, end);
        }
        thread::sleep(end.saturating_duration_since(Instant::now()));
        for fault in &step.faults {
            self.end(*fault)?;
        }
        if let Some(busy) = busy {
            let _ = busy.join();
        }
        let until = now();
        let periods = step.faults.iter().map(|fault| {
            let is_outage = step.is_outage(*fault);
            FaultPeriod { fault: *fault, is_outage, from, until }
        });
        self.happened.faults.extend(periods);
        Ok(())
    }

    fn begin(&mut self, fault: Fault, step: &Step) -> Result<Option<JoinHandle<()>>> {
        let millis = step.lasts.as_millis().to_string();
        // By more than an answer takes, so that one knows by which clock it was given.
        let by = (CLOCK_SET_BY + step.lasts).as_micros() as i64;
        match fault {
            Fault::Freeze => self.redis.stop(),
            Fault::KillKept => self.redis.kill()?,
            Fault::KillEmpty => {
                self.redis.kill()?;
                self.redis.forget()?;
                self.happened.losses.push(now());
            }
            Fault::PauseWrites => self.insist(&["CLIENT", "PAUSE", &millis, "WRITE"])?,
            Fault::PauseAll => self.insist(&["CLIENT", "PAUSE", &millis, "ALL"])?,
            Fault::MaxClients => {
                self.insist(&["CONFIG", "SET", "maxclients", "1"])?;
                self.end_connections();
            }
            Fault::Password => {
                self.insist(&["CONFIG", "SET", "requirepass", "nobody-knows"])?;
                self.end_connections();
            }
            Fault::Right => {
                let rights = RIGHTS[step.choice % RIGHTS.len()];
                self.insist(&[&["ACL", "SETUSER", "default"], rights].concat())?;
            }
            Fault::Memory => self.insist(&["CONFIG", "SET", "maxmemory", "1"])?,
            Fault::Busy => {
                // The older of its two names, which all servers know. So soon it says that it is busy, and is not silent.
                self.insist(&["CONFIG", "SET", "lua-time-limit", "20"])?;
                let connection = self.redis.connect().map_err(Error::other)?;
                let seconds = step.lasts.as_secs_f64().to_string();
                let mut connection = Orders(connection);
                return Ok(Some(thread::spawn(move || {
                    let _ = order(&mut connection.0, &["EVAL", BUSY, "0", &seconds]);
                })));
            }
            Fault::Replica => self.insist(&["REPLICAOF", "127.0.0.1", "1"])?,
            Fault::ScriptFlush | Fault::ClientKill | Fault::Cut => {}
            Fault::Slow => {
                self.set_ways(Way::Slow(step.delay()));
            }
            Fault::Still => self.set_ways(Way::Still),
            Fault::Closed => self.set_ways(Way::Closed),
            Fault::ClockBack => self.set_clock(-by)?,
            Fault::ClockForward => self.set_clock(by)?,
            Fault::Attack => {
                let attack = Attack::begin(&self.targets, step.lasts).map_err(Error::other)?;
                self.attack = Some(attack);
            }
        }
        Ok(None)
    }

    /// What comes again and again until this time.
    fn go_on(&mut self, fault: Fault, end: Instant) {
        while Instant::now() < end {
            match fault {
                Fault::ScriptFlush => drop(self.order(&["SCRIPT", "FLUSH"])),
                Fault::ClientKill => self.end_connections(),
                Fault::Cut => {
                    self.set_ways(Way::CutsReplies);
                    thread::sleep(STROKE);
                    // For as long as it takes to connect anew.
                    self.set_ways(Way::Clear);
                    thread::sleep(9 * STROKE);
                }
                _ => return,
            }
            thread::sleep(STROKE);
        }
    }

    fn end(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Freeze => self.redis.go_on(),
            Fault::KillKept | Fault::KillEmpty => self.redis.start_again()?,
            Fault::MaxClients => self.insist(&["CONFIG", "SET", "maxclients", "10000"])?,
            Fault::Password => self.insist(&["CONFIG", "SET", "requirepass", ""])?,
            Fault::Right => self.insist(&["ACL", "SETUSER", "default", "+@all"])?,
            Fault::Memory => self.insist(&["CONFIG", "SET", "maxmemory", "0"])?,
            Fault::Replica => self.insist(&["REPLICAOF", "NO", "ONE"])?,
            Fault::Slow | Fault::Still | Fault::Cut | Fault::Closed => self.set_ways(Way::Clear),
            Fault::Attack => {
                let tallies = self.attack.take().map(|attack| attack.end().map_err(Error::other));
                self.attacks.extend(tallies.transpose()?);
            }
            // These end by themselves, or not at all.
            // The script counts its own CPU time, which may take much longer on a busy machine.
            Fault::Busy => {
                let ended = within(PATIENCE, || match self.order(&["SCRIPT", "KILL"]) {
                    Err(error) if error.code() != Some("NOTBUSY") => None,
                    _ => Some(()),
                });
                ended.map_err(|_| Error::other("the script of the fault busy does not end"))?;
            }
            Fault::PauseWrites
            | Fault::PauseAll
            | Fault::ScriptFlush
            | Fault::ClientKill
            | Fault::ClockBack
            | Fault::ClockForward => {}
        }
        Ok(())
    }

    fn set_clock(&mut self, by: i64) -> Result<()> {
        let Some(clock) = self.redis.clock() else { return Ok(()) };
        let ahead = self.happened.settings.last().map_or(0, |last| last.ahead) + by;
        // Stopped, it does nothing by one clock of which nobody knows that it was not by the other.
        self.redis.stop();
        let set = clock.set(ahead);
        self.happened.settings.push(Setting { at: now(), ahead });
        self.redis.go_on();
        set
    }

    fn set_ways(&self, way: Way) {
        self.proxies.iter().for_each(|proxy| proxy.set(way));
    }

    /// Of all but us.
    fn end_connections(&mut self) {
        let _ = self.order(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }

    /// Gives an order until it is followed.
    fn insist(&mut self, words: &[&str]) -> Result<()> {
        let followed = within(PATIENCE, || self.order(words).ok());
        followed.map(|_| ()).map_err(|_| Error::other(format!("Redis does not {words:?}")))
    }

    /// Gives an order once, over the connection that there is, so that it can be given where no new one is taken.
    fn order(&mut self, words: &[&str]) -> RedisResult<Value> {
        let mut orders = match self.orders.take() {
            Some(orders) => orders,
            None => Orders(self.redis.connect()?),
        };
        let answer = order(&mut orders.0, words);
        let is_alive = answer.as_ref().err().is_none_or(|error| error.code().is_some());
        self.orders = is_alive.then_some(orders);
        answer
    }
}
