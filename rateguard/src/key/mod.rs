//! Keys: what requests are counted under, and where it is read from in a request.
//!
//! The functions here are the ready-made keys for [`RateLimit::by`](crate::RateLimit::by). A closure over
//! `&HttpRequest` does as well; see [`RequestKey`].

mod digest;
mod ready_made;
mod request;

pub use digest::Key;
pub(crate) use digest::{Bucket, DIGEST_BYTES};
pub use ready_made::{ReadyMade, cookie, global, header, ip, path, user};
pub use request::{KeyValue, RequestKey};
pub(crate) use request::{key_or_address, value_or_address};
