//! Tests policies files. A guard must apply either the whole file or nothing, and each error must have a position.

use std::{env, fs, path::PathBuf, process, time::Duration};

use actix_rateguard::{
    Policy, RateGuard, RateGuardBuilder,
    policies_file::{PoliciesFileError, Reloaded},
};

use super::{
    Target,
    random::Random,
    text::{Text, TextSource},
};

const EXAMPLES: &[&str] = &[
    "[policies.login]\nrate = \"5/minute; 20/hour\"\nkey = \"ip\"\nban = \"10/hour for 15m up to 1d\"\n",
    "[policies.login]\nlimit = 5\nwindow = 60\nalgorithm = \"token_bucket\"\nburst = 20\n",
    "[policies.login]\nrate = \"10/m\"\ncandidate = \"3/m\"\nrollout = 10\n\n[policies.search]\nrate = \"1/s\"\nshadow = true\n",
    "[policies.search]\nrate = \"9/d\"\nmethods = \"GET, POST\"\ncount = \"failure\"\nmissing_key = \"deny\"\ncost = 2\non_error = \"local\"\n",
    "[plans]\nfree = \"10/minute; 100/day\"\nenterprise = \"unlimited\"\n",
    "[access]\nallow_addresses = [\"10.0.0.0/8\", \"::1\"]\ndeny_keys = [\"mallory\"]\n",
    "[guard]\non_error = \"closed\"\n",
    "# nothing\n",
];

const FRAGMENTS: &[&str] = &[
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
    "candidate = \"3/m\"\n",
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

/// A guard, and the path of the policies file that the guard reloads.
pub(super) struct Policies {
    path: PathBuf,
    guard: RateGuard,
}

impl Default for Policies {
    fn default() -> Self {
        let path = env::temp_dir().join(format!("rateguard-fuzz-{}.toml", process::id()));
        fs::write(&path, "# nothing yet\n").expect("the file can be written");
        let guard = reading(&path).build().expect("the file is valid");
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

fn active_policies(guard: &RateGuard) -> [Option<Policy>; 2] {
    NAMES.map(|name| guard.policy_of_limit(name))
}

impl Target for Policies {
    type Input = Text;

    const OUTCOMES: &'static [&'static str] = &["rejected", "unchanged", "changed"];

    fn input(&self, random: &mut Random) -> Text {
        TextSource { examples: EXAMPLES, fragments: FRAGMENTS }.text(random)
    }

    fn check(&mut self, text: &Text) -> usize {
        fs::write(&self.path, &text.0).expect("the file can be written");
        let before = active_policies(&self.guard);
        let reloaded = self.guard.reload_policies();
        let status = self.guard.policies_file().expect("the guard has a file");
        match reloaded {
            Err(error) => {
                assert_eq!(
                    active_policies(&self.guard),
                    before,
                    "a rejected file was applied in part"
                );
                check_diagnostics(&error, text);
                assert!(status.error.is_some_and(|it| it.to_string() == error.to_string()));
                0
            }
            Ok(reloaded) => {
                let started = reading(&self.path).build().expect("the file is valid at startup");
                assert_eq!(
                    active_policies(&started),
                    active_policies(&self.guard),
                    "a reload and a start have different policies"
                );
                assert_eq!(self.guard.reload_policies().ok(), Some(Reloaded::Unchanged));
                assert!(status.error.is_none());
                1 + usize::from(reloaded == Reloaded::Changed)
            }
        }
    }
}

/// Checks that each error has a position in the text, and that its message is short and has no control characters.
fn check_diagnostics(error: &PoliciesFileError, Text(text): &Text) {
    let mistakes = error.diagnostics();
    assert!((1..=51).contains(&mistakes.len()), "{} mistakes", mistakes.len());
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    for mistake in mistakes {
        let line = lines.get(mistake.line() - 1).expect("the line exists");
        assert!((1..=line.len() + 1).contains(&mistake.column()), "{mistake}");
        let message = mistake.message();
        assert!(!message.is_empty() && message.len() < 3_000, "{message:?}");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}
