//! What a call of the script says.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{Ask, Name, Names, Operation, Terms};

/// Those who give up within so many microseconds of each other are told that they are late by the first of them.
const ABOUT_THE_SAME: i64 = 10_000;

/// One call of the script, for one or several who ask.
pub(in crate::store) struct Call<'a> {
    /// Of the first who asks; those of the others follow.
    pub(super) name: Name,
    pub(super) groups: SmallVec<[Group<'a>; 1]>,
}

/// Sets for which the same is asked, by callers who give up at about the same time.
pub(super) struct Group<'a> {
    pub(super) like: &'a Ask,
    /// On the server's clock, when the first of them, and the most impatient of them, wait for the reply no more; 0 if that
    /// is not known.
    first: i64,
    latest: i64,
    pub(super) sets: SmallVec<[Set<'a>; 1]>,
}

/// The buckets of one caller, or of several who ask for the same one.
pub(super) struct Set<'a> {
    pub(super) ask: &'a Ask,
    /// Their places among those who ask, in the order in which they came.
    pub(super) askers: SmallVec<[usize; 1]>,
}

/// How the reply is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Told {
    /// As eight bytes for each number, which are read in no time.
    #[cfg(feature = "redis")]
    Bytes,
    /// As numbers, where bytes would not come through.
    #[cfg(feature = "upstash")]
    Numbers,
}

/// An argument of the command.
#[derive(Clone, Copy)]
pub(in crate::store) enum Argument<'a> {
    Text(&'a str),
    Number(i64),
}

impl<'a> Call<'a> {
    /// A call for these, each with when it gives up, on the server's clock. Who asks for a bucket that somebody else of the
    /// call asks for differently is not in it: no key is in a call twice.
    pub(in crate::store) fn new(names: &Names, asks: &[(&'a Ask, i64)]) -> Self {
        let (mut groups, mut places) = (SmallVec::new(), HashMap::with_capacity(asks.len()));
        for (asker, (ask, latest)) in asks.iter().enumerate() {
            add(&mut groups, &mut places, (asker, ask, *latest));
        }
        let sets = groups.iter().flat_map(|group: &Group<'_>| &group.sets);
        let askers = sets.map(|set| set.askers.len()).sum();
        Self { name: names.take(askers), groups }
    }

    /// Whether it is for more than one set.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn is_shared(&self) -> bool {
        self.groups.iter().map(|group| group.sets.len()).sum::<usize>() > 1
    }

    /// The places of those whom this is a call for.
    #[cfg(feature = "redis")]
    pub(in crate::store) fn askers(&self) -> impl Iterator<Item = usize> {
        let sets = self.groups.iter().flat_map(|group| &group.sets);
        sets.flat_map(|set| set.askers.iter().copied())
    }

    /// Says what follows the script in `EVALSHA` and `EVAL`, in its order.
    pub(in crate::store) fn write(&self, told: Told, mut argument: impl FnMut(Argument<'_>)) {
        let sets = || self.groups.iter().flat_map(|group| &group.sets);
        let keys: usize = sets().map(|set| set.ask.parts.len()).sum();
        argument(Argument::Number(keys as i64));
        sets().flat_map(|set| &set.ask.parts).for_each(|part| argument(Argument::Text(&part.key)));
        argument(Argument::Text(&format!("{:016x}", self.name.process)));
        argument(Argument::Number(self.name.number as i64));
        argument(Argument::Text(told.word()));
        self.groups.iter().for_each(|group| group.write(&mut argument));
    }
}

/// Adds who asks for this, unless one of the keys is taken; `places` has the group and the set of each key.
fn add<'a>(
    groups: &mut SmallVec<[Group<'a>; 1]>,
    places: &mut HashMap<&'a str, (usize, usize)>,
    (asker, ask, latest): (usize, &'a Ask, i64),
) {
    let place = groups.iter().position(|group| group.takes(ask, latest)).unwrap_or(groups.len());
    let keys = || ask.parts.iter().map(|part| &*part.key);
    if let Some((of, set)) = keys().find_map(|key| places.get(key)) {
        if *of == place && ask.can_be_shared() {
            groups[*of].sets[*set].askers.push(asker);
        }
        return;
    }
    if place == groups.len() {
        groups.push(Group { like: ask, first: latest, latest, sets: SmallVec::new() });
    }
    let group = &mut groups[place];
    group.latest = group.latest.min(latest);
    places.extend(keys().map(|key| (key, (place, group.sets.len()))));
    group.sets.push(Set { ask, askers: SmallVec::from_elem(asker, 1) });
}

impl Group<'_> {
    fn takes(&self, ask: &Ask, latest: i64) -> bool {
        self.first.abs_diff(latest) < ABOUT_THE_SAME.unsigned_abs() && self.like.is_like(ask)
    }

    fn write(&self, argument: &mut impl FnMut(Argument<'_>)) {
        argument(Argument::Text(word(self.like.operation)));
        argument(Argument::Number(self.latest));
        argument(Argument::Number(self.like.parts.len() as i64));
        argument(Argument::Number(self.sets.len() as i64));
        self.like.parts.iter().for_each(|part| part.terms.write(argument));
        let is_any_shared = self.sets.iter().any(|set| set.askers.len() > 1);
        let asking = |set: &Set<'_>| format!("{},", set.askers.len());
        let asking: String = self.sets.iter().filter(|_| is_any_shared).map(asking).collect();
        argument(Argument::Text(&asking));
        if self.like.operation == Operation::Refund {
            for part in self.sets.iter().flat_map(|set| &set.ask.parts) {
                let [process, number, at] = part.receipt.words();
                argument(Argument::Text(&format!("{process:016x}-{number}")));
                argument(Argument::Number(at as i64));
            }
        }
    }
}

impl Told {
    fn word(self) -> &'static str {
        match self {
            #[cfg(feature = "redis")]
            Self::Bytes => "bytes",
            #[cfg(feature = "upstash")]
            Self::Numbers => "numbers",
        }
    }
}

impl Terms {
    fn write(&self, argument: &mut impl FnMut(Argument<'_>)) {
        let (units, refill) = self.quota.token();
        let cost = i64::from(self.cost);
        argument(Argument::Text(self.algorithm));
        // All that is counted is below 2^53.
        argument(Argument::Number(self.quota.window().as_micros() as i64));
        argument(Argument::Number(self.quota.capacity().into()));
        argument(Argument::Number(units as i64));
        argument(Argument::Number(refill as i64));
        argument(Argument::Number(if self.is_gate { -cost } else { cost }));
    }
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Check => "check",
        Operation::Peek => "peek",
        Operation::Charge => "charge",
        Operation::Refund => "refund",
        Operation::Reset => "reset",
    }
}
