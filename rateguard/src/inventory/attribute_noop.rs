//! Replaces `attribute.rs` in builds without the feature `macros`, in which no program has macro attributes.

use actix_rateguard_core::adapter::AttributePolicy;

use crate::{BuildError, RateGuard};

pub(crate) fn attribute_policies() -> Vec<AttributePolicy> {
    Vec::new()
}

pub(crate) fn register_attributes(_: &RateGuard) -> Result<(), BuildError> {
    Ok(())
}

pub(crate) fn register_valid_attributes(_: &RateGuard) -> Vec<BuildError> {
    Vec::new()
}
