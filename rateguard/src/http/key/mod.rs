//! Where the key of a request comes from.
//!
//! The functions here are the ready-made keys for [`RateLimit::by`](crate::RateLimit::by). A closure over
//! `&HttpRequest` does as well; see [`RequestKey`].

mod ready_made;
mod request;

pub use ready_made::{ReadyMade, cookie, global, header, ip, path, user};
pub(crate) use request::key_or_address;
pub use request::{KeyValue, RequestKey};
