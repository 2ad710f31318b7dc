//! The text format of a history. A history lists the operations that test processes requested from one Redis server,
//! with the results of these operations. A test checks that these results do not contradict each other.

use std::{fmt, str::FromStr, time::Duration};

use actix_rateguard::store::{BucketStatus, Operation};

/// The rate limits that the recorded operations use. The first four limits have one quota each, with four different
/// algorithms. The last three limits have several quotas. When the limit `day` is used up, it stays used up until
/// the end of a test. All other limits regain capacity during a test.
pub const LIMITS: [(&str, &str); 7] = [
    ("log", "6/200ms"),
    ("counter", "8/300ms sliding_window_counter"),
    ("fixed", "5/100ms fixed_window"),
    ("tokens", "20/second token_bucket burst 5"),
    ("logs", "3/50ms; 30/2s"),
    (
        "all",
        "4/100ms; 9/500ms sliding_window_counter; 16/1s fixed_window; 30/2s token_bucket burst 7",
    ),
    ("day", "30/day; 80/7d"),
];

/// The number of keys that each limit is used with.
pub const KEYS: u8 = 3;

/// The key on which the operations [`Operation::Debit`] and [`Operation::Reset`] run. No other key has these
/// operations. Only a debit can exceed a limit, so all other keys stay within their limits.
pub const DEBIT_RESET_KEY: u8 = KEYS - 1;

/// Identifies a call of the store by two numbers: the id of the process that made the call, and the number of the
/// call within that process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The id of the process that made the call.
    pub process: u64,
    /// The number of the call within its process.
    pub number: u64,
}

/// An operation and its result, recorded by the process that requested the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The time at which Redis executed the operation, on the clock of Redis, in microseconds.
    pub at: u64,
    /// The id of the call.
    pub call: Call,
    /// The operation.
    pub operation: Operation,
    /// For a refund, the id of the check whose units are returned; `None` for other operations.
    pub refund_of: Option<Call>,
    /// Whether Redis admitted the operation. For a peek, this is whether Redis would admit a check.
    pub is_allowed: bool,
    /// The buckets that the operation uses.
    pub parts: Vec<Part>,
}

/// A bucket that an operation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The index of the limit in [`LIMITS`].
    pub limit: usize,
    /// The index of the quota among the quotas of the limit.
    pub quota_index: usize,
    /// The number of the key, which is less than [`KEYS`].
    pub key: u8,
    /// The number of units that the operation requests.
    pub cost: u32,
    /// The status that the bucket has after the operation.
    pub status: BucketStatus,
}

const OPERATIONS: [(Operation, &str); 5] = [
    (Operation::Check, "check"),
    (Operation::Peek, "peek"),
    (Operation::Debit, "debit"),
    (Operation::Refund, "refund"),
    (Operation::Reset, "reset"),
];

/// Formats the event as one line of words. The word `-` stands for a missing value.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = OPERATIONS.iter().find(|(operation, _)| *operation == self.operation);
        let operation = operation.map_or("", |(_, word)| word);
        let Call { process, number } = self.call;
        write!(f, "{} {process} {number} {operation} ", self.at)?;
        match self.refund_of {
            Some(Call { process, number }) => write!(f, "{process} {number}")?,
            None => f.write_str("- -")?,
        }
        write!(f, " {}", u8::from(self.is_allowed))?;
        for Part { limit, quota_index, key, cost, status } in &self.parts {
            let reset = status.reset_after.as_micros();
            write!(f, " {limit} {quota_index} {key} {cost} {} {reset}", status.remaining)?;
            match status.retry_after {
                Some(retry) => write!(f, " {}", retry.as_micros())?,
                None => f.write_str(" -")?,
            }
        }
        Ok(())
    }
}

/// The error for a line of text that is not a valid event.
#[derive(Debug)]
pub struct InvalidEvent;

impl FromStr for Event {
    type Err = InvalidEvent;

    fn from_str(line: &str) -> Result<Self, InvalidEvent> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [at, process, number, operation, by_process, by_number, is_allowed, parts @ ..] =
            &words[..]
        else {
            return Err(InvalidEvent);
        };
        let operation =
            OPERATIONS.iter().find(|(_, word)| word == operation).ok_or(InvalidEvent)?;
        let (parts, []) = parts.as_chunks::<7>() else { return Err(InvalidEvent) };
        let refund_of = match *by_process {
            "-" => None,
            process => Some(Call { process: read(process)?, number: read(by_number)? }),
        };
        Ok(Self {
            at: read(at)?,
            call: Call { process: read(process)?, number: read(number)? },
            operation: operation.0,
            refund_of,
            is_allowed: *is_allowed == "1",
            parts: parts.iter().map(read_part).collect::<Result<_, _>>()?,
        })
    }
}

fn read_part(words: &[&str; 7]) -> Result<Part, InvalidEvent> {
    let [limit, quota_index, key, cost, remaining, reset, retry] = words;
    let retry_after = match *retry {
        "-" => None,
        retry => Some(Duration::from_micros(read(retry)?)),
    };
    let reset_after = Duration::from_micros(read(reset)?);
    Ok(Part {
        limit: read(limit)?,
        quota_index: read(quota_index)?,
        key: read(key)?,
        cost: read(cost)?,
        status: BucketStatus { remaining: read(remaining)?, reset_after, retry_after },
    })
}

fn read<N: FromStr>(word: &str) -> Result<N, InvalidEvent> {
    word.parse().map_err(|_| InvalidEvent)
}
