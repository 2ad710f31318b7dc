//! Defines the Redis server, the cluster or the service that a guard uses.

use std::{io, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{
    cluster::Cluster,
    connector::Source,
    link::Link,
    router::Router,
    script_runner::ScriptRunner,
    sentinel::Sentinels,
    tls::{self, TlsSettings},
    url::{self, Target},
};
use crate::{BuildError, store::connection::ServerLabel};

/// The Redis server, the cluster or the service that a guard uses.
pub(crate) enum Server {
    At {
        url: String,
        tls: TlsSettings,
    },
    /// The server to which the application's pool connects.
    #[cfg(feature = "deadpool")]
    Of(deadpool_redis::Pool),
}

impl Server {
    /// Starts to connect on the runtime `runtime`. Returns the router, which selects the connection for each request,
    /// and the description of the server.
    pub(super) fn router(
        self,
        deadline: Duration,
        script: &Arc<ScriptRunner>,
        runtime: &Handle,
    ) -> Result<(Router, ServerLabel), BuildError> {
        let one = |source: io::Result<Source>| {
            let source = source.map_err(BuildError::Thread)?;
            let label = source.label();
            let link = Link::open(source, deadline, Arc::clone(script), runtime);
            Ok((Router::One(Arc::new(link)), label))
        };
        let target = match self {
            #[cfg(feature = "deadpool")]
            Self::Of(pool) => return one(Ok(Source::of_pool(pool))),
            Self::At { url, tls } => url::parse(&url).and_then(|target| tls::apply(&tls, target)),
        };
        match target.map_err(BuildError::Url)? {
            Target::One(server) => one(Source::of(server)),
            Target::Sentinel { sentinels, service, primary } => {
                let sentinels = Sentinels::new(sentinels, service, primary);
                one(Ok(Source::Sentinel(Box::new(sentinels))))
            }
            Target::Cluster(seeds) => {
                let label = ServerLabel::of_cluster(&seeds);
                Ok((Router::Cluster(Cluster::open(seeds, deadline, script, runtime)), label))
            }
        }
    }
}
