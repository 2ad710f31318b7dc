//! Tests limits of routes whose requests are not like others, also behind nginx with the settings of
//! `docs/special-routes.md`.

mod event_streams;
mod unknown_paths;
mod uploads;
mod websockets;
