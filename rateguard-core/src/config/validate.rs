//! Whether what a file says can be put in force, all of it.

use crate::{
    Policy,
    guard::{NameRegistry, PolicySet},
    key::KeyRecipes,
};

use super::{
    document::Document, error::Diagnostic, fields::listed, guard::StartupSettings,
    mistakes::Diagnostics, suggest::suggest,
};

/// What a file is judged by.
pub(super) struct ValidationContext<'a> {
    /// What the program says, which the file goes before.
    pub(super) from_builder: &'a PolicySet,
    /// Makes keys of their notations.
    pub(super) key_recipes: KeyRecipes,
    /// What is in force, and what was read at start.
    pub(super) earlier: Option<(&'a PolicySet, &'a StartupSettings, &'a NameRegistry)>,
}

/// What would be in force, or all that is wrong.
pub(super) fn validate(
    bytes: &[u8],
    ground: &ValidationContext<'_>,
) -> Result<(PolicySet, StartupSettings), Vec<Diagnostic>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let legal = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let legal = String::from_utf8_lossy(legal);
            let mut mistakes = Diagnostics::of(&legal);
            mistakes.add(legal.len(), "here is something that is not UTF-8");
            return Err(mistakes.into_list());
        }
    };
    let mut mistakes = Diagnostics::of(text).with_key_recipes(ground.key_recipes);
    let document = Document::read(text, &mut mistakes);
    if document.is_read {
        let next = next(&document, ground);
        refuse_missing_names(&document, &next, ground, &mut mistakes);
        refuse_costs(&document, &next, &mut mistakes);
        if let Some((_, at_start, claims)) = ground.earlier {
            let place = document.place("guard");
            document.guard.refuse_changes(at_start, place, &mut mistakes);
            let is_legal = mistakes.len() == 0;
            for conflict in claims.replace_policies(next.policies(), is_legal) {
                mistakes.add(document.place_of_policy(&conflict.name), &conflict);
            }
        }
        if mistakes.len() == 0 {
            return Ok((next, document.guard.at_start));
        }
    }
    Err(mistakes.into_list())
}

/// What the program says, with what the file says in its place.
fn next(document: &Document, ground: &ValidationContext<'_>) -> PolicySet {
    let mut next = ground.from_builder.clone();
    next.access = document.access.clone();
    next.on_error = document.guard.on_error.unwrap_or(next.on_error);
    for written in &document.policies {
        next.put_policy(written.policy.clone(), written.said.clone());
    }
    for (name, plan) in &document.plans {
        next.put_plan(name.clone(), plan.clone());
    }
    if let Some((earlier, ..)) = ground.earlier {
        next.inherit_usage(earlier);
    }
    next
}

/// A name that the program uses and that is not there is a mistake.
fn refuse_missing_names(
    document: &Document,
    next: &PolicySet,
    ground: &ValidationContext<'_>,
    mistakes: &mut Diagnostics<'_>,
) {
    let (mut policies, mut plans) = (Vec::new(), Vec::new());
    for attribute in next.missing_for_attributes() {
        if policies.iter().all(|(name, _)| *name != attribute.name) {
            policies.push((attribute.name, format!("the attribute at {}", attribute.location)));
        }
    }
    if let Some((earlier, ..)) = ground.earlier {
        let (of_policies, of_plans) = next.missing_from(earlier);
        for name in of_policies {
            if policies.iter().all(|(known, _)| *known != name) {
                policies.push((name, "the program".to_owned()));
            }
        }
        plans = of_plans;
    }
    let known = next.policy_names();
    for (name, who) in policies {
        if !document.named.policies.iter().any(|it| it == name) {
            let there_are = there_are(name, &known);
            mistakes.add(
                document.place("policies"),
                format!(
                    "{who} takes the policy `{name}`, and there is none of this name; {there_are}"
                ),
            );
        }
    }
    let known = next.plan_names();
    for name in plans {
        if !document.named.plans.iter().any(|it| it == name) {
            let there_are = there_are(name, &known);
            mistakes.add(
                document.place("plans"),
                format!("the program takes the plan `{name}`, and there is none of this name; {there_are}"),
            );
        }
    }
}

fn there_are(name: &str, known: &[&str]) -> String {
    let meant = suggest(name, known.iter().copied())
        .map_or(String::new(), |meant| format!("is it `{meant}`? "));
    if known.is_empty() {
        return "there are none".to_owned();
    }
    format!("{meant}there are {}", listed(known.iter().copied()))
}

/// A cost that is never admitted is a mistake, wherever it is said.
fn refuse_costs(document: &Document, next: &PolicySet, mistakes: &mut Diagnostics<'_>) {
    for named in next.named().filter(|named| named.said.cost.is_none()) {
        let (name, most) = (named.policy.name(), named.policy.max_cost());
        let cost = next.known_cost(name);
        if cost > most {
            mistakes.add(
                document.place_of_policy(name),
                format!(
                    "`{name}` admits no more than {most} at once, and in the program each request that it limits costs {cost}; nothing would ever pass"
                ),
            );
        }
    }
}

/// Which quota leaves behind what it has counted, for the log: a quota is known by its place in the list.
pub(super) fn warn_moved_quota(earlier: &Policy, new: &Policy) -> Option<String> {
    let (old, new) = (earlier.quotas().as_slice(), new.quotas());
    let mut warn_moved_quota = new.iter().enumerate().filter_map(|(place, quota)| {
        let was_there = old.get(place).is_some_and(|it| it.window() == quota.window());
        let before = old.iter().position(|it| it.window() == quota.window());
        before.filter(|_| !was_there).map(|before| (place, quota, before))
    });
    let (place, quota, before) = warn_moved_quota.next()?;
    Some(format!(
        "`{}`: {quota} was quota {} and is now quota {}, where it does not go on with what it has counted; a new quota belongs at the end",
        earlier.name(),
        before + 1,
        place + 1
    ))
}

/// What a candidate would refill that is enforced as soon as it is there, for the log.
pub(super) fn warn_new_candidate(earlier: &Policy, new: &Policy) -> Option<String> {
    let (quotas, percent) = new.candidate_quotas().filter(|(_, percent)| *percent > 0)?;
    earlier.candidate_quotas().is_none().then(|| {
        format!(
            "`{}`: the candidate {quotas} is new and has counted nothing yet, so {percent} % of the keys have all of it left; a new candidate belongs to `rollout = 0` at first",
            new.name()
        )
    })
}
