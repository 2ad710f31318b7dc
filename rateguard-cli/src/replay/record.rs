//! One request of an access log, as a line of the log describes it.

use std::{net::IpAddr, ops::Range};

/// A text of a record. The extra texts are the values of key parts such as `header:X-Api-Key`, see
/// [`ExtraFields`](super::fields::ExtraFields).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextField {
    /// The name of the client's host, if the log has a name in place of an address.
    Host,
    User,
    Method,
    /// The path without the query.
    Path,
    Extra(usize),
}

impl TextField {
    const EXTRA_START: usize = 4;

    fn index(self) -> usize {
        match self {
            Self::Host => 0,
            Self::User => 1,
            Self::Method => 2,
            Self::Path => 3,
            Self::Extra(index) => Self::EXTRA_START + index,
        }
    }
}

/// One request of an access log. A record is reused for another line after [`clear`](Self::clear), so that reading a
/// line allocates no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogRecord {
    /// The time in microseconds since 1970.
    pub(crate) time: u64,
    /// Whether `time` is the start of the request. The time of most logs is the end of the request.
    pub(crate) is_start: bool,
    /// How long the request lasted, in microseconds.
    pub(crate) duration: Option<u64>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) status: Option<u16>,
    text: Vec<u8>,
    ranges: Vec<Option<Range<usize>>>,
}

impl LogRecord {
    /// Removes all values, but keeps the allocated memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.ranges.clear();
        (self.time, self.is_start, self.duration) = (0, false, None);
        (self.address, self.status) = (None, None);
    }

    pub(crate) fn set_text(&mut self, field: TextField, value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(value);
        let index = field.index();
        if self.ranges.len() <= index {
            self.ranges.resize(index + 1, None);
        }
        if let Some(range) = self.ranges.get_mut(index) {
            *range = Some(start..self.text.len());
        }
    }

    pub(crate) fn text(&self, field: TextField) -> Option<&[u8]> {
        self.text.get(self.ranges.get(field.index())?.clone()?)
    }

    /// Returns whether the record has the address or the host of the client.
    pub(crate) fn has_client(&self) -> bool {
        self.address.is_some() || self.text(TextField::Host).is_some()
    }

    /// Moves the time to the start of the request, if the record has its duration and `time` is its end.
    pub(crate) fn move_to_start(&mut self) {
        if !self.is_start
            && let Some(duration) = self.duration
        {
            self.time = self.time.saturating_sub(duration);
            self.is_start = true;
        }
    }
}
