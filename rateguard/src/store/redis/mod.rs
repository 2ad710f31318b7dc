//! The Redis store: one script call for each check, over a connection that all checks share.

mod error;
mod link;
mod script;
mod server_clock;
#[cfg(feature = "tls")]
mod tls;
mod url;

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

#[cfg(feature = "tls")]
pub use self::tls::RedisTls;
pub use self::url::RedisUrlError;
use deadpool_redis::Pool;
#[cfg(feature = "tls")]
use redis::ConnectionAddr;

use self::{
    link::Link,
    script::{CallName, Decide},
    server_clock::ServerClock,
};
use super::{Answer, Charge, Operation, Store, StoreError, Verdict};
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
        let mut live = self.link.live().await?;
        let keys: Vec<_> =
            charges.iter().map(|charge| charge.bucket.storage_key(&self.prefix)).collect();
        // If its clock was set forward, the server finds late what is not, and says what time it is.
        for _ in 0..2 {
            let (name, sent) = (self.names.next(), Instant::now());
            let latest = self.clock.at(asked + self.deadline);
            let connection = &mut live.connection;
            let reply = self.script.call(connection, operation, &keys, charges, name, latest).await;
            let reply = reply.map_err(|error| {
                let cause = error::classify(&error);
                self.link.failed(live.generation, cause);
                cause
            })?;
            self.clock.heard(reply.now, sent, reply.verdict.is_none());
            if let Some(verdict) = reply.verdict {
                return Ok(verdict);
            }
        }
        Err(StoreError::Timeout)
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

/// Names for calls that no other process and no other call has.
struct CallNames {
    process: u64,
    next: AtomicU64,
}

impl CallNames {
    fn new() -> Self {
        // Two hashers of the standard library have different random seeds.
        Self { process: RandomState::new().hash_one("process"), next: AtomicU64::new(0) }
    }

    fn next(&self) -> CallName {
        CallName { process: self.process, number: self.next.fetch_add(1, Relaxed) }
    }
}
