//! What a reply of the script means.

use std::time::Duration;

use super::{
    Ask, Name, Operation, Receipt, Terms,
    call::{Call, Set},
};
use crate::store::{Level, Verdict};

/// What the reply is to one of those who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Outcome {
    Decided(Verdict),
    /// It was too late to do anything.
    Late,
    /// The call was not for it, or ended before.
    Open,
}

/// What the script replied.
pub(in crate::store) struct Reply {
    /// When, by the server's clock.
    pub(in crate::store) now: i64,
    /// For each who asked, in their order.
    pub(in crate::store) outcomes: Vec<Outcome>,
}

impl Call<'_> {
    /// The reply to so many who asked, unless it is none of the script's. It takes nothing for granted that a proxy may have
    /// made of it.
    pub(in crate::store) fn read(&self, asked: usize, reply: &[i64]) -> Option<Reply> {
        let (now, mut rest) = reply.split_first()?;
        let at = u64::try_from(*now).ok()?;
        let mut outcomes = vec![Outcome::Open; asked];
        let mut name = self.name;
        let sets = self.groups.iter().flat_map(|group| &group.sets);
        for (place, set) in sets.enumerate() {
            let Some((admitted, after)) = rest.split_first() else {
                // What fails is told, if it is the first.
                return (place > 0).then_some(Reply { now: *now, outcomes });
            };
            rest = after;
            if *admitted == -1 {
                set.askers.iter().for_each(|asker| outcomes[*asker] = Outcome::Late);
            } else {
                let (levels, after) = rest.split_at_checked(3 * set.ask.parts.len())?;
                rest = after;
                let admitted = usize::try_from(*admitted).ok()?;
                set.read(admitted, levels, name, at, &mut outcomes)?;
            }
            name.number += set.askers.len() as u64;
        }
        rest.is_empty().then_some(Reply { now: *now, outcomes })
    }
}

impl Set<'_> {
    fn read(
        &self,
        admitted: usize,
        levels: &[i64],
        name: Name,
        at: u64,
        outcomes: &mut [Outcome],
    ) -> Option<()> {
        if admitted > self.askers.len() {
            return None;
        }
        let (levels, []) = levels.as_chunks::<3>() else { return None };
        for (place, asker) in self.askers.iter().enumerate() {
            let receipt = Receipt::new([name.process, name.number + place as u64, at]);
            let is_admitted = place < admitted;
            // Of those who shared it, each was there before those who were admitted after it.
            let later = admitted.saturating_sub(place + 1) as i64;
            let read = |(level, part): (&[i64; 3], &super::Part)| {
                Some((part.terms.level(*level, later)?, receipt))
            };
            let levels: Vec<_> =
                levels.iter().zip(&self.ask.parts).map(read).collect::<Option<_>>()?;
            if !self.ask.is_sound(is_admitted, &levels) {
                return None;
            }
            outcomes[*asker] = Outcome::Decided(Verdict::new(is_admitted, levels));
        }
        Some(())
    }
}

impl Terms {
    /// How the bucket stood before so many others took their cost of it.
    fn level(&self, reply: [i64; 3], later: i64) -> Option<Level> {
        let [remaining, reset, retry] = reply;
        let remaining = remaining.checked_add(later * i64::from(self.cost))?;
        Some(Level {
            remaining: u32::try_from(remaining).ok().filter(|it| *it <= self.quota.capacity())?,
            reset_after: micros(reset)?,
            retry_after: match retry {
                // There was room for those who came then.
                _ if later > 0 => Some(Duration::ZERO),
                -1 => None,
                wait => Some(micros(wait)?),
            },
        })
    }
}

impl Ask {
    fn is_sound(&self, is_admitted: bool, levels: &[(Level, Receipt)]) -> bool {
        let has_room = |(level, _): &(Level, Receipt)| level.retry_after == Some(Duration::ZERO);
        match self.operation {
            // What was just taken may leave no room for as much once more.
            Operation::Check if is_admitted => {
                levels.iter().all(|(level, _)| level.retry_after.is_some())
            }
            Operation::Check | Operation::Peek => is_admitted == levels.iter().all(has_room),
            Operation::Charge | Operation::Refund | Operation::Reset => is_admitted,
        }
    }
}

fn micros(number: i64) -> Option<Duration> {
    u64::try_from(number).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Key, Quota,
        store::{Bucket, Charge, RedisLog, script::Names},
    };

    const MINUTE: i64 = 60_000_000;

    fn ask(operation: Operation, quotas: &[&str], key: u32, cost: u32) -> Ask {
        let key = Key::from(key);
        let quotas: Vec<Quota> = quotas.iter().map(|quota| quota.parse().unwrap()).collect();
        let charge = |(place, quota): (usize, &Quota)| {
            Charge::new(Bucket::new("p", place, &key), *quota, cost)
        };
        let charges: Vec<_> = quotas.iter().enumerate().map(charge).collect();
        Ask::new("test", RedisLog::Packed, operation, &charges)
    }

    fn read(asks: &[&Ask], reply: &[i64]) -> Option<Vec<Outcome>> {
        let asks: Vec<_> = asks.iter().map(|ask| (*ask, 0)).collect();
        let call = Call::new(&Names::new(), &asks);
        Some(call.read(asks.len(), reply)?.outcomes)
    }

    fn decided(outcome: &Outcome) -> (bool, Vec<Level>) {
        let Outcome::Decided(verdict) = outcome else { panic!("{outcome:?}") };
        (verdict.is_allowed(), verdict.levels().collect())
    }

    #[test]
    fn only_a_decision_is_taken_for_one() {
        let of = |operation| ask(operation, &["5/minute"], 1, 1);
        let check = of(Operation::Check);
        for reply in [
            [9, 1, 4, MINUTE, 0],
            [9, 1, 0, MINUTE, MINUTE],
            [9, 0, 0, MINUTE, MINUTE],
            [9, 0, 3, 1, -1],
        ] {
            let outcomes = read(&[&check], &reply).expect("a decision");
            assert_eq!(decided(&outcomes[0]).0, reply[1] == 1, "{reply:?}");
        }
        assert_eq!(read(&[&check], &[9, -1]), Some(vec![Outcome::Late]));
        for reply in [
            &[9, 1, 6, MINUTE, 0][..],
            &[9, 1, -1, MINUTE, 0],
            &[9, 1, 4, MINUTE, -1],
            &[9, 1, 4, -2, 0],
            &[9, 0, 4, MINUTE, 0],
            &[9, 2, 4, MINUTE, 0],
            &[9, -2, 4, MINUTE, 0],
            &[-9, 1, 4, MINUTE, 0],
            &[9, 1, 4, MINUTE],
            &[9, 1, 4, MINUTE, 0, 0],
            &[9, 1],
            &[9],
            &[],
        ] {
            assert_eq!(read(&[&check], reply), None, "{reply:?}");
        }
        assert_eq!(read(&[&of(Operation::Peek)], &[9, 1, 0, MINUTE, MINUTE]), None);
        assert_eq!(read(&[&of(Operation::Refund)], &[9, 0, 0, MINUTE, MINUTE]), None);
        assert!(read(&[&of(Operation::Refund)], &[9, 1, 0, MINUTE, MINUTE]).is_some());
        let two = ask(Operation::Check, &["5/minute", "9/hour"], 1, 1);
        assert_eq!(read(&[&two], &[9, 1, 4, MINUTE, 0]), None);
        assert!(read(&[&two], &[9, 1, 4, MINUTE, 0, 8, MINUTE, 0]).is_some());
    }

    #[test]
    fn who_asks_for_one_bucket_is_told_how_it_stood_then() {
        let [one, two, three] = [(); 3].map(|()| ask(Operation::Check, &["5/minute"], 1, 2));
        // Two of three were admitted.
        let outcomes = read(&[&one, &two, &three], &[9, 2, 1, MINUTE, MINUTE]).unwrap();
        let level = |remaining, retry: i64| Level {
            remaining,
            reset_after: micros(MINUTE).unwrap(),
            retry_after: micros(retry),
        };
        assert_eq!(decided(&outcomes[0]), (true, vec![level(3, 0)]));
        assert_eq!(decided(&outcomes[1]), (true, vec![level(1, MINUTE)]));
        assert_eq!(decided(&outcomes[2]), (false, vec![level(1, MINUTE)]));
        // More than asked, or more than the quota has.
        assert_eq!(read(&[&one, &two, &three], &[9, 4, 1, MINUTE, MINUTE]), None);
        assert_eq!(read(&[&one, &two, &three], &[9, 3, 2, MINUTE, 0]), None);
    }

    #[test]
    fn a_reply_that_ends_leaves_the_others_open() {
        let asks = [1, 2, 3].map(|key| ask(Operation::Check, &["5/minute"], key, 1));
        let asks: Vec<_> = asks.iter().collect();
        let outcomes = read(&asks, &[9, 1, 4, MINUTE, 0]).unwrap();
        assert!(decided(&outcomes[0]).0);
        assert_eq!(outcomes[1..], [Outcome::Open, Outcome::Open]);
    }

    #[test]
    fn who_asks_for_the_same_bucket_otherwise_is_left_to_the_next_call() {
        let check = ask(Operation::Check, &["5/minute"], 1, 1);
        let refund = ask(Operation::Refund, &["5/minute"], 1, 1);
        let both = ask(Operation::Check, &["5/minute", "9/hour"], 1, 1);
        let counter = ask(Operation::Check, &["5/minute sliding_window_counter"], 2, 1);
        let asks = [&check, &refund, &both, &counter, &counter];
        let outcomes = read(&asks, &[9, 1, 4, MINUTE, 0, 1, 4, MINUTE, 0]).unwrap();
        let is_open: Vec<_> = outcomes.iter().map(|it| *it == Outcome::Open).collect();
        assert_eq!(is_open, [false, true, true, false, true]);
    }

    #[test]
    fn who_gives_up_at_another_time_is_told_apart() {
        let asks = [1, 2, 3].map(|key| ask(Operation::Check, &["5/minute"], key, 1));
        let at = [50_000, 59_000, 61_000];
        let asks: Vec<_> = asks.iter().zip(at).collect();
        let call = Call::new(&Names::new(), &asks);
        let sets: Vec<_> = call.groups.iter().map(|group| group.sets.len()).collect();
        assert_eq!(sets, [2, 1]);
    }
}
