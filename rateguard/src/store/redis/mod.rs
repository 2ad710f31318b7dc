//! The Redis store: script calls, each for all who wait, over connections that all checks share.

mod caller;
mod cluster;
mod error;
mod herald;
mod keeper;
mod link;
mod queue;
mod route;
mod script;
mod sentinel;
mod server;
mod source;
mod url;

use std::{
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::ErrorKind;

pub(crate) use self::server::Server;
pub use self::url::RedisUrlError;

use self::{
    link::Live,
    queue::Failed,
    route::{Route, Way},
    script::Decide,
};
use super::{
    Answer, Charge, Operation, RedisLog, Store, StoreError, Verdict,
    home::Home,
    script::{Ask, Call, Outcome},
};
use crate::BuildError;

/// A check is asked no more often than this: elsewhere, or once more.
const MOST_TURNS: u32 = 8;

pub(crate) struct RedisStore {
    prefix: String,
    log: RedisLog,
    route: Route,
    script: Arc<Decide>,
    deadline: Duration,
    home: Home,
}

impl RedisStore {
    /// A store for this server, which begins to connect.
    pub(crate) fn open(
        server: Server,
        prefix: String,
        log: RedisLog,
        deadline: Duration,
    ) -> Result<Self, BuildError> {
        let home = Home::start("rateguard-redis").map_err(BuildError::Thread)?;
        let script = Arc::new(Decide::new());
        let route = server.route(deadline, &script, home.handle())?;
        Ok(Self { prefix, log, route, script, deadline, home })
    }

    async fn decide(
        &self,
        deadline: Duration,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Result<Verdict, StoreError> {
        let until = Instant::now() + deadline;
        let mut way = self.route.way(charges).await?;
        let ask = Arc::new(Ask::new(&self.prefix, self.log, operation, charges));
        let mut was_late = false;
        for turn in 0..MOST_TURNS {
            let watched = way.link.watch();
            let outcome = if way.is_asking {
                // On the heap, as it is large and seldom.
                Box::pin(self.ask_alone(&way, &ask, until)).await
            } else {
                way.link.ask(Arc::clone(&ask), until).await
            };
            watched.answered();
            match outcome {
                Ok(Outcome::Decided(verdict)) => return Ok(verdict),
                // If its clock was set forward, the server finds late what is not, and says what time it is.
                Ok(Outcome::Late | Outcome::Open) if !was_late => was_late = true,
                Ok(Outcome::Late | Outcome::Open) => return Err(StoreError::Timeout),
                Err(failed) => way = Box::pin(self.route.other_way(way, &failed, turn)).await?,
            }
        }
        Err(StoreError::NotReady)
    }

    /// Asks a node that takes the keys over from another, which answers the next command only.
    async fn ask_alone(&self, way: &Way, ask: &Ask, until: Instant) -> Result<Outcome, Failed> {
        let Live { connection, clock, generation } = &way.live;
        let call = Call::new(&self.script.names, &[(ask, clock.at(until))]);
        let sent = Instant::now();
        let replies = self.script.call(connection, true, slice::from_ref(&call)).await;
        let reply = replies.and_then(|mut replies| {
            let reply = replies.pop().unwrap_or_else(|| Ok(Vec::new()))?;
            let unintelligible = || (ErrorKind::UnexpectedReturnType, "not a decision").into();
            call.read(1, &reply).ok_or_else(unintelligible)
        });
        let mut reply = reply.map_err(|error| Failed::On(*generation, error))?;
        let outcome = reply.outcomes.pop().unwrap_or(Outcome::Open);
        clock.heard(reply.now, sent, outcome == Outcome::Late);
        Ok(outcome)
    }
}

impl Store for RedisStore {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        self.apply_within(self.deadline, operation, charges)
    }

    fn apply_within<'a>(
        &'a self,
        deadline: Duration,
        operation: Operation,
        charges: &'a [Charge<'a>],
    ) -> Answer<'a> {
        Answer::Later(Box::pin(self.decide(deadline, operation, charges)))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.route.health()
    }

    fn server(&self, charges: &[Charge<'_>]) -> usize {
        self.route.server(charges)
    }

    fn close(&self) {
        self.home.close();
    }
}
