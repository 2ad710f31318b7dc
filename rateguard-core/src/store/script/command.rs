//! The command that runs the script.

use sha1_smol::Sha1;

use super::{Argument, Batch, ScriptRequest, batch::RequestIds};
use crate::algorithm::SCRIPT;

/// The command that runs the script for a batch.
pub(in crate::store) struct ScriptCommand {
    ids: RequestIds,
    /// The SHA-1 of the script. `EVALSHA` runs the script with this hash from the server's cache, so the source is not
    /// sent again.
    hash: String,
}

/// How the command identifies the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum ScriptBy {
    Hash,
    /// For a server that does not have the script in its cache. The command adds the script to the cache.
    Source,
}

impl ScriptCommand {
    pub(in crate::store) fn new() -> Self {
        Self { ids: RequestIds::new(), hash: Sha1::from(SCRIPT).digest().to_string() }
    }

    /// Creates a batch of these requests, each with its deadline on the server's clock.
    pub(in crate::store) fn batch<'a>(&self, requests: &[(&'a ScriptRequest, i64)]) -> Batch<'a> {
        Batch::new(&self.ids, requests)
    }

    /// Calls `argument` with the name and with each argument of the command, in order. `encoding` is the encoding of the
    /// reply's numbers.
    pub(in crate::store) fn write(
        &self,
        batch: &Batch<'_>,
        by: ScriptBy,
        encoding: &str,
        mut argument: impl FnMut(Argument<'_>),
    ) {
        let (name, script) = match by {
            ScriptBy::Hash => ("EVALSHA", &*self.hash),
            ScriptBy::Source => ("EVAL", SCRIPT),
        };
        argument(Argument::Text(name));
        argument(Argument::Text(script));
        batch.write(encoding, argument);
    }
}
