//! Policies in a file.

mod editors;
mod fields;
mod load;
mod names;
mod pipes;
mod plans;
mod reading;
mod refused;
mod reloading;
mod schema;

use std::{path::Path, time::Duration};

use rateguard::{RateGuard, RateGuardBuilder};

/// A guard whose policies are in this file, at which it looks only when it is told to.
fn by_hand(path: impl AsRef<Path>) -> RateGuardBuilder {
    RateGuard::builder()
        .policies_file(path.as_ref())
        .policies_file_interval(Duration::ZERO)
        .for_attributes(false)
}

/// One that looks at it all the time.
fn watching(path: impl AsRef<Path>) -> RateGuardBuilder {
    by_hand(path).policies_file_interval(Duration::from_millis(20))
}
