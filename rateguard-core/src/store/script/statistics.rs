//! The shared statistics of the stores on Redis and Upstash. All keys have one hash tag, so each script runs on one
//! node of a cluster.

use std::time::Duration;

use super::{DocumentCall, ScriptStore, Transport};
use crate::store::{
    StoreError,
    statistics::{
        StatisticsCount, StatisticsFuture, StatisticsPublication, StatisticsRead, StatisticsReport,
        StatisticsStore,
    },
};

const PUBLISH: &str = include_str!("publish_statistics.lua");
const READ: &str = include_str!("read_statistics.lua");

/// The hash tag of all keys.
const HASH_TAG: &str = "statistics";

/// The length of an interval in seconds.
const INTERVAL: u64 = 20;

impl<T: Transport> StatisticsStore for ScriptStore<T> {
    fn publish<'a>(
        &'a self,
        publication: StatisticsPublication<'a>,
    ) -> StatisticsFuture<'a, Duration> {
        Box::pin(async move {
            let StatisticsPublication { process, sequence, report, counts } = publication;
            let mut keys =
                vec!["processes".to_owned(), format!("batch:{process}"), "reported".to_owned()];
            let report = report.unwrap_or_default().to_owned();
            let mut arguments = vec![process.to_owned(), sequence.to_string(), report];
            for counts in counts.chunk_by(|one, next| one.interval == next.interval) {
                let interval = counts.first().map_or(0, |count| count.interval);
                keys.push(interval.to_string());
                let ends_at = interval.saturating_add(1).saturating_mul(INTERVAL);
                arguments.extend([ends_at.to_string(), counts.len().to_string()]);
                for StatisticsCount { counter, number, .. } in counts {
                    arguments.extend([counter.clone(), number.to_string()]);
                }
            }
            let reply = self.run_statistics_call(keys, PUBLISH, arguments).await?;
            match &*reply {
                [seconds, micros] => decode_time(seconds, micros).ok_or(StoreError::InvalidReply),
                _ => Err(StoreError::InvalidReply),
            }
        })
    }

    fn read<'a>(&'a self, intervals: &'a [u64]) -> StatisticsFuture<'a, StatisticsRead> {
        Box::pin(async move {
            let mut keys = vec!["processes".to_owned()];
            keys.extend(intervals.iter().map(ToString::to_string));
            let reply = self.run_statistics_call(keys, READ, Vec::new()).await?;
            decode_read(reply, intervals.len()).ok_or(StoreError::InvalidReply)
        })
    }
}

impl<T: Transport> ScriptStore<T> {
    async fn run_statistics_call(
        &self,
        keys: Vec<String>,
        script: &'static str,
        arguments: Vec<String>,
    ) -> Result<Vec<String>, StoreError> {
        if self.is_forked() {
            return Err(StoreError::Forked);
        }
        let prefix = &self.keyspace.prefix;
        let call = DocumentCall::with_keys(prefix, HASH_TAG, keys, script, arguments);
        self.transport.run_document_call(&call).await
    }
}

fn decode_time(seconds: &str, micros: &str) -> Option<Duration> {
    Duration::from_secs(seconds.parse().ok()?)
        .checked_add(Duration::from_micros(micros.parse().ok()?))
}

fn decode_read(reply: Vec<String>, intervals: usize) -> Option<StatisticsRead> {
    let mut texts = reply.into_iter();
    let mut next = || texts.next();
    let now = decode_time(&next()?, &next()?)?;
    let revision = next()?;
    let mut read = StatisticsRead { now, revision, ..StatisticsRead::default() };
    let reports: usize = next()?.parse().ok()?;
    for _ in 0..reports {
        let (process, age, text) = (next()?, Duration::from_micros(next()?.parse().ok()?), next()?);
        read.reports.push(StatisticsReport { process, age, text });
    }
    for _ in 0..intervals {
        let number: usize = next()?.parse().ok()?;
        let mut counts = Vec::new();
        for _ in 0..number {
            let (counter, number) = (next()?, next()?);
            // A number that RateGuard has not written is ignored.
            counts.extend(number.parse().ok().map(|number| (counter, number)));
        }
        read.counts.push(counts);
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reply: &[&str], intervals: usize) -> Option<StatisticsRead> {
        decode_read(reply.iter().map(ToString::to_string).collect(), intervals)
    }

    #[test]
    fn malformed_replies_are_not_decoded() {
        let valid = ["9", "5", "3", "1", "id", "7", "text", "2", "a:p", "4", "b:p", "x", "0"];
        let decoded = read(&valid, 2).unwrap();
        assert_eq!(decoded.now, Duration::from_micros(9_000_005));
        assert_eq!((&*decoded.revision, decoded.reports[0].age.as_micros()), ("3", 7));
        assert_eq!(decoded.counts, [vec![("a:p".to_owned(), 4)], vec![]]);
        for length in 0..valid.len() {
            assert!(read(&valid[..length], 2).is_none(), "{length}");
        }
        assert!(read(&["x", "5", "3", "0"], 0).is_none());
        assert!(read(&["9", "5", "3", "-1"], 0).is_none());
        assert!(read(&["9", "5", "3", "99999999"], 0).is_none());
    }
}
