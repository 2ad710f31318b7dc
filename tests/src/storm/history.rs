//! The history that a server of a storm records: one line for each call of its store, and one for each request.

use std::{fmt, str::FromStr};

use actix_rateguard::store::Operation;

/// One call of the store, as recorded by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreCall {
    /// The number of the request that made the call.
    pub request: u64,
    /// A check or a refund.
    pub operation: Operation,
    /// When the call began, in microseconds since 1970, by the server's clock.
    pub began: u64,
    /// When the call ended, with or without a reply.
    pub ended: u64,
    /// The reply of the store, if there was one.
    pub reply: Option<StoreReply>,
    /// The name of the error, if there was no reply.
    pub error: String,
    /// The buckets of the call.
    pub parts: Vec<Part>,
}

/// A reply of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreReply {
    /// Whether the store admitted the check.
    pub is_allowed: bool,
    /// When the store decided, in microseconds since 1970, by the store's clock.
    pub at: u64,
    /// The unique id of the call: process and number.
    pub receipt: (u64, u64),
    /// The remaining duration of the key's ban in microseconds; 0 without a ban.
    pub banned_for: u64,
}

/// One bucket of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The bucket.
    pub bucket: Bucket,
    /// The number of units that the call takes or refunds.
    pub cost: u32,
    /// The microseconds until more of the bucket is free, according to the store.
    pub reset_after: u64,
    /// For a refund, the receipt of the check whose units are returned.
    pub refund_of: (u64, u64),
}

/// The identity of a bucket: the policy, the quota, and the digest of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// The index of the policy.
    pub policy: usize,
    /// The index of the quota in its policy.
    pub quota_index: usize,
    /// The digest of the key.
    pub key: u128,
}

/// Where the decision on an HTTP request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionSource {
    /// No limit decided on the request.
    Undecided,
    /// The shared store decided, or the denial cache repeated a denial of the store.
    Store,
    /// The server decided in memory.
    Memory,
}

/// An HTTP request and its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number of the request on its server.
    pub number: u64,
    /// When the request arrived, in microseconds since 1970.
    pub received_at: u64,
    /// When the response was sent, in microseconds since 1970.
    pub responded_at: u64,
    /// The index of the requested page in `PAGES`.
    pub page: usize,
    /// The name of the client.
    pub client: String,
    /// The cost of the request.
    pub cost: u32,
    /// The status of the response.
    pub status: u16,
    /// Where the decision came from.
    pub source: DecisionSource,
}

/// One line of a recorded history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A call of the store.
    StoreCall(StoreCall),
    /// A request.
    Request(Request),
}

const SOURCES: [(DecisionSource, &str); 3] = [
    (DecisionSource::Undecided, "undecided"),
    (DecisionSource::Store, "store"),
    (DecisionSource::Memory, "memory"),
];

/// Formats the record as one line of words. `-` is a missing value.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoreCall(StoreCall {
                request,
                operation,
                began,
                ended,
                reply,
                error,
                parts,
            }) => {
                let word = if *operation == Operation::Refund { "refund" } else { "check" };
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

/// The error for a line that is not a valid record.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidRecord;

impl FromStr for Record {
    type Err = InvalidRecord;

    fn from_str(line: &str) -> Result<Self, InvalidRecord> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
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
                word @ ("check" | "refund"),
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
                let is_refund = *word == "refund";
                Ok(Self::StoreCall(StoreCall {
                    request: read(request)?,
                    operation: if is_refund { Operation::Refund } else { Operation::Check },
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
