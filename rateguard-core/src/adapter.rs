//! The parts of the limiter that an adapter for a web framework needs and other programs do not.
//!
//! This module is for `actix-rateguard`. It is not covered by semantic versioning: pin the exact version to use it.

pub use crate::{
    access::Access,
    client_address::{
        AddressTraceRecorder, Network, NetworkCaps, NetworkKeys, ResolvedClient, SharedKey,
        TraceListener, canonical,
    },
    guard::{
        AttributePolicy, HttpSettings, NameConflict, NameRegistration, NamedPolicy, PolicySet,
        PolicySetRef, RouteOverrides, ShadowHolds, ThrottledLog,
    },
    key::{KeyRecipe, KeyRecipes, KeySecret},
    policy::{PLACEHOLDER_QUOTA, ShadowSpec},
};
