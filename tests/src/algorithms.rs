//! Functions that return a property of an algorithm. Several tests use these functions. A new algorithm must be
//! added to each of them.

use actix_rateguard::Algorithm;

/// Returns whether a bucket regains its units steadily, as a token bucket does. Such a bucket may regain a part of a
/// unit at any time.
#[must_use]
pub const fn refills_steadily(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::TokenBucket => true,
        Algorithm::SlidingWindow
        | Algorithm::SlidingWindowCounter
        | Algorithm::FixedWindow
        | Algorithm::Concurrency
        | Algorithm::Calendar => false,
    }
}

/// Returns whether the windows of a bucket begin at multiples of the window's length on the store's clock. A clock
/// step moves such windows, so the bucket may then admit more than its limit.
#[must_use]
pub const fn aligns_windows_to_clock(algorithm: Algorithm) -> bool {
    match algorithm {
        Algorithm::SlidingWindowCounter => true,
        Algorithm::SlidingWindow
        | Algorithm::FixedWindow
        | Algorithm::TokenBucket
        | Algorithm::Concurrency
        | Algorithm::Calendar => false,
    }
}
