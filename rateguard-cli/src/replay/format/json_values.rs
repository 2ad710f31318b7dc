//! Collects the values of a JSON line, and converts them to a record.

use std::ops::Range;

use super::{
    LineError,
    address::set_client,
    json_names::Slot,
    json_tree::Target,
    request_line::{set_path, set_request_line},
    timestamp::{parse_duration, parse_time},
};
use crate::replay::record::{LogRecord, TextField};

/// The values that were found in a line, with the rank of their names.
#[derive(Default)]
pub(super) struct Values {
    found: Vec<(Slot, u16, Range<usize>)>,
    text: Vec<u8>,
}

impl Values {
    pub(super) fn clear(&mut self) {
        self.found.clear();
        self.text.clear();
    }

    /// Stores a value, unless a name with a lower rank was found before. A value that is not usable is not stored, so
    /// that it hides no other field.
    pub(super) fn set(&mut self, (slot, rank): Target, write: impl FnOnce(&mut Vec<u8>)) {
        let is_same = |it: Slot| match (it, slot) {
            (Slot::Time { is_start: one }, Slot::Time { is_start: other }) => one == other,
            (Slot::Duration(_), Slot::Duration(_)) => true,
            (one, other) => one == other,
        };
        let existing = self.found.iter_mut().find(|(slot, ..)| is_same(*slot));
        if existing.as_ref().is_some_and(|(_, existing, _)| *existing < rank) {
            return;
        }
        let start = self.text.len();
        write(&mut self.text);
        if !is_usable(slot, self.text.get(start..).unwrap_or_default()) {
            self.text.truncate(start);
            return;
        }
        let value = (slot, rank, start..self.text.len());
        match existing {
            Some(existing) => *existing = value,
            None => self.found.push(value),
        }
    }

    fn get(&self, range: &Range<usize>) -> &[u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    fn find(&self, is_slot: impl Fn(Slot) -> bool) -> Option<(Slot, &[u8])> {
        let (slot, _, range) = self.found.iter().find(|(slot, ..)| is_slot(*slot))?;
        Some((*slot, self.get(range)))
    }

    /// Writes the values to the record of the line. `counts_at_start` tells which time counts if the line has both.
    ///
    /// # Errors
    ///
    /// [`LineError`] if there is no time, or the client is invalid.
    pub(super) fn write_to(
        &self,
        record: &mut LogRecord,
        counts_at_start: bool,
    ) -> Result<(), LineError> {
        let time = [counts_at_start, !counts_at_start].into_iter().find_map(|start| {
            let (_, text) = self.find(|slot| slot == Slot::Time { is_start: start })?;
            Some((parse_time(text)?, start))
        });
        (record.time, record.is_start) = time.ok_or(LineError::JsonTime)?;
        if let Some((_, line)) = self.find(|slot| slot == Slot::RequestLine) {
            set_request_line(record, line);
        }
        for (slot, _, range) in &self.found {
            let text = self.get(range);
            match *slot {
                Slot::Time { .. } | Slot::RequestLine => {}
                Slot::Ip => set_client(record, text).map_err(|_| LineError::JsonClient)?,
                Slot::User => record.set_text(TextField::User, text),
                Slot::Method => record.set_text(TextField::Method, text),
                Slot::Path => set_path(record, text),
                Slot::Status => {
                    let status = str::from_utf8(text).ok().and_then(|it| it.trim().parse().ok());
                    record.status = status.filter(|it| (100..1000).contains(it));
                }
                Slot::Duration(unit) => record.duration = parse_duration(text, unit),
                Slot::Extra(index) => record.set_text(TextField::Extra(index), text),
            }
        }
        Ok(())
    }
}

fn is_usable(slot: Slot, text: &[u8]) -> bool {
    match slot {
        // Some servers write a duration in the field `time`, which is no time.
        Slot::Time { .. } => parse_time(text).is_some(),
        _ => !matches!(text, b"" | b"-"),
    }
}
