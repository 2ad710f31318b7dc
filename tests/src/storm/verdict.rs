//! Whether all that the servers have written down can be true.

use std::{collections::BTreeMap, fmt, time::Duration};

use rateguard::{Algorithm, Quota, store::Operation};

use super::{
    admissions::excess,
    bans::{admission_during_ban, ban_without_offences},
    buckets::{Story, stories},
    clock::{Setting, correct},
    denials::Most,
    excuses::Excuses,
    history::{Asked, Bucket, Decided, Part, Request},
    limits::{LIMITS, quota},
    local::beyond_the_share,
    outages::{FaultPeriod, Outages},
    remembered::Memory,
    requests::{checks, is_remembered, is_undecided, violation},
};

/// What one server has written down.
#[derive(Debug, Default)]
pub struct History {
    /// What happens to its requests without an answer.
    pub mode: &'static str,
    /// Whether its connection to Redis is proxied.
    pub is_proxied: bool,
    /// When its connection to Redis stalled because the machine had no processor for it, by time.
    pub stalls: Vec<(u64, u64)>,
    /// What it asked its store.
    pub asked: Vec<Asked>,
    /// What became of its requests.
    pub requests: Vec<Request>,
}

/// What cannot be, or must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// More was admitted than the limit.
    OverAdmission,
    /// What was denied certainly had room.
    FalseDenial,
    /// What became of a request does not follow from what the store said.
    Request,
    /// In memory more was admitted than the share.
    Local,
    /// A request passed or was rejected undecided though Redis was there.
    Undecided,
    /// A key was admitted during a ban, or banned without a reason.
    Ban,
}

impl Violation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::OverAdmission,
        Self::FalseDenial,
        Self::Request,
        Self::Local,
        Self::Undecided,
        Self::Ban,
    ];
}

/// What happened to the store that servers cannot know.
#[derive(Clone, Debug, Default)]
pub struct Happened {
    /// When it lost everything.
    pub losses: Vec<u64>,
    /// When its clock was set.
    pub settings: Vec<Setting>,
    /// All faults, also those of which servers know.
    pub faults: Vec<FaultPeriod>,
}

impl Happened {
    /// After each of these as much is admitted as if nothing had been before: data was lost, or the clock set forward.
    fn beginnings(&self) -> Vec<u64> {
        let mut beginnings = self.losses.clone();
        beginnings.extend(self.set(|before, after| before < after));
        beginnings.sort_unstable();
        beginnings
    }

    /// When the clock was set back.
    pub(super) fn set_back(&self) -> Vec<u64> {
        self.set(|before, after| before > after)
    }

    /// When the clock was set from what it was ahead before to what it is after.
    fn set(&self, is_wanted: impl Fn(i64, i64) -> bool) -> Vec<u64> {
        let mut before = 0;
        let mut wanted = Vec::new();
        for Setting { at, ahead } in &self.settings {
            if is_wanted(before, *ahead) {
                wanted.push(*at);
            }
            before = *ahead;
        }
        wanted
    }
}

/// How much was looked at, and what was found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What was found, of each kind the first ones.
    pub found: BTreeMap<Violation, Vec<String>>,
    /// Requests.
    pub requests: usize,
    /// Checks that the store admitted, denied, and left unanswered; and what was given back.
    pub admitted: usize,
    /// Denied.
    pub denied: usize,
    /// Unanswered.
    pub unanswered: usize,
    /// Given back.
    pub given_back: usize,
    /// How long those took that had no answer, in microseconds, from the shortest on.
    pub waits: Vec<u64>,
    /// Requests that passed undecided, were refused so, were decided on in memory, or denied as was remembered.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// Units of logs that were admitted beyond the limit since data was lost, and the most of one key and loss.
    pub by_losses: (u64, u64),
    /// Denials of which something without an answer may have been the reason.
    pub undecidable: usize,
}

impl Verdict {
    fn find_all(&mut self, violation: Violation, all: Vec<String>) {
        all.into_iter().for_each(|what| self.find(violation, what));
    }

    fn find(&mut self, violation: Violation, what: impl fmt::Display) {
        self.found.entry(violation).or_default().push(what.to_string());
    }
}

/// Judges the histories of all servers that share a store, which was asked with this deadline.
#[must_use]
pub fn judge(histories: Vec<History>, deadline: Duration, happened: &Happened) -> Verdict {
    let mut verdict = Verdict::default();
    for history in &histories {
        judge_requests(history, happened, &mut verdict);
    }
    let banned = ban_without_offences(&histories, happened);
    verdict.find_all(Violation::Ban, banned);
    let mut asked: Vec<Vec<Asked>> = histories.into_iter().map(|history| history.asked).collect();
    for asked in asked.iter_mut().flatten() {
        correct(asked, &happened.settings);
    }
    verdict.find_all(Violation::Ban, admission_during_ban(&asked, happened));
    let stories = stories(&asked, deadline);
    for (bucket, story) in &stories {
        judge_admissions(*bucket, story, happened, &mut verdict);
    }
    judge_denials(&asked, &stories, happened, &mut verdict);
    let operation = |wanted| asked.iter().flatten().filter(move |it| it.operation == wanted);
    let said = |is_allowed| {
        let is_so = move |it: &&Asked| it.said.map(|said| said.is_allowed) == is_allowed;
        operation(Operation::Check).filter(is_so).count()
    };
    (verdict.admitted, verdict.denied) = (said(Some(true)), said(Some(false)));
    verdict.unanswered = said(None);
    let unanswered = operation(Operation::Check).filter(|asked| asked.said.is_none());
    verdict.waits = unanswered.map(|asked| asked.ended.saturating_sub(asked.began)).collect();
    verdict.waits.sort_unstable();
    verdict.given_back = operation(Operation::Refund).filter(|it| it.said.is_some()).count();
    verdict
}

fn judge_requests(history: &History, happened: &Happened, verdict: &mut Verdict) {
    let outages = Outages::of(history, happened);
    let checks = checks(&history.asked);
    let memory = Memory::of(&history.asked, &history.requests);
    for request in &history.requests {
        let none = Vec::new();
        let checks = checks.get(&request.number).unwrap_or(&none);
        if let Some(found) = violation(history.mode, request, checks, &memory) {
            let what = format!("{found} ({}): {request:?} {checks:?}", history.mode);
            verdict.find(Violation::Request, what);
        }
        if is_undecided(request) && !outages.overlap(request.came, request.went) {
            let what = format!("({}) {request:?} {checks:?}", history.mode);
            verdict.find(Violation::Undecided, what);
        }
        let outcome = match (request.decided, request.status) {
            (Decided::Locally, _) => Some("decided in memory"),
            (_, 503) => Some("refused, undecided"),
            (Decided::Nobody, _) => Some("passed, undecided"),
            (Decided::Together, _) => {
                is_remembered(request, checks).then_some("denied, remembered")
            }
        };
        if let Some(outcome) = outcome {
            *verdict.outcomes.entry(outcome).or_default() += 1;
        }
    }
    verdict.requests += history.requests.len();
    for request in beyond_the_share(history) {
        verdict.find(Violation::Local, format!("({}) {request:?}", history.mode));
    }
}

fn judge_admissions(bucket: Bucket, story: &Story, happened: &Happened, verdict: &mut Verdict) {
    let Some(quota) = quota(bucket.policy, bucket.place) else { return };
    if is_told_by_a_clock(quota, happened) {
        return;
    }
    let (name, _) = LIMITS[bucket.policy];
    // What is taken before does not count after it.
    let beginnings = happened.beginnings();
    let epoch = |at: u64| beginnings.partition_point(|beginning| *beginning <= at);
    let epochs: Vec<_> =
        story.takings.chunk_by(|one, other| epoch(one.at) == epoch(other.at)).collect();
    for takings in &epochs {
        let excess = excess(quota, takings);
        if excess.units > 0 {
            verdict.find(
                Violation::OverAdmission,
                format!("{name}, {quota}: {excess:?} of {bucket:?}"),
            );
        }
    }
    if quota.algorithm() != Algorithm::SlidingWindow {
        return;
    }
    // As none of them is more than a limit, it is no more than one more limit.
    for (one, other) in epochs.iter().zip(epochs.iter().skip(1)) {
        let units = excess(quota, &[*one, *other].concat()).units;
        verdict.by_losses.0 += units;
        verdict.by_losses.1 = verdict.by_losses.1.max(units);
    }
}

fn judge_denials(
    asked: &[Vec<Asked>],
    stories: &BTreeMap<Bucket, Story>,
    happened: &Happened,
    verdict: &mut Verdict,
) {
    let certain = |(bucket, story): (&Bucket, &Story)| {
        (*bucket, Story { takings: story.takings.clone(), maybes: Vec::new() })
    };
    let certain: BTreeMap<Bucket, Story> = stories.iter().map(certain).collect();
    let excuses = Excuses::of(asked, happened);
    let losses = &happened.losses;
    let (most, least) = (mosts(stories, losses, &excuses), mosts(&certain, losses, &excuses));
    for asked in asked.iter().flatten().filter(|asked| asked.operation == Operation::Check) {
        let Some(said) = asked.said.filter(|said| !said.is_allowed) else { continue };
        let used = |mosts: &BTreeMap<Bucket, Most<'_>>| -> Vec<u64> {
            let used = |part: &Part| mosts.get(&part.bucket).map_or(0, |most| most.at(said.at));
            asked.parts.iter().map(used).collect()
        };
        let has_room = |used: &[u64]| {
            asked.parts.iter().zip(used).all(|(part, used)| {
                let quota = quota(part.bucket.policy, part.bucket.place);
                used + u64::from(part.cost) <= quota.map_or(0, |quota| quota.capacity().into())
            })
        };
        let is_excused = asked.parts.iter().any(|part| excuses.excuse(part.bucket, said.at));
        // The quotas of a banned key may have room.
        if is_excused || said.banned_for > 0 {
            continue;
        }
        let used_at_most = used(&most);
        if has_room(&used_at_most) {
            let (name, _) = LIMITS[asked.parts[0].bucket.policy];
            let what = format!("{name}, of which at most {used_at_most:?} are used: {asked:?}");
            verdict.find(Violation::FalseDenial, what);
        } else if has_room(&used(&least)) {
            verdict.undecidable += 1;
        }
    }
}

/// Whether the windows of a quota are those of a clock that was set.
pub(super) fn is_told_by_a_clock(quota: Quota, happened: &Happened) -> bool {
    quota.algorithm() == Algorithm::SlidingWindowCounter && !happened.settings.is_empty()
}

fn mosts<'a>(
    stories: &'a BTreeMap<Bucket, Story>,
    losses: &'a [u64],
    excuses: &Excuses<'_>,
) -> BTreeMap<Bucket, Most<'a>> {
    let most = |(bucket, story): (&Bucket, &'a Story)| {
        let quota = quota(bucket.policy, bucket.place)?;
        Some((*bucket, Most::of(quota, story, losses, excuses.looks(*bucket))))
    };
    stories.iter().filter_map(most).collect()
}
