//! Files with policies: what one says is put in force as a whole or not at all, and what is wrong is told with its place.

use std::{env, fs, path::PathBuf, process, time::Duration};

use rateguard::{PoliciesFileError, Policy, RateGuard, RateGuardBuilder, Reloaded};

use super::{
    Target,
    random::Random,
    text::{Text, Words},
};

const WHOLES: &[&str] = &[
    "[policies.login]\nrate = \"5/minute; 20/hour\"\nkey = \"ip\"\nban = \"10/hour for 15m up to 1d\"\n",
    "[policies.login]\nlimit = 5\nwindow = 60\nalgorithm = \"token_bucket\"\nburst = 20\n",
    "[policies.login]\nrate = \"10/m\"\nshadow = \"3/m\"\nrollout = 10\n\n[policies.search]\nrate = \"1/s\"\nshadow = true\n",
    "[policies.search]\nrate = \"9/d\"\nmethods = \"GET, POST\"\ncount = \"failure\"\nmissing = \"deny\"\ncost = 2\non_error = \"local\"\n",
    "[plans]\nfree = \"10/minute; 100/day\"\nenterprise = \"unlimited\"\n",
    "[access]\nallow_addresses = [\"10.0.0.0/8\", \"::1\"]\ndeny_keys = [\"mallory\"]\n",
    "[guard]\non_error = \"closed\"\n",
    "# nothing\n",
];

const PIECES: &[&str] = &[
    "[policies.login]\n",
    "[policies.search]\n",
    "[policies.\"a b\"]\n",
    "[plans]\n",
    "[access]\n",
    "[guard]\n",
    "rate = \"5/m\"\n",
    "limit = 5\n",
    "window = \"1m\"\n",
    "shadow = true\n",
    "rollout = 50\n",
    "deadline = \"50ms\"\n",
    "deny_addresses = [\"192.0.2.1\"]\n",
    "policies = { login = { rate = \"1/s\" } }\n",
    "policies.login.rate = \"1/s\"\n",
    " = ",
    "\"",
    "'''",
    "\"\"\"",
    "[",
    "]",
    "{",
    "}",
    ".",
    "#",
    "\n",
    "\r\n",
    "\\u0007",
    "1e400",
    "-0",
    "0x7fffffff",
    "inf",
    "true",
    "2026-01-01T00:00:00Z",
];

const NAMES: [&str; 2] = ["login", "search"];

/// A guard that reads one file after the other, all of them at this path.
pub(super) struct Policies {
    path: PathBuf,
    guard: RateGuard,
}

impl Default for Policies {
    fn default() -> Self {
        let path = env::temp_dir().join(format!("rateguard-fuzz-{}.toml", process::id()));
        fs::write(&path, "# nothing yet\n").expect("a file can be written");
        let guard = reading(&path).build().expect("it is legal");
        Self { path, guard }
    }
}

impl Drop for Policies {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn reading(path: &PathBuf) -> RateGuardBuilder {
    let builder = RateGuard::builder().policies_file(path).for_attributes(false);
    builder.policies_file_interval(Duration::ZERO)
}

fn in_force(guard: &RateGuard) -> [Option<Policy>; 2] {
    NAMES.map(|name| guard.known_policy(name))
}

impl Target for Policies {
    type Input = Text;

    const OUTCOMES: &'static [&'static str] = &["refused", "in force already", "put in force"];

    fn input(&self, random: &mut Random) -> Text {
        Words { wholes: WHOLES, pieces: PIECES }.text(random)
    }

    fn check(&mut self, text: &Text) -> usize {
        fs::write(&self.path, &text.0).expect("a file can be written");
        let before = in_force(&self.guard);
        let reloaded = self.guard.reload_policies();
        let status = self.guard.policies_file().expect("it has a file");
        match reloaded {
            Err(error) => {
                assert_eq!(in_force(&self.guard), before, "a part of it is in force");
                is_told(&error, text);
                assert!(status.error.is_some_and(|known| known.to_string() == error.to_string()));
                0
            }
            Ok(reloaded) => {
                let started = reading(&self.path).build().expect("at start it is as legal");
                assert_eq!(in_force(&started), in_force(&self.guard), "after a start it is other");
                assert_eq!(self.guard.reload_policies().ok(), Some(Reloaded::Unchanged));
                assert!(status.error.is_none());
                1 + usize::from(reloaded == Reloaded::Changed)
            }
        }
    }
}

/// Each mistake has a place in the text, and fits into a line of a log.
fn is_told(error: &PoliciesFileError, Text(text): &Text) {
    let mistakes = error.mistakes();
    assert!((1..=51).contains(&mistakes.len()), "{} mistakes", mistakes.len());
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    for mistake in mistakes {
        let line = lines.get(mistake.line() - 1).expect("it has such a line");
        assert!((1..=line.len() + 1).contains(&mistake.column()), "{mistake}");
        let message = mistake.message();
        assert!(!message.is_empty() && message.len() < 3_000, "{message:?}");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}
