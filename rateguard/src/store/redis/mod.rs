//! The Redis store: one script call for each check, over connections that all checks share.

mod cluster;
mod error;
mod keeper;
mod link;
mod route;
mod script;
mod sentinel;
mod server;
mod source;
mod url;

use std::time::{Duration, Instant};

pub(crate) use self::server::Server;
pub use self::url::RedisUrlError;

use self::{link::Live, route::Route, script::Decide};
use super::{
    Answer, Charge, Operation, Store, StoreError, Verdict,
    home::Home,
    script::{Call, CallNames},
};
use crate::BuildError;

/// A check is asked no more often than this: elsewhere, or once more.
const MOST_TURNS: u32 = 8;

pub(crate) struct RedisStore {
    prefix: String,
    route: Route,
    script: Decide,
    names: CallNames,
    deadline: Duration,
    home: Home,
}

impl RedisStore {
    /// A store for this server, which begins to connect.
    pub(crate) fn open(
        server: Server,
        prefix: String,
        deadline: Duration,
    ) -> Result<Self, BuildError> {
        let home = Home::start("rateguard-redis").map_err(BuildError::Thread)?;
        let route = server.route(deadline, home.handle())?;
        let (script, names) = (Decide::new(), CallNames::new());
        Ok(Self { prefix, route, script, names, deadline, home })
    }

    async fn decide(
        &self,
        deadline: Duration,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Result<Verdict, StoreError> {
        let asked = Instant::now();
        let mut way = self.route.way(charges).await?;
        let keys: Vec<_> =
            charges.iter().map(|charge| charge.bucket.storage_key(&self.prefix)).collect();
        let mut was_late = false;
        for turn in 0..MOST_TURNS {
            let (name, sent) = (self.names.next(), Instant::now());
            let Live { connection, clock, .. } = &way.live;
            let latest = clock.at(asked + deadline);
            let call = Call { operation, charges, keys: &keys, name, latest };
            let watched = way.link.watch();
            let reply = self.script.call(connection, way.is_asking, &call).await;
            watched.answered();
            match reply {
                Ok(reply) => {
                    clock.heard(reply.now, sent, reply.verdict.is_none());
                    match reply.verdict {
                        Some(verdict) => return Ok(verdict),
                        // If its clock was set forward, the server finds late what is not, and says what time it is.
                        None if !was_late => was_late = true,
                        None => return Err(StoreError::Timeout),
                    }
                }
                Err(error) => way = self.route.other_way(way, &error, turn).await?,
            }
        }
        Err(StoreError::NotReady)
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
