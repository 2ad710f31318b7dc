//! Which Redis.

use std::{io, sync::Arc, time::Duration};

#[cfg(feature = "deadpool")]
use deadpool_redis::Pool;
use tokio::runtime::Handle;

use super::{
    cluster::Cluster,
    connector::Source,
    link::Link,
    router::Route,
    script_runner::ScriptRunner,
    sentinel::Sentinels,
    url::{self, Target},
};
use crate::BuildError;
#[cfg(feature = "tls")]
use crate::store::tls::RedisTls;

/// Which Redis.
pub(crate) enum Server {
    At {
        url: String,
        #[cfg(feature = "tls")]
        tls: RedisTls,
    },
    /// The server of the application's pool.
    #[cfg(feature = "deadpool")]
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

    /// The way to it. What looks after its connections is done at this home.
    pub(super) fn route(
        self,
        deadline: Duration,
        script: &Arc<ScriptRunner>,
        home: &Handle,
    ) -> Result<Route, BuildError> {
        let one = |source: io::Result<Source>| {
            let source = source.map_err(BuildError::Thread)?;
            Ok(Route::One(Arc::new(Link::open(source, deadline, Arc::clone(script), home))))
        };
        let target = match self {
            #[cfg(feature = "deadpool")]
            Self::Of(pool) => return one(Ok(Source::FromAppPool(pool))),
            #[cfg(not(feature = "tls"))]
            Self::At { url } => url::parse(&url),
            #[cfg(feature = "tls")]
            Self::At { url, tls } => {
                url::parse(&url).and_then(|target| target.map(|server| tls.with(server)))
            }
        };
        match target.map_err(BuildError::Url)? {
            Target::One(server) => one(Source::of(server)),
            Target::Sentinel { sentinels, service, primary } => {
                let sentinels = Sentinels::new(sentinels, service, primary);
                one(Ok(Source::Primary(Box::new(sentinels))))
            }
            Target::Cluster(seeds) => {
                Ok(Route::Cluster(Cluster::open(seeds, deadline, script, home)))
            }
        }
    }
}
