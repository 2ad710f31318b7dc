//! The Redis store: one script call for each check, over a connection that all checks share.

mod error;
mod link;
mod script;
mod url;

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

pub use self::url::RedisUrlError;
use self::{
    link::Link,
    script::{CallName, Decide},
};
use super::{Answer, Charge, Operation, Store, StoreError, Verdict};
use crate::BuildError;

pub(crate) struct RedisStore {
    prefix: String,
    link: Link,
    script: Decide,
    names: CallNames,
}

impl RedisStore {
    /// A store for this URL, which begins to connect.
    pub(crate) fn open(url: &str, prefix: String, deadline: Duration) -> Result<Self, BuildError> {
        let server = url::parse(url).map_err(BuildError::Url)?;
        let link = Link::open(server, deadline).map_err(BuildError::Thread)?;
        Ok(Self { prefix, link, script: Decide::new(), names: CallNames::new() })
    }

    async fn decide(
        &self,
        operation: Operation,
        charges: &[Charge<'_>],
    ) -> Result<Verdict, StoreError> {
        let mut live = self.link.live().await?;
        let keys: Vec<_> =
            charges.iter().map(|charge| charge.bucket.storage_key(&self.prefix)).collect();
        let name = self.names.next();
        let reply = self.script.call(&mut live.connection, operation, &keys, charges, name).await;
        reply.map_err(|error| {
            let cause = error::classify(&error);
            self.link.failed(live.generation, cause);
            cause
        })
    }
}

impl Store for RedisStore {
    fn apply<'a>(&'a self, operation: Operation, charges: &'a [Charge<'a>]) -> Answer<'a> {
        Answer::Later(Box::pin(self.decide(operation, charges)))
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
