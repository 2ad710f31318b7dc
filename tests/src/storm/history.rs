//! What a server of a storm writes down: one line for each operation on its store, and one for each request.

use std::{fmt, str::FromStr};

use rateguard::store::Operation;

/// One operation on the store, as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// For which request of the server, by its number.
    pub request: u64,
    /// What was asked for: a check or a refund.
    pub operation: Operation,
    /// When it began and ended, in microseconds since 1970, by the server's clock.
    pub began: u64,
    /// When it ended, with or without an answer.
    pub ended: u64,
    /// What the store said, if it did.
    pub said: Option<Said>,
    /// If not, the name of the error.
    pub cause: String,
    /// What was asked of each bucket.
    pub parts: Vec<Part>,
}

/// A verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Whether it was admitted.
    pub is_allowed: bool,
    /// When, by the store's clock.
    pub at: u64,
    /// The call, which no other has.
    pub call: (u64, u64),
    /// Microseconds for which the key is banned yet; 0 if it is not.
    pub banned_for: u64,
}

/// One bucket's part of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which bucket.
    pub bucket: Bucket,
    /// How many units.
    pub cost: u32,
    /// Microseconds until more of it is free, as the store said.
    pub reset_after: u64,
    /// Of a refund, the call that took it.
    pub taken_by: (u64, u64),
}

/// A key under a quota: the number of the policy, the quota's place in it, and the key's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// Which of the policies.
    pub policy: usize,
    /// Which of its quotas.
    pub place: usize,
    /// Whose.
    pub key: u128,
}

/// Who decided on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decided {
    /// Nobody, so that nothing was told.
    Nobody,
    /// As the application sees it, the store that all share.
    Together,
    /// The server in its memory.
    Locally,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number on its server.
    pub number: u64,
    /// When it came, and when its answer went, in microseconds since 1970.
    pub came: u64,
    /// When its answer went.
    pub went: u64,
    /// Which of the pages it was for.
    pub page: usize,
    /// Whose it was.
    pub client: String,
    /// What it cost.
    pub cost: u32,
    /// The status of its answer.
    pub status: u16,
    /// Who decided.
    pub decided: Decided,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Of an operation.
    Asked(Asked),
    /// Of a request.
    Request(Request),
}

const DECIDED: [(Decided, &str); 3] =
    [(Decided::Nobody, "nobody"), (Decided::Together, "together"), (Decided::Locally, "locally")];

/// As one line of words, of which `-` says that there is nothing.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked(Asked { request, operation, began, ended, said, cause, parts }) => {
                let word = if *operation == Operation::Refund { "refund" } else { "check" };
                write!(f, "{word} {request} {began} {ended} ")?;
                match said {
                    Some(Said { is_allowed, at, call: (process, number), banned_for }) => {
                        let is_allowed = u8::from(*is_allowed);
                        write!(f, "{is_allowed} {at} {process} {number} {banned_for}")?;
                    }
                    None => write!(f, "- {cause} - - -")?,
                }
                for Part { bucket, cost, reset_after, taken_by: (process, number) } in parts {
                    let Bucket { policy, place, key } = bucket;
                    write!(f, " {policy} {place} {key} {cost} {reset_after} {process} {number}")?;
                }
                Ok(())
            }
            Self::Request(Request { number, came, went, page, client, cost, status, decided }) => {
                let word = DECIDED.iter().find(|(known, _)| known == decided);
                let word = word.map_or("", |(_, word)| word);
                write!(f, "request {number} {came} {went} {page} {client} {cost} {status} {word}")
            }
        }
    }
}

/// The line is none of a history.
#[derive(Debug, PartialEq, Eq)]
pub struct NoLine;

impl FromStr for Line {
    type Err = NoLine;

    fn from_str(line: &str) -> Result<Self, NoLine> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match &words[..] {
            ["request", number, came, went, page, client, cost, status, decided] => {
                let decided = DECIDED.iter().find(|(_, word)| word == decided).ok_or(NoLine)?.0;
                Ok(Self::Request(Request {
                    number: read(number)?,
                    came: read(came)?,
                    went: read(went)?,
                    page: read(page)?,
                    client: (*client).to_owned(),
                    cost: read(cost)?,
                    status: read(status)?,
                    decided,
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
                let said = match *is_allowed {
                    "-" => None,
                    is_allowed => Some(Said {
                        is_allowed: is_allowed == "1",
                        at: read(at)?,
                        call: (read(process)?, read(number)?),
                        banned_for: read(banned_for)?,
                    }),
                };
                let cause = if said.is_some() { String::new() } else { (*at).to_owned() };
                let (parts, []) = parts.as_chunks::<7>() else { return Err(NoLine) };
                let refunds = *word == "refund";
                Ok(Self::Asked(Asked {
                    request: read(request)?,
                    operation: if refunds { Operation::Refund } else { Operation::Check },
                    began: read(began)?,
                    ended: read(ended)?,
                    said,
                    cause,
                    parts: parts.iter().map(read_part).collect::<Result<_, _>>()?,
                }))
            }
            _ => Err(NoLine),
        }
    }
}

fn read_part(words: &[&str; 7]) -> Result<Part, NoLine> {
    let [policy, place, key, cost, reset_after, process, number] = words;
    Ok(Part {
        bucket: Bucket { policy: read(policy)?, place: read(place)?, key: read(key)? },
        cost: read(cost)?,
        reset_after: read(reset_after)?,
        taken_by: (read(process)?, read(number)?),
    })
}

fn read<N: FromStr>(word: &str) -> Result<N, NoLine> {
    word.parse().map_err(|_| NoLine)
}
