//! Creates the Redis command that runs the script.

use sha1::{Digest, Sha1};

use super::{Argument, Batch, ScriptRequest, batch::RequestIds};
use crate::algorithm::SCRIPT;

/// The Redis command that runs the script for a batch.
pub(in crate::store) struct ScriptCommand {
    ids: RequestIds,
    /// The SHA-1 hash of the script. `EVALSHA` sends only this hash, and Redis finds the script by this hash in its
    /// cache.
    hash: String,
}

/// Selects how the command identifies the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum ScriptBy {
    Hash,
    /// The command contains the source of the script, and Redis adds the script to its cache. Use this variant if the
    /// script is not in the cache.
    Source,
}

impl ScriptCommand {
    pub(in crate::store) fn new() -> Self {
        Self { ids: RequestIds::new(), hash: sha1_hex(SCRIPT) }
    }

    /// Creates a batch. `requests` has each request with its deadline on the clock of the server. `now` returns the
    /// current time on this clock.
    pub(in crate::store) fn batch<'a>(
        &self,
        requests: &[(&'a ScriptRequest, i64)],
        now: impl FnOnce() -> i64,
    ) -> Batch<'a> {
        Batch::new(&self.ids, requests, now)
    }

    /// Calls `argument` with the name of the command and then with each of its arguments, in order. `encoding`
    /// selects how the script encodes the numbers in its reply.
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

/// Returns the SHA-1 hash of a text in hexadecimal digits.
fn sha1_hex(text: &str) -> String {
    Sha1::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
