//! Parses the texts of plans, and caches the results. An application reads the text from a database for each request,
//! but has only a few different texts.

use std::{
    collections::HashMap,
    sync::{LazyLock, PoisonError, RwLock},
};

use crate::{Plan, error::RateError};

/// The maximum number of cached texts.
const MAX_TEXTS: usize = 1_000;
/// The maximum length of a cached text in bytes. Longer texts are parsed for each request.
const MAX_LENGTH: usize = 1_024;

static PLANS: LazyLock<RwLock<HashMap<String, Plan>>> = LazyLock::new(RwLock::default);

/// Parses quotas such as `10/minute; 100/day`, or `unlimited`.
///
/// # Errors
///
/// [`RateError`] if the text is invalid. Errors are not cached, so invalid texts need no memory.
pub(crate) fn parse(text: &str) -> Result<Plan, RateError> {
    // No code panics while it holds the lock, so the lock is never poisoned.
    if let Some(plan) = PLANS.read().unwrap_or_else(PoisonError::into_inner).get(text) {
        return Ok(plan.clone());
    }
    let plan = Plan::try_from(text)?;
    if text.len() <= MAX_LENGTH {
        let mut plans = PLANS.write().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= MAX_TEXTS {
            plans.clear();
        }
        plans.insert(text.to_owned(), plan.clone());
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn same_text_has_the_same_plan() {
        let quotas = |text| match parse(text) {
            Ok(Plan::Limited(quotas)) => quotas,
            other => panic!("{other:?}"),
        };
        assert!(Arc::ptr_eq(&quotas("17/minute; 170/day"), &quotas("17/minute; 170/day")));
        assert_eq!(parse("unlimited").unwrap(), Plan::Unlimited);
        assert!(parse("17/fortnight").is_err());
    }

    #[test]
    fn cache_of_texts_is_bounded() {
        for limit in 1..=2 * MAX_TEXTS {
            parse(&format!("{limit}/hour")).unwrap();
        }
        parse(&format!("5/minute{}", " ".repeat(MAX_LENGTH))).unwrap();
        let plans = PLANS.read().unwrap();
        assert!(plans.len() <= MAX_TEXTS);
        assert!(plans.keys().all(|text| text.len() <= MAX_LENGTH));
    }
}
