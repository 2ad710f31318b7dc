//! Tests of the policies file.

mod editors;
mod fields;
mod load;
mod names;
mod pipes;
mod plans;
mod reading;
mod rejected_files;
mod reloading;
mod schema;

use std::{path::Path, time::Duration};

use actix_rateguard::{RateGuard, RateGuardBuilder};

/// Returns settings of a guard that reads this policies file again only when `reload_policies` is called.
fn without_polling(path: impl AsRef<Path>) -> RateGuardBuilder {
    RateGuard::builder()
        .policies_file(path.as_ref())
        .policies_file_interval(Duration::ZERO)
        .for_attributes(false)
}

/// Returns settings of a guard that polls this policies file every 20 ms.
fn with_polling(path: impl AsRef<Path>) -> RateGuardBuilder {
    without_polling(path).policies_file_interval(Duration::from_millis(20))
}
