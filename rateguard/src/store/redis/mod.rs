//! The Redis store: one script call for each check, over a connection that all checks share.

mod error;
mod link;
mod script;
mod url;

use std::time::{Duration, Instant};

pub use self::url::RedisUrlError;
use deadpool_redis::Pool;
#[cfg(feature = "tls")]
use redis::ConnectionAddr;

use self::{link::Link, script::Decide};
#[cfg(feature = "tls")]
use super::tls::RedisTls;
use super::{
    Answer, Charge, Operation, Store, StoreError, Verdict,
    script::{Call, CallNames},
    server_clock::ServerClock,
};
use crate::BuildError;

pub(crate) struct RedisStore {
    prefix: String,
    link: Link,
    script: Decide,
    names: CallNames,
    deadline: Duration,
    clock: ServerClock,
}

/// Which Redis.
pub(crate) enum Server {
    At {
        url: String,
        #[cfg(feature = "tls")]
        tls: RedisTls,
    },
    /// That of a pool that the application has.
    Of(Pool),
}

impl Server {
    pub(crate) fn at(url: String) -> Self {
        Self::At {
            url,
            #[cfg(feature = "tls")]
            tls: RedisTls::new(),
        }
    }

    fn connect(self, deadline: Duration) -> Result<Link, BuildError> {
        let link = match self {
            Self::Of(pool) => Link::like(pool, deadline),
            Self::At {
                url,
                #[cfg(feature = "tls")]
                tls,
            } => {
                let server = url::parse(&url).map_err(BuildError::Url)?;
                #[cfg(feature = "tls")]
                let server = match server.addr() {
                    ConnectionAddr::TcpTls { .. } => {
                        let refused = BuildError::Url(RedisUrlError::Certificates);
                        tls.with(server).ok_or(refused)?
                    }
                    _ => server,
                };
                Link::open(server, deadline)
            }
        };
        link.map_err(BuildError::Thread)
    }
}

impl RedisStore {
    /// A store for this server, which begins to connect.
    pub(crate) fn open(
        server: Server,
        prefix: String,
        deadline: Duration,
    ) -> Result<Self, BuildError> {
        let link = server.connect(deadline)?;
        let (script, names, clock) = (Decide::new(), CallNames::new(), ServerClock::new());
        Ok(Self { prefix, link, script, names, deadline, clock })
    }

    async fn decide(
        &self,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Result<Verdict, StoreError> {
        let asked = Instant::now();
        let live = self.link.live().await?;
        let keys: Vec<_> =
            charges.iter().map(|charge| charge.bucket.storage_key(&self.prefix)).collect();
        let ask = |latest| {
            let call = Call { operation, keys: &keys, charges, name: self.names.next(), latest };
            let mut live = live.clone();
            async move {
                self.script.call(&mut live.connection, &call).await.map_err(|error| {
                    let cause = error::classify(&error);
                    self.link.failed(live.generation, cause);
                    cause
                })
            }
        };
        self.clock.ask(asked + self.deadline, ask).await
    }
}

impl Store for RedisStore {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Later(Box::pin(self.decide(operation, charges)))
    }

    fn health(&self) -> Result<(), StoreError> {
        self.link.health()
    }

    fn missed_deadline(&self) {
        self.link.suspect();
    }
}
