//! Parses the lines of access logs.

mod address;
mod common;
mod json;
mod json_names;
mod json_tree;
mod json_values;
mod parser;
mod request_line;
mod timestamp;

use std::fmt;

use clap::ValueEnum;

pub(crate) use self::parser::LineParser;

/// The format of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// `ADDRESS - USER [TIME] "REQUEST" STATUS BYTES`
    Common,
    /// Common, then `"REFERER" "USER-AGENT"`, and any further fields
    Combined,
    /// Combined after the name of the virtual host
    VhostCombined,
    /// Common or combined with a duration such as `12ms` at the end
    Traefik,
    /// A JSON object in each line, with usual names such as those of nginx, Traefik, Caddy and ECS, or with `--field`
    #[value(alias = "nginx-json", alias = "traefik-json")]
    Json,
}

impl LogFormat {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Combined => "combined",
            Self::VhostCombined => "vhost-combined",
            Self::Traefik => "traefik",
            Self::Json => "json",
        }
    }
}

/// The reason why a line is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    Time,
    Client,
    RequestLine,
    Status,
    Json,
    JsonTime,
    JsonClient,
    TooLong,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "expected a time such as `[10/Oct/2000:13:55:36 -0700]`",
            Self::Client => "expected an address or the name of a host before the time",
            Self::RequestLine => "expected a request in quotes after the time",
            Self::Status => "expected a status such as `200` after the request",
            Self::Json => "expected a JSON object",
            Self::JsonTime => {
                "expected a time in the JSON object; `--field time=NAME` names its field"
            }
            Self::JsonClient => {
                "expected one address as the client; `--field ip=NAME` names its field"
            }
            Self::TooLong => "expected a line of at most 64 KB",
        })
    }
}
