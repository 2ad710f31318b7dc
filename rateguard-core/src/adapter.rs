//! Re-exports the items of this crate that only an adapter for a web framework needs.
//!
//! This module is for `actix-rateguard`. The module may change in every version, so all other users must pin an
//! exact version.

#[cfg(feature = "statistics")]
pub use crate::statistics::statistics_json;
pub use crate::{
    access::Access,
    calendar::current_window,
    client_address::{
        AddressTexts, AddressTraceRecorder, Network, NetworkCaps, NetworkKeys, ResolvedClient,
        SharedKey, TraceListener, canonical,
    },
    guard::{
        AttributePolicy, HttpSettings, LimitOrigin, MAX_KEY_BODY, MAX_RETRY_JITTER,
        NameRegistration, NamedPolicy, PermitLease, PermitWatch, PolicySet, PolicySetRef,
        RouteOverrides, ShadowHolds, ThrottledLog, conflict_of,
    },
    key::{
        KeyRecipe, KeyRecipes, KeySecret, KeyValue, NO_KEY, NetworkOf, OperatorKey, PARTS, VALUE,
        are_equivalent, may_be_missing, operator_key, part_key,
    },
    policy::{PLACEHOLDER_QUOTA, PolicyName},
};
pub use actix_rateguard_grammar::{
    KeyNotation, KeyPart, Methods, Notation, ShadowSpec, escape_for_display, parse_window, suggest,
};
