//! Where the key of a request comes from.
//!
//! The functions here are the ready-made keys for [`RateLimit::by`](crate::RateLimit::by). A closure over
//! `&HttpRequest` does as well; see [`Caller`](crate::Caller) for what it may return.
//!
//! A request that has no key is counted by its client's address, apart from the requests that have one, unless the limit
//! says otherwise ([`RateLimit::missing_key`](crate::RateLimit::missing_key)). So a missing value neither lifts the limit
//! nor puts strangers together.

#[cfg(feature = "operator")]
mod by_hand;
mod caller;
mod cookie;
mod ready_made;
mod source;

#[cfg(feature = "operator")]
pub(crate) use by_hand::{
    ByHand, NO_KEY, PARTS, VALUE, are_read_alike, key_by_hand, may_be_missing,
};
pub use caller::Caller;
#[cfg(feature = "actix-identity")]
pub use ready_made::identity;
#[cfg(feature = "actix-session")]
pub use ready_made::session;
pub use ready_made::{
    ReadyMade, bearer, cookie, global, header, ip, ip_network, notation, path, user,
};
