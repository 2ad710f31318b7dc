//! The arguments of `rateguard replay`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use actix_rateguard_core::{Algorithm, Count, MissingKey, Quotas};
use actix_rateguard_grammar::{KeyNotation, Methods, parse_window};
use clap::{ArgGroup, Args, ValueEnum};

use super::{
    fields::FieldMapping,
    format::LogFormat,
    limit::{LimitArguments, RoutePattern},
};

const EXAMPLES: &str = "\
Examples:
  rateguard replay --rate \"20/minute\" --key ip access.log
      The clients that the limit would deny, and the lowest limit that denies no client
  rateguard replay --policies rateguard.toml --policy login=/login --html report.html access.log.2.gz access.log.1 access.log
      The policy `login` for the requests of one route, in rotated logs from the oldest to the newest
  journalctl -u shop -o cat | rateguard replay --rate \"5/second; 100/minute\" --key user --field user=account.id --json
      JSON lines from the standard input, with the name of the field that has the user
  rateguard replay --rate \"100/minute token_bucket burst 20\" --key user+ip --suggest rateguard.toml access.log
      Writes a policies file with limits that fit the log";

/// Replays access logs against limits, and reports the clients that the limits would deny
///
/// The limits are those of a policies file or of `--rate`, and the library decides each request in the time of the log.
/// Reads the common and the combined format, those of Traefik, and JSON lines, also compressed with gzip or zstd. Files
/// are read in the given order.
#[derive(Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("limits").required(true).args(["policies", "rate"]))]
pub(crate) struct ReplayArguments {
    /// The logs, from the oldest to the newest. `-` or none: the standard input
    #[arg(value_name = "LOG")]
    logs: Vec<PathBuf>,

    /// Replay the policies of this file
    #[arg(long, value_name = "FILE")]
    policies: Option<PathBuf>,

    /// Replay only this policy, for all requests or for those of a route: `login`, `orders=/orders/{id}`
    #[arg(
        long = "policy",
        value_name = "NAME[=/ROUTE]",
        requires = "policies",
        conflicts_with = "rate"
    )]
    selected: Vec<String>,

    /// Replay this rate, such as "20/minute" or "5/second; 100/minute"
    #[arg(long, value_parser = parse_quotas)]
    rate: Option<Quotas>,

    /// The algorithm of the rate
    #[arg(long, requires = "rate", conflicts_with = "policies", value_parser = parse_text::<Algorithm>)]
    algorithm: Option<Algorithm>,

    /// The key that requests are counted by, such as `ip`, `ip/48`, `user`, `user+ip`, `header:X-Api-Key`, `global`.
    /// With `--policies`, the key of policies without one [default: ip]
    #[arg(long, value_parser = parse_text::<KeyNotation>)]
    key: Option<KeyNotation>,

    /// The treatment of a request without the key: `ip` (count by client), `deny` or `skip` [default: ip]
    #[arg(long, value_parser = parse_text::<MissingKey>)]
    missing_key: Option<MissingKey>,

    /// The units of each request [default: 1]
    #[arg(long, requires = "rate", conflicts_with = "policies", value_parser = clap::value_parser!(u32).range(1..))]
    cost: Option<u32>,

    /// The responses that count, such as `failure` or `status:401` [default: all]
    #[arg(long, value_parser = parse_text::<Count>)]
    count: Option<Count>,

    /// Replay only requests with these methods, such as "POST, PUT"
    #[arg(long, value_parser = parse_text::<Methods>)]
    methods: Option<Methods>,

    /// Replay only requests of this route, such as `/login`, `/orders/{id}` or `/api/*`
    #[arg(long, value_name = "/ROUTE", value_parser = parse_text::<RoutePattern>)]
    route: Option<RoutePattern>,

    /// The format of the logs [default: detected from the first request of each file]
    #[arg(long)]
    pub(super) format: Option<LogFormat>,

    /// The field of a value in JSON lines, with dots for nested objects: `ip=client.address`. Names: `time`, `ip`,
    /// `user`, `method`, `path`, `status`, `duration` (seconds), and keys such as `header:X-Api-Key`
    #[arg(long = "field", value_name = "NAME=FIELD", value_parser = parse_text::<FieldMapping>)]
    pub(super) fields: Vec<FieldMapping>,

    /// Sort requests that are out of order by at most this time. Later ones count at the time that the replay has
    /// reached. `0s` keeps the order of the lines [default: 10s, or 1m with `--count-at start`]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    reorder: Option<Duration>,

    /// Whether a request counts at the time of its line, or at its start, if lines have the duration of their request
    /// [default: line, or start if a policy limits the requests in progress]
    #[arg(long)]
    count_at: Option<CountAt>,

    /// The maximum number of keys of each policy. Requests of further keys are not replayed. A key needs about 500
    /// bytes for each quota
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    max_keys: u64,

    /// The number of denied keys in the report
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub(super) top: usize,

    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Write a policies file with limits that fit the log
    #[arg(long, value_name = "FILE")]
    pub(super) suggest: Option<PathBuf>,

    /// Overwrite the files of `--html` and `--suggest`
    #[arg(long)]
    pub(super) force: bool,
}

/// The time at which a request counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CountAt {
    Line,
    Start,
}

impl ReplayArguments {
    pub(super) fn logs(&self) -> &[PathBuf] {
        &self.logs
    }

    /// Returns the files that the replay reads, with their arguments.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let logs = self.logs.iter().filter(|it| **it != Path::new("-"));
        let logs = logs.map(|it| ("a log", it.as_path()));
        logs.chain(self.policies.iter().map(|it| ("`--policies`", it.as_path())))
    }

    /// Returns the files that the replay writes, with their arguments.
    pub(super) fn outputs(&self) -> Vec<(&'static str, &Path)> {
        let outputs = [("`--html`", &self.html), ("`--suggest`", &self.suggest)];
        outputs.into_iter().filter_map(|(name, it)| Some((name, it.as_deref()?))).collect()
    }

    pub(super) fn max_keys(&self) -> usize {
        usize::try_from(self.max_keys).unwrap_or(usize::MAX)
    }

    /// Returns whether a request counts at its start. `has_permits` tells whether a policy limits the requests in
    /// progress.
    pub(super) fn counts_at_start(&self, has_permits: bool) -> bool {
        self.count_at.map_or(has_permits, |it| it == CountAt::Start)
    }

    /// Returns the reorder window in microseconds.
    pub(super) fn reorder_micros(&self, counts_at_start: bool) -> u64 {
        let default = Duration::from_secs(if counts_at_start { 60 } else { 10 });
        u64::try_from(self.reorder.unwrap_or(default).as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn limits(&self) -> LimitArguments<'_> {
        LimitArguments {
            policies_file: self.policies.as_ref(),
            selected: &self.selected,
            rate: self.rate.as_ref(),
            algorithm: self.algorithm,
            key: self.key.as_ref(),
            missing: self.missing_key,
            cost: self.cost,
            count: self.count,
            methods: self.methods.as_ref(),
            route: self.route.as_ref(),
            mappings: &self.fields,
            max_keys: self.max_keys(),
        }
    }
}

/// Parses a value, and returns the message of its error.
fn parse_text<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn parse_quotas(text: &str) -> Result<Quotas, String> {
    text.parse().map_err(|error: actix_rateguard_core::error::RateError| error.to_string())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    match text {
        "0" => Ok(Duration::ZERO),
        _ => parse_window(text).map_err(|error| error.to_string()),
    }
}
