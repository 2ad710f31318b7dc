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
            name.number += 1;
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
        let receipt = Receipt::new([name.process, name.number, at]);
        for (place, asker) in self.askers.iter().enumerate() {
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
        let remaining = remaining + later * i64::from(self.cost);
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
