//! Detects that clients connect through a proxy that the application has not configured, or has configured wrongly,
//! so all clients behind the proxy are counted as one client.

mod evidence;
mod search;

pub(crate) use search::ProxyWarning;
