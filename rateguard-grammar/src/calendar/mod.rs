//! Parses and writes calendar periods, such as `"calendar day Europe/Berlin"`.

mod error;
mod period;
mod unit;
mod zone;
#[cfg_attr(not(feature = "calendar"), path = "zone_list_noop.rs")]
mod zone_list;

pub(crate) use self::period::split_at_calendar;
pub use self::{error::CalendarError, period::CalendarPeriod, unit::CalendarUnit, zone::ZoneName};
