//! Validates a policies file together with the policies and settings that the program sets.

use actix_rateguard_grammar::expected_one_of;

use crate::{
    Policy,
    guard::{NameRegistry, PolicySet},
    key::KeyRecipes,
};

use super::{
    diagnostics::Diagnostics, document::Document, error::Diagnostic, guard::StartupSettings,
};

/// The policies, settings and names against which a file is validated.
pub(super) struct ValidationContext<'a> {
    /// The policies and settings that the program sets. A file overrides them.
    pub(super) from_builder: &'a PolicySet,
    /// The function that creates a key recipe from a notation, such as `user`.
    pub(super) key_recipes: KeyRecipes,
    /// The active policies, the startup settings, and the registered names. `None` while the guard is being built.
    pub(super) active: Option<(&'a PolicySet, &'a StartupSettings, &'a NameRegistry)>,
}

/// Returns the policies and settings that result from the file, or all diagnostics.
pub(super) fn validate(
    bytes: &[u8],
    context: &ValidationContext<'_>,
) -> Result<(PolicySet, StartupSettings), Vec<Diagnostic>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let valid = String::from_utf8_lossy(valid);
            let mut diagnostics = Diagnostics::of(&valid);
            diagnostics.add(valid.len(), "expected UTF-8, found an invalid byte");
            return Err(diagnostics.into_list());
        }
    };
    let mut diagnostics = Diagnostics::of(text).with_key_recipes(context.key_recipes);
    let document = Document::read(text, &mut diagnostics);
    if document.is_toml {
        let next = merge(&document, context);
        reject_missing_names(&document, &next, context, &mut diagnostics);
        reject_excessive_costs(&document, &next, &mut diagnostics);
        if let Some((_, startup, registry)) = context.active {
            let offset = document.offset_of("guard");
            document.guard.reject_changes(startup, offset, &mut diagnostics);
            let is_valid = diagnostics.len() == 0;
            for conflict in registry.replace_policies(next.policies(), is_valid) {
                diagnostics.add(document.offset_of_policy(conflict.name()), &conflict);
            }
        }
        if diagnostics.len() == 0 {
            return Ok((next, document.guard.startup));
        }
    }
    Err(diagnostics.into_list())
}

/// Returns the policies and settings of the program and of the file. If both define a policy or a setting with the
/// same name, the definition in the file is used.
fn merge(document: &Document, context: &ValidationContext<'_>) -> PolicySet {
    let mut next = context.from_builder.clone();
    next.access = document.access.clone();
    next.on_error = document.guard.on_error.unwrap_or(next.on_error);
    for policy in &document.policies {
        next.put_policy(policy.policy.clone(), policy.overrides.clone());
    }
    for (name, plan) in &document.plans {
        next.put_plan(name.clone(), plan.clone());
    }
    if let Some((active, ..)) = context.active {
        next.inherit_usage(active);
    }
    next
}

/// Rejects a file if the program uses a policy or a plan that neither the file nor the program defines.
fn reject_missing_names(
    document: &Document,
    next: &PolicySet,
    context: &ValidationContext<'_>,
    diagnostics: &mut Diagnostics<'_>,
) {
    let (mut policies, mut plans) = (Vec::new(), Vec::new());
    for attribute in next.missing_for_attributes() {
        if policies.iter().all(|(name, _)| *name != attribute.name) {
            policies.push((attribute.name, format!("the attribute at {}", attribute.location)));
        }
    }
    if let Some((active, ..)) = context.active {
        let (missing_policies, missing_plans) = next.missing_from(active);
        for name in missing_policies {
            if policies.iter().all(|(missing, _)| *missing != name) {
                policies.push((name, "the program".to_owned()));
            }
        }
        plans = missing_plans;
    }
    let valid = next.policy_names();
    for (name, user) in policies {
        if !document.names.policies.iter().any(|it| it == name) {
            let message = missing_name("policy", name, &user, &valid);
            diagnostics.add(document.offset_of("policies"), message);
        }
    }
    let valid = next.plan_names();
    for name in plans {
        if !document.names.plans.iter().any(|it| it == name) {
            let message = missing_name("plan", name, "the program", &valid);
            diagnostics.add(document.offset_of("plans"), message);
        }
    }
}

/// Returns the error message for a missing policy or plan. `valid` contains the names of the policies or plans that
/// exist.
fn missing_name(kind: &str, name: &str, user: &str, valid: &[&str]) -> String {
    format!("unknown {kind} `{name}`, used by {user}; {}", expected_one_of(kind, name, valid))
}

/// Rejects a policy if the program's requests against this policy cost more than the policy's maximum cost, because
/// every such request would be denied.
fn reject_excessive_costs(
    document: &Document,
    next: &PolicySet,
    diagnostics: &mut Diagnostics<'_>,
) {
    for named in next.named().filter(|named| named.overrides.cost.is_none()) {
        let (name, max) = (named.policy.name(), named.policy.max_cost());
        let cost = next.max_constant_cost(name);
        if cost > max {
            diagnostics.add(
                document.offset_of_policy(name),
                format!(
                    "policy `{name}` admits at most {max} units, but each request costs {cost} in the program, so all would be denied"
                ),
            );
        }
    }
}

/// Returns a warning if the new policy has a quota of the active policy at a different position. Stores identify a
/// quota by its position, so the quota loses its count.
pub(super) fn warn_moved_quota(active: &Policy, new: &Policy) -> Option<String> {
    let (old, new) = (active.quotas().as_slice(), new.quotas());
    let mut moved = new.iter().enumerate().filter_map(|(index, quota)| {
        let is_in_place = old.get(index).is_some_and(|it| it.window() == quota.window());
        let old_index = old.iter().position(|it| it.window() == quota.window());
        old_index.filter(|_| !is_in_place).map(|old_index| (index, quota, old_index))
    });
    let (index, quota, old_index) = moved.next()?;
    Some(format!(
        "`{}`: quota {quota} moved from position {} to {}, so its count is reset; add new quotas at the end",
        active.name(),
        old_index + 1,
        index + 1
    ))
}

/// Returns a warning if a policy gets candidate quotas (quotas under trial) that are enforced immediately. The
/// candidate quotas have not counted any requests yet, so a key gets all units of these quotas even if it has just
/// used the units of the enforced quotas.
pub(super) fn warn_new_candidate(active: &Policy, new: &Policy) -> Option<String> {
    let (quotas, percent) = new.candidate_quotas().filter(|(_, percent)| *percent > 0)?;
    active.candidate_quotas().is_none().then(|| {
        format!(
            "`{}`: the new candidate {quotas} is enforced for {percent} % of the keys, but has no counts yet; add a candidate with `rollout = 0` first",
            new.name()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OnError, guard::AttributePolicy, key::plain_recipe};

    /// Returns the errors in a file, for a program with a macro attribute that uses the policy `search` and costs 3.
    fn errors(text: &str) -> Vec<String> {
        let attribute = AttributePolicy { name: "search", location: "src/main.rs:7", cost: 3 };
        let from_builder =
            PolicySet::from_builder(vec![], vec![], vec![attribute], OnError::Open).unwrap();
        let context = ValidationContext {
            from_builder: &from_builder,
            key_recipes: plain_recipe,
            active: None,
        };
        let result = validate(text.as_bytes(), &context);
        result.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn policy_used_by_an_attribute_is_required() {
        assert_eq!(errors("[policies.search]\nrate = \"5/minute\"\n"), [""; 0]);
        assert_eq!(
            errors("# limits\n[policies]\nlogin.rate = \"5/minute\"\nsearhc.rate = \"5/minute\"\n"),
            [
                "2:1: unknown policy `search`, used by the attribute at src/main.rs:7; did you mean `searhc`? expected one of `login`, `searhc`"
            ]
        );
        assert_eq!(
            errors("# nothing\n"),
            [
                "1:1: unknown policy `search`, used by the attribute at src/main.rs:7; no policy is defined"
            ]
        );
    }

    #[test]
    fn invalid_policy_is_not_also_reported_as_missing() {
        let errors = errors("[policies]\nlogin.rate = 5\nsearch.rate = 5\n");
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors.iter().all(|it| it.contains("expected a rate in quotes")), "{errors:?}");
    }

    #[test]
    fn quota_below_the_cost_of_an_attribute_is_rejected() {
        assert_eq!(
            errors("[policies.search]\nrate = \"2/minute\"\n"),
            [
                "1:11: policy `search` admits at most 2 units, but each request costs 3 in the program, so all would be denied"
            ]
        );
    }
}
