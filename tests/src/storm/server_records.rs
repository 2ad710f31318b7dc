//! Reads the history that a server of a storm recorded. The server may have been killed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Error, Result},
    path::Path,
};

use actix_rateguard::store::Operation;

use super::history::{Bucket, PermitPoll, Record, Request, StoreCall};

/// The records of one server.
#[derive(Debug, Default)]
pub struct ServerRecords {
    /// The calls of the store.
    pub calls: Vec<StoreCall>,
    /// The HTTP requests.
    pub requests: Vec<Request>,
    /// The polls of handlers, which test whether their permits are still valid.
    pub polls: Vec<PermitPoll>,
}

/// The calls that have started and not ended, by the values that both records of a call have in common.
type StartedCalls = BTreeMap<(u64, u64, &'static str, Option<Bucket>, (u64, u64)), Vec<StoreCall>>;

impl ServerRecords {
    /// Reads the records in this file. `killed_at` is the time at which the server was killed, in microseconds since
    /// 1970. The calls that had no end at this time become calls without a reply.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or if a record is invalid. The last line of a server that was
    /// killed may be incomplete.
    pub fn read(file: &Path, killed_at: Option<u64>) -> Result<Self> {
        let mut records = Self::default();
        let mut started = StartedCalls::new();
        let mut lines = BufReader::new(File::open(file)?).lines().peekable();
        while let Some(line) = lines.next() {
            let line = line?;
            match line.parse() {
                Ok(Record::Started(call)) => started.entry(identity(&call)).or_default().push(call),
                Ok(Record::StoreCall(call)) => {
                    started.entry(identity(&call)).or_default().pop();
                    records.calls.push(call);
                }
                Ok(Record::Request(request)) => records.requests.push(request),
                Ok(Record::PermitPoll(poll)) => records.polls.push(poll),
                Err(_) if killed_at.is_some() && lines.peek().is_none() => {}
                Err(_) => return Err(Error::other(format!("invalid record: {line}"))),
            }
        }
        if let Some(killed_at) = killed_at {
            let unfinished = started.into_values().flatten();
            records.calls.extend(unfinished.map(|call| StoreCall {
                ended: killed_at.max(call.began),
                error: "Killed".to_owned(),
                ..call
            }));
        }
        Ok(records)
    }
}

fn identity(call: &StoreCall) -> (u64, u64, &'static str, Option<Bucket>, (u64, u64)) {
    let operation = match call.operation {
        Operation::Check => "check",
        Operation::Renew => "renew",
        Operation::Lease => "lease",
        Operation::Return => "return",
        _ => "refund",
    };
    let part = call.parts.first();
    let refund_of = part.map_or((0, 0), |part| part.refund_of);
    (call.began, call.request, operation, part.map(|part| part.bucket), refund_of)
}
