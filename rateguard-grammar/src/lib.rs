//! The notation of RateGuard: what a user may write for a limit, a window, a key or a name, and what it means.
//!
//! The attribute reads it at compile time and the library at run time. Both use this crate, so that the two accept
//! the same words and refuse the others with the same sentence. Applications use it through `rateguard`, which
//! re-exports [`Quota`].

mod algorithm;
mod ban;
mod count;
mod key;
mod methods;
mod missing_key;
mod name;
mod on_error;
mod quota;
mod quotas;
mod rate;
mod shown;
mod window;

pub use algorithm::{Algorithm, AlgorithmError};
pub use ban::{Ban, BanError};
pub use count::{Count, CountError};
pub use key::{IPV6_PREFIXES, KeyNotation, KeyNotationError, KeyPart, is_token};
pub use methods::{Methods, MethodsError};
pub use missing_key::{MissingKey, MissingKeyError};
pub use name::{NameError, check_name};
pub use on_error::{OnError, OnErrorError};
pub use quota::{Quota, QuotaError};
pub use quotas::Quotas;
pub use rate::RateError;
pub use shown::shown;
pub use window::{WindowError, parse_window};
