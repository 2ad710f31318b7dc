//! The format of the history that each server records in a storm, which is a test that injects random faults. The
//! history has one line for each call that the server makes to its store, and one line for each HTTP request.

use std::{fmt, str::FromStr};

use actix_rateguard::store::Operation;

/// A call that a server made to the store, as this server recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCall {
    /// The number of the HTTP request for which the server called the store.
    pub request: u64,
    /// The operation: a check, a refund (which also releases a permit), a renewal, a lease, or the return of a lease.
    pub operation: Operation,
    /// The time at which the call began, on the server's clock, in microseconds since 1970.
    pub began: u64,
    /// The time at which the call ended, with or without a reply, on the server's clock.
    pub ended: u64,
    /// The store's reply; `None` if there was no reply.
    pub reply: Option<StoreReply>,
    /// The name of the error if there was no reply; otherwise empty.
    pub error: String,
    /// The buckets that the call uses.
    pub parts: Vec<Part>,
}

/// A reply of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreReply {
    /// Whether the store admitted the check.
    pub is_allowed: bool,
    /// The time of the decision on the store's clock, in microseconds since 1970.
    pub at: u64,
    /// The unique id of the call, which consists of the process id and the number of the call.
    pub receipt: (u64, u64),
    /// The remaining duration of the key's ban in microseconds; 0 if the key is not banned.
    pub banned_for: u64,
}

/// A bucket that a call uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bucket.
    pub bucket: Bucket,
    /// The number of units that the call takes or refunds. For the return of a lease, the number of units that were
    /// used.
    pub cost: u32,
    /// The time in microseconds until more of the bucket becomes free, as the store reported it.
    pub reset_after: u64,
    /// For a refund, a renewal and a return: the receipt of the check or of the lease that took the units.
    pub refund_of: (u64, u64),
}

/// Identifies a bucket by its policy, its quota and the digest of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// The index of the policy in `LIMITS`.
    pub policy: usize,
    /// The index of the quota in the policy.
    pub quota_index: usize,
    /// The digest of the key.
    pub key: u128,
}

/// The part of the system that decided on an HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionSource {
    /// No part of the system made a decision on the request.
    Undecided,
    /// The shared store decided, or the denial cache repeated an earlier denial of the store.
    Store,
    /// The server decided with the counts in its own memory.
    Memory,
    /// The server admitted the request with a unit of a lease.
    Lease,
}

/// An HTTP request and its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of the request. Each server numbers its requests.
    pub number: u64,
    /// The time at which the request arrived, in microseconds since 1970.
    pub received_at: u64,
    /// The time at which the response was sent, in microseconds since 1970.
    pub responded_at: u64,
    /// The index in `PAGES` of the requested page.
    pub page: usize,
    /// The name of the client.
    pub client: String,
    /// The cost of the request.
    pub cost: u32,
    /// The status of the response.
    pub status: u16,
    /// The part of the system that decided on the request.
    pub source: DecisionSource,
}

/// A poll of a handler, which tests whether the permit of its request is still valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitPoll {
    /// The number of the request that holds the permit.
    pub request: u64,
    /// A time directly before the poll, in microseconds since 1970.
    pub at: u64,
    /// Whether the permit was valid.
    pub is_valid: bool,
}

/// A line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A call of the store that begins. The call has another line when it ends, unless the server was killed before.
    Started(StoreCall),
    /// A call of the store.
    StoreCall(StoreCall),
    /// A request.
    Request(Request),
    /// A poll of a handler.
    PermitPoll(PermitPoll),
}

const OPERATIONS: [(Operation, &str); 5] = [
    (Operation::Check, "check"),
    (Operation::Refund, "refund"),
    (Operation::Renew, "renew"),
    (Operation::Lease, "lease"),
    (Operation::Return, "return"),
];

const SOURCES: [(DecisionSource, &str); 4] = [
    (DecisionSource::Undecided, "undecided"),
    (DecisionSource::Store, "store"),
    (DecisionSource::Memory, "memory"),
    (DecisionSource::Lease, "lease"),
];

/// Formats the record as one line of words. The word `-` stands for a missing value.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(call) => write!(f, "started {}", Self::StoreCall(call.clone())),
            Self::PermitPoll(PermitPoll { request, at, is_valid }) => {
                write!(f, "poll {request} {at} {}", u8::from(*is_valid))
            }
            Self::StoreCall(StoreCall {
                request,
                operation,
                began,
                ended,
                reply,
                error,
                parts,
            }) => {
                let word = OPERATIONS.iter().find(|(it, _)| it == operation);
                let word = word.map_or("", |(_, word)| word);
                write!(f, "{word} {request} {began} {ended} ")?;
                match reply {
                    Some(StoreReply { is_allowed, at, receipt: (process, number), banned_for }) => {
                        let is_allowed = u8::from(*is_allowed);
                        write!(f, "{is_allowed} {at} {process} {number} {banned_for}")?;
                    }
                    None => write!(f, "- {error} - - -")?,
                }
                for Part { bucket, cost, reset_after, refund_of: (process, number) } in parts {
                    let Bucket { policy, quota_index, key } = bucket;
                    write!(f, " {policy} {quota_index} {key} {cost} {reset_after}")?;
                    write!(f, " {process} {number}")?;
                }
                Ok(())
            }
            Self::Request(Request {
                number,
                received_at,
                responded_at,
                page,
                client,
                cost,
                status,
                source,
            }) => {
                let word = SOURCES.iter().find(|(it, _)| it == source);
                let word = word.map_or("", |(_, word)| word);
                write!(f, "request {number} {received_at} {responded_at} {page} {client}")?;
                write!(f, " {cost} {status} {word}")
            }
        }
    }
}

/// The error for a line of text that is not a valid record.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidRecord;

impl FromStr for Record {
    type Err = InvalidRecord;

    fn from_str(line: &str) -> Result<Self, InvalidRecord> {
        if let Some(call) = line.strip_prefix("started ") {
            let Self::StoreCall(call) = call.parse()? else { return Err(InvalidRecord) };
            return Ok(Self::Started(call));
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            ["poll", request, at, is_valid] => Ok(Self::PermitPoll(PermitPoll {
                request: read(request)?,
                at: read(at)?,
                is_valid: *is_valid == "1",
            })),
            ["request", number, received_at, responded_at, page, client, cost, status, source] => {
                let source =
                    SOURCES.iter().find(|(_, word)| word == source).ok_or(InvalidRecord)?.0;
                Ok(Self::Request(Request {
                    number: read(number)?,
                    received_at: read(received_at)?,
                    responded_at: read(responded_at)?,
                    page: read(page)?,
                    client: (*client).to_owned(),
                    cost: read(cost)?,
                    status: read(status)?,
                    source,
                }))
            }
            [
                word,
                request,
                began,
                ended,
                is_allowed,
                at,
                process,
                number,
                banned_for,
                parts @ ..,
            ] => {
                let operation =
                    OPERATIONS.iter().find(|(_, it)| it == word).ok_or(InvalidRecord)?.0;
                let reply = match *is_allowed {
                    "-" => None,
                    is_allowed => Some(StoreReply {
                        is_allowed: is_allowed == "1",
                        at: read(at)?,
                        receipt: (read(process)?, read(number)?),
                        banned_for: read(banned_for)?,
                    }),
                };
                let error = if reply.is_some() { String::new() } else { (*at).to_owned() };
                let (parts, []) = parts.as_chunks::<7>() else { return Err(InvalidRecord) };
                Ok(Self::StoreCall(StoreCall {
                    request: read(request)?,
                    operation,
                    began: read(began)?,
                    ended: read(ended)?,
                    reply,
                    error,
                    parts: parts.iter().map(read_part).collect::<Result<_, _>>()?,
                }))
            }
            _ => Err(InvalidRecord),
        }
    }
}

fn read_part(words: &[&str; 7]) -> Result<Part, InvalidRecord> {
    let [policy, quota_index, key, cost, reset_after, process, number] = words;
    let (policy, quota_index) = (read(policy)?, read(quota_index)?);
    Ok(Part {
        bucket: Bucket { policy, quota_index, key: read(key)? },
        cost: read(cost)?,
        reset_after: read(reset_after)?,
        refund_of: (read(process)?, read(number)?),
    })
}

fn read<N: FromStr>(word: &str) -> Result<N, InvalidRecord> {
    word.parse().map_err(|_| InvalidRecord)
}
