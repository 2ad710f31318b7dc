//! Tests the records of permits and leases, and the history of a server that was killed.

use actix_rateguard::store::Operation;
use rateguard_tests::storm::{
    history::{Bucket, PermitPoll, Record, StoreCall},
    limits::policy_index,
    samples::bucket_of,
    server_records::ServerRecords,
};

use super::histories::{MILLI, START, call, grant, lost, renewal, request, valid};
use crate::support::folder::Folder;

fn started(call: &StoreCall) -> Record {
    let error = "Started".to_owned();
    Record::Started(StoreCall { reply: None, error, ended: call.began, ..call.clone() })
}

#[test]
fn records_of_permits_and_leases_survive_formatting_and_parsing() {
    let operations = [Operation::Renew, Operation::Lease, Operation::Return, Operation::Refund];
    let calls = operations.map(|operation| call(operation, "hot", 3, 5 * MILLI));
    let polls = [valid(3, 0, 0)[0], lost(3, 7)].map(Record::PermitPoll);
    let records = calls.iter().map(started).chain(calls.iter().cloned().map(Record::StoreCall));
    let request = Record::Request(request("/hot", 1, 2));
    for record in records.chain(polls).chain([request]) {
        assert_eq!(record.to_string().parse(), Ok(record));
    }
    for line in ["started", "started poll 1 2 1", "poll 1 2", "poll 1 two 1"] {
        assert!(line.parse::<Record>().is_err(), "{line}");
    }
}

#[test]
fn calls_of_a_killed_server_in_progress_have_no_reply() {
    let [first, second] = [grant(1, 10 * MILLI), renewal(1, 300 * MILLI)];
    let poll = PermitPoll { request: 1, at: START, is_valid: true };
    let records = [
        started(&first),
        Record::StoreCall(first.clone()),
        Record::PermitPoll(poll),
        started(&second),
    ];
    let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
    let folder = Folder::new();
    let file = folder.file("killed", &format!("{}\ncheck 1 17", lines.join("\n")));
    let killed_at = START + 301 * MILLI;
    let read = ServerRecords::read(file.as_ref(), Some(killed_at)).unwrap();
    let error = "Killed".to_owned();
    let unfinished = StoreCall { reply: None, error, ended: killed_at, ..second };
    assert_eq!(read.calls, [first, unfinished]);
    assert_eq!((read.polls, read.requests), (vec![poll], vec![]));
    // Only a server that was killed may leave an incomplete line.
    assert!(ServerRecords::read(file.as_ref(), None).is_err());
}

#[test]
fn redis_keys_of_permits_and_leases_are_sampled() {
    let key = |name: &str| bucket_of(format!("storm:{{{:032x}}}:{name}", 7));
    let bucket =
        |policy, quota_index| Bucket { policy: policy_index(policy).unwrap(), quota_index, key: 7 };
    let found = |name: &str| key(name).map(|(_, bucket, window)| (bucket, window));
    assert_eq!(found("held{permits}"), Some((bucket("held", 0), 0)));
    assert_eq!(found("export{2}{permits}"), Some((bucket("export", 1), 0)));
    assert_eq!(found("hot"), Some((bucket("hot", 0), 1_000_000)));
    assert_eq!((found("export"), found("log"), found("other")), (None, None, None));
}
