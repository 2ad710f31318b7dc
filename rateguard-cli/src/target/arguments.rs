//! The arguments that select the target of a command.

use std::{env, path::PathBuf, time::Duration};

use actix_rateguard_core::adapter::parse_window;
use clap::Args;

use super::{redis::RedisTarget, secret, server::Server, tls};
use crate::exit::Failure;

/// The variable with the URL of the operator endpoints.
const SERVER: &str = "RATEGUARD_SERVER";
/// The variable with the token for the operator endpoints.
const TOKEN: &str = "RATEGUARD_TOKEN";
/// The variable with the URL of Redis.
const REDIS_URL: &str = "RATEGUARD_REDIS_URL";
/// The variable with the secret with which servers hash keys.
const KEY_SECRET: &str = "RATEGUARD_KEY_SECRET";

/// The target: the operator endpoints of a server, or Redis.
#[derive(Args, Debug)]
pub(crate) struct TargetArguments {
    /// The URL of the operator endpoints of a server [env: RATEGUARD_SERVER]
    #[arg(long, value_name = "URL", conflicts_with = "redis", help_heading = "Target")]
    server: Option<String>,

    /// A file with the token for the endpoints; without it, the variable RATEGUARD_TOKEN has the token
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    token_file: Option<PathBuf>,

    /// The header in which the server expects the token [default: Authorization: Bearer TOKEN]
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    header: Option<String>,

    /// The URL of Redis, as in the program; a URL with a password belongs in the variable
    /// [env: RATEGUARD_REDIS_URL]
    #[arg(long, value_name = "URL", help_heading = "Target")]
    redis: Option<String>,

    /// The prefix of the keys in Redis, as in the program
    #[arg(long, value_name = "NAME", help_heading = "Target")]
    prefix: Option<String>,

    /// With Redis: the policies file with the quotas and the key of the policy
    #[arg(long, value_name = "FILE", conflicts_with = "rate", help_heading = "Target")]
    pub(super) policies: Option<PathBuf>,

    /// With Redis: the quotas of the policy, such as "5/minute; 20/hour"
    #[arg(long, value_name = "RATE", help_heading = "Target")]
    pub(super) rate: Option<String>,

    /// With Redis and `--rate`: the ban setting of the policy, such as "100/minute for 1m"
    #[arg(long, value_name = "BAN", requires = "rate", help_heading = "Target")]
    pub(super) ban_setting: Option<String>,

    /// With Redis: a file with the secret of the program's keys; without it, RATEGUARD_KEY_SECRET has the secret
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    key_secret_file: Option<PathBuf>,

    /// A file with the certificate authorities for TLS, in PEM format [default: those of the system]
    #[arg(long, value_name = "FILE", help_heading = "Target")]
    ca_file: Option<PathBuf>,

    /// How long the command waits for a reply
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_timeout, help_heading = "Target")]
    timeout: Duration,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(1)..=Duration::from_secs(60);
    let timeout = parse_window(text).ok().filter(|timeout| range.contains(timeout));
    timeout.ok_or_else(|| "expected a duration from 1ms to 60s, such as \"5s\"".to_owned())
}

/// The target of a command.
pub(crate) enum Target {
    Server(Box<Server>),
    Redis(Box<RedisTarget>),
}

impl TargetArguments {
    /// Opens the target. An argument wins over a variable.
    pub(crate) fn open(&self) -> Result<Target, Failure> {
        let (server, redis) = match (&self.server, &self.redis) {
            (None, None) => (variable(SERVER), variable(REDIS_URL)),
            (server, redis) => (server.clone(), redis.clone()),
        };
        match (server, redis) {
            (Some(url), None) => {
                self.reject_redis_arguments()?;
                let token = secret::read(self.token_file.as_deref(), TOKEN)?;
                let (header, token) = (self.header.as_deref(), token.as_deref());
                Server::new(&url, header, token, self.ca_file.as_deref(), self.timeout).map(|it| Target::Server(Box::new(it)))
            }
            (None, Some(url)) => self.open_redis(&url).map(|it| Target::Redis(Box::new(it))),
            (Some(_), Some(_)) => Err(Failure::usage(format!("expected one target, found {SERVER} and {REDIS_URL}"))
                .help("select the target with `--server URL` or `--redis URL`")),
            (None, None) => Err(Failure::usage("expected a target, found none")
                .help("add `--server URL` with the operator endpoints of a server, or `--redis URL --prefix NAME`")),
        }
    }

    /// Whether the user has named a target by an argument.
    pub(crate) fn is_named(&self) -> bool {
        self.server.is_some() || self.redis.is_some()
    }

    /// Rejects the arguments that have no effect on a server, which knows its policies and its keys itself.
    fn reject_redis_arguments(&self) -> Result<(), Failure> {
        let given = [
            ("--prefix", self.prefix.is_some()),
            ("--policies", self.policies.is_some()),
            ("--rate", self.rate.is_some()),
            ("--key-secret-file", self.key_secret_file.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => {
                Err(Failure::usage(format!("expected `{name}` with Redis, found it with a server"))
                    .help("remove it, or select Redis with `--redis URL`"))
            }
            None => Ok(()),
        }
    }

    fn open_redis(&self, url: &str) -> Result<RedisTarget, Failure> {
        let prefix = self.prefix.as_deref().ok_or_else(|| {
            Failure::usage("expected the prefix of the keys in Redis, found none")
                .help("add `--prefix NAME` with the name that the program passes to `RateGuardBuilder::prefix`")
        })?;
        let secret = secret::read(self.key_secret_file.as_deref(), KEY_SECRET)?;
        let authorities = self.ca_file.as_deref().map(tls::read).transpose()?;
        RedisTarget::open(url, prefix, secret, authorities, self.timeout)
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
