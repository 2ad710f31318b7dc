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

use futures_util::future::{Either, FutureExt};

pub use self::url::RedisUrlError;
use self::{link::Link, script::Decide};
use super::{Answer, Store, StoreError};
use crate::{BuildError, Decision, Quota, bucket::Bucket};

pub(crate) struct RedisStore {
    prefix: String,
    link: Link,
    script: Decide,
    members: Members,
}

impl RedisStore {
    /// A store for this URL, which begins to connect.
    pub(crate) fn open(url: &str, prefix: String, deadline: Duration) -> Result<Self, BuildError> {
        let server = url::parse(url).map_err(BuildError::Url)?;
        let link = Link::open(server, deadline).map_err(BuildError::Thread)?;
        Ok(Self { prefix, link, script: Decide::new(), members: Members::new() })
    }

    async fn decide(&self, bucket: Bucket<'_>, quota: Quota) -> Result<Decision, StoreError> {
        let mut live = self.link.live().await?;
        let key = bucket.redis_key(&self.prefix);
        let reply = self.script.call(&mut live.connection, &key, quota, &self.members.next()).await;
        reply.map_err(|error| {
            let cause = error::classify(&error);
            self.link.failed(live.generation, cause);
            cause
        })
    }
}

impl Store for RedisStore {
    fn check<'a>(&'a self, bucket: Bucket<'a>, quota: Quota) -> Answer<'a> {
        Either::Right(self.decide(bucket, quota).boxed())
    }

    fn missed_deadline(&self) {
        self.link.suspect();
    }
}

/// Names for the members of a log that no other process and no other check uses.
struct Members {
    process: u64,
    next: AtomicU64,
}

impl Members {
    fn new() -> Self {
        // Two hashers of the standard library have different random seeds.
        Self { process: RandomState::new().hash_one("process"), next: AtomicU64::new(0) }
    }

    fn next(&self) -> String {
        format!("{:016x}-{:x}", self.process, self.next.fetch_add(1, Relaxed))
    }
}
