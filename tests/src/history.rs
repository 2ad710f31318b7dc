//! What processes write down of what they did on one Redis, so that a test can tell whether all of it can be true.

use std::{fmt, str::FromStr, time::Duration};

use rateguard::store::{Level, Operation};

/// The limits that histories are about: every algorithm alone and with others. Some are never full for long, and the
/// last stays full.
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

/// How many keys there are under each limit.
pub const KEYS: u8 = 3;

/// What is counted of the other keys is never charged beyond the limit and never reset.
pub const ROUGH_KEY: u8 = KEYS - 1;

/// One call of a process, which no other has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// Which process.
    pub process: u64,
    /// Its how many-th call.
    pub number: u64,
}

/// One operation, as the process that asked for it saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When Redis did it, in microseconds by its own clock.
    pub at: u64,
    /// Who asked for it.
    pub call: Call,
    /// What was asked for.
    pub operation: Operation,
    /// Of a refund, the check that took what is given back.
    pub taken_by: Option<Call>,
    /// Whether it was, or would be, admitted.
    pub is_allowed: bool,
    /// What was asked of each bucket, and answered.
    pub parts: Vec<Part>,
}

/// One bucket's part of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which of the [`LIMITS`].
    pub limit: usize,
    /// Which of its quotas.
    pub place: usize,
    /// Which key.
    pub key: u8,
    /// How many units.
    pub cost: u32,
    /// How the bucket stands since.
    pub level: Level,
}

const OPERATIONS: [(Operation, &str); 5] = [
    (Operation::Check, "check"),
    (Operation::Peek, "peek"),
    (Operation::Charge, "charge"),
    (Operation::Refund, "refund"),
    (Operation::Reset, "reset"),
];

/// As one line of words, of which `-` says that there is nothing.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = OPERATIONS.iter().find(|(operation, _)| *operation == self.operation);
        let operation = operation.map_or("", |(_, word)| word);
        let Call { process, number } = self.call;
        write!(f, "{} {process} {number} {operation} ", self.at)?;
        match self.taken_by {
            Some(Call { process, number }) => write!(f, "{process} {number}")?,
            None => f.write_str("- -")?,
        }
        write!(f, " {}", u8::from(self.is_allowed))?;
        for Part { limit, place, key, cost, level } in &self.parts {
            let reset = level.reset_after.as_micros();
            write!(f, " {limit} {place} {key} {cost} {} {reset}", level.remaining)?;
            match level.retry_after {
                Some(retry) => write!(f, " {}", retry.as_micros())?,
                None => f.write_str(" -")?,
            }
        }
        Ok(())
    }
}

/// The line is not that of an event.
#[derive(Debug)]
pub struct NoEvent;

impl FromStr for Event {
    type Err = NoEvent;

    fn from_str(line: &str) -> Result<Self, NoEvent> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [at, process, number, operation, by_process, by_number, is_allowed, parts @ ..] =
            &words[..]
        else {
            return Err(NoEvent);
        };
        let known = OPERATIONS.iter().find(|(_, word)| word == operation).ok_or(NoEvent)?;
        let (parts, []) = parts.as_chunks::<7>() else { return Err(NoEvent) };
        let taken_by = match *by_process {
            "-" => None,
            process => Some(Call { process: read(process)?, number: read(by_number)? }),
        };
        Ok(Self {
            at: read(at)?,
            call: Call { process: read(process)?, number: read(number)? },
            operation: known.0,
            taken_by,
            is_allowed: *is_allowed == "1",
            parts: parts.iter().map(read_part).collect::<Result<_, _>>()?,
        })
    }
}

fn read_part(words: &[&str; 7]) -> Result<Part, NoEvent> {
    let [limit, place, key, cost, remaining, reset, retry] = words;
    let retry_after = match *retry {
        "-" => None,
        retry => Some(Duration::from_micros(read(retry)?)),
    };
    let reset_after = Duration::from_micros(read(reset)?);
    Ok(Part {
        limit: read(limit)?,
        place: read(place)?,
        key: read(key)?,
        cost: read(cost)?,
        level: Level { remaining: read(remaining)?, reset_after, retry_after },
    })
}

fn read<N: FromStr>(word: &str) -> Result<N, NoEvent> {
    word.parse().map_err(|_| NoEvent)
}
