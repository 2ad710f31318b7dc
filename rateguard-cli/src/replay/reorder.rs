//! Sorts the requests of a log by time, within a bounded time and a bounded number of requests.
//!
//! A server writes a line at the end of a request, so a line with an earlier time can follow one with a later time. A
//! request waits in a heap until the log is the reorder window ahead of it. A line that is later than that counts at
//! the time that the replay has already reached.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::record::LogRecord;

/// The maximum number of requests in the heap. If there are more, the earliest one leaves it.
const MAX_WAITING: usize = 1_000_000;

pub(crate) struct Reorder {
    window: u64,
    /// The time, the number of the line, and the index of the record. Lines with one time keep their order.
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    records: Vec<LogRecord>,
    free: Vec<usize>,
    next_number: u64,
    /// The latest time of all lines, without `jump`.
    latest: u64,
    /// The time of a line that is more than the window after `latest`. It becomes `latest` if the next line has a
    /// similar time, so that one line with a wrong time does not end the sorting.
    jump: Option<u64>,
    /// The time of the last record that left the heap.
    reached: u64,
    pub(crate) out_of_order: u64,
    /// The number of out-of-order requests that count at a later time than their own.
    pub(crate) late: u64,
}

impl Reorder {
    /// Creates an empty heap. `window` is in microseconds, and 0 leaves all lines in their order.
    pub(crate) fn new(window: u64) -> Self {
        Self {
            window,
            heap: BinaryHeap::new(),
            records: Vec::new(),
            free: Vec::new(),
            next_number: 0,
            latest: 0,
            jump: None,
            reached: 0,
            out_of_order: 0,
            late: 0,
        }
    }

    /// Returns the latest time of all lines, in microseconds since 1970.
    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// Returns a record without values, for the next line.
    pub(crate) fn take_record(&mut self) -> (usize, &mut LogRecord) {
        let index = self.free.pop().unwrap_or(self.records.len());
        if index == self.records.len() {
            self.records.push(LogRecord::default());
        }
        let record = &mut self.records[index];
        record.clear();
        (index, record)
    }

    /// Gives back a record whose line is not a request.
    pub(crate) fn release(&mut self, index: usize) {
        self.free.push(index);
    }

    /// Adds the record of a line, and passes the records to `replay` for which no earlier line can follow.
    pub(crate) fn push(&mut self, index: usize, replay: &mut impl FnMut(&LogRecord)) {
        let time = self.records[index].time;
        self.add_time(time);
        if self.window == 0 {
            self.pass(index, replay);
            return;
        }
        self.heap.push(Reverse((time, self.next_number, index)));
        self.next_number += 1;
        let ready = self.latest.saturating_sub(self.window);
        while let Some(Reverse((time, _, index))) = self.heap.peek().copied()
            && (time < ready || self.heap.len() > MAX_WAITING)
        {
            self.heap.pop();
            self.pass(index, replay);
        }
    }

    fn is_jump(&self, time: u64) -> bool {
        time > self.latest.saturating_add(self.window)
    }

    fn add_time(&mut self, time: u64) {
        let jump = self.jump.take().filter(|_| self.is_jump(time));
        if let Some(jump) = jump.filter(|it| time.saturating_add(self.window) >= *it) {
            self.latest = jump;
        }
        if self.is_jump(time) && self.window > 0 {
            self.jump = Some(time);
            return;
        }
        if time < self.latest {
            self.out_of_order += 1;
        }
        self.latest = self.latest.max(time);
    }

    /// Passes all records to `replay`, at the end of the last file.
    pub(crate) fn finish(&mut self, replay: &mut impl FnMut(&LogRecord)) {
        while let Some(Reverse((_, _, index))) = self.heap.pop() {
            self.pass(index, replay);
        }
    }

    fn pass(&mut self, index: usize, replay: &mut impl FnMut(&LogRecord)) {
        let record = &mut self.records[index];
        if record.time < self.reached {
            self.late += 1;
            record.time = self.reached;
        }
        self.reached = record.time;
        replay(record);
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replayed(window: u64, times: &[u64]) -> (Vec<u64>, u64, u64) {
        let (mut reorder, mut replayed) = (Reorder::new(window), Vec::new());
        let mut replay = |record: &LogRecord| replayed.push(record.time);
        for time in times {
            let (index, record) = reorder.take_record();
            record.time = *time;
            reorder.push(index, &mut replay);
        }
        reorder.finish(&mut replay);
        (replayed, reorder.out_of_order, reorder.late)
    }

    #[test]
    fn lines_are_sorted_within_the_window() {
        assert_eq!(replayed(10, &[5, 3, 9, 4, 20]), (vec![3, 4, 5, 9, 20], 2, 0));
        assert_eq!(replayed(10, &[1, 2, 3]), (vec![1, 2, 3], 0, 0));
        assert_eq!(replayed(0, &[1, 1, 3]), (vec![1, 1, 3], 0, 0));
    }

    #[test]
    fn later_line_counts_at_the_reached_time() {
        assert_eq!(replayed(10, &[5, 30, 31, 2, 32]), (vec![5, 5, 30, 31, 32], 1, 1));
        assert_eq!(replayed(0, &[5, 3, 9]), (vec![5, 5, 9], 1, 1));
    }

    #[test]
    fn wrong_time_in_the_future_does_not_delay_other_requests() {
        let times = [5, 9_000_000, 6, 7, 8, 40, 41];
        assert_eq!(replayed(10, &times), (vec![5, 6, 7, 8, 40, 41, 9_000_000], 0, 0));
        let times = [105, 9_000_000, 107, 106, 140, 150, 145];
        assert_eq!(replayed(10, &times), (vec![105, 106, 107, 140, 145, 150, 9_000_000], 2, 0));
        assert_eq!(
            replayed(10, &[9_000_000, 107, 106, 108]),
            (vec![106, 107, 108, 9_000_000], 1, 0)
        );
    }

    #[test]
    fn records_are_reused() {
        let mut reorder = Reorder::new(10);
        for time in 0..1_000 {
            let (index, record) = reorder.take_record();
            record.time = time;
            reorder.push(index, &mut |_| ());
        }
        assert!(reorder.records.len() <= 12, "{}", reorder.records.len());
    }
}
