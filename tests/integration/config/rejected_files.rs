//! Tests invalid policies files. Each diagnostic must have a location and must name the valid values. After such a
//! file, the guard must continue to use its previous policies.

use std::{error::Error, fs};

use actix_rateguard::{
    BuildError, Policy,
    headers::HeaderDialect,
    policies_file::{Diagnostic, PoliciesFileError, Reloaded},
};

use super::without_polling;
use crate::support::folder::Folder;

/// The line and the column of an expected diagnostic, and a part of its message. In this part, [`DIALECTS`] stands
/// for the quoted names of all header dialects.
type Expected = (usize, usize, &'static str);

const DIALECTS: &str = "{dialects}";

/// Invalid files with their expected diagnostics.
pub(super) const INVALID_FILES: &[(&str, &[Expected])] = &[
    ("", &[(1, 1, "the file is empty")]),
    (" \n\t\n", &[(1, 1, "the file is empty")]),
    // Files that are not valid TOML.
    ("[policies.login]\nrate = \"5/minute\n", &[(2, 17, "invalid basic string")]),
    ("[policies.login\nrate = \"5/minute\"\n", &[(1, 16, "unclosed table")]),
    (
        "[policies.login]\nrate = 5/minute\n",
        &[(2, 9, "expected text in quotes, such as `rate = \"…\"`")],
    ),
    (
        "[policies.login]\nrate = \"5/minute\"\nrate = \"6/minute\"\n",
        &[(3, 1, "duplicate field `rate`; remove one of them")],
    ),
    (
        "[policies.login]\nrate = \"5/minute\"\n\n[policies.login]\nrate = \"6/minute\"\n",
        &[(4, 11, "duplicate table `[policies.login]`; write all its fields in one table")],
    ),
    ("{\"policies\": {}}\n", &[(1, 1, "expected TOML")]),
    ("policies:\n", &[(1, 9, "expected `=` after the name, found `:`; the file must be TOML")]),
    // Files with unknown fields.
    (
        "[policy.login]\nrate = \"5/minute\"\n",
        &[(
            1,
            2,
            "unknown table `policy`; did you mean `policies`? expected one of `guard`, `access`",
        )],
    ),
    (
        "[policies.login]\nrtae = \"5/minute\"\n",
        &[(
            2,
            1,
            "unknown field `rtae`; did you mean `rate`? expected one of `rate`, `limit`, `window`",
        )],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\nname = \"x\"\n",
        &[(3, 1, "unknown field `name`; expected one of")],
    ),
    ("[guard]\nonerror = \"open\"\n", &[(2, 1, "did you mean `on_error`?")]),
    ("[access]\nallow = [\"10.0.0.1\"]\n", &[(2, 1, "expected one of `allow_addresses`,")]),
    // Files with invalid quotas.
    (
        "[policies.login]\nrate = \"5/minut\"\n",
        &[(2, 8, "unknown unit of time `minut`; did you mean `minute`?")],
    ),
    ("[policies.login]\nrate = 5\n", &[(2, 8, "expected a rate in quotes, such as \"5/minute\"")]),
    ("[policies.login]\n", &[(1, 11, "expected `rate = \"5/minute\"`, or `limit = 5`")]),
    (
        "[policies.login]\nrate = \"5/minute\"\nlimit = 5\n",
        &[(3, 9, "expected either `rate`, or `limit` and `window`")],
    ),
    ("[policies.login]\nlimit = 5\n", &[(2, 9, "`limit` requires `window`, such as")]),
    ("[policies.login]\nwindow = \"1m\"\n", &[(2, 10, "`window` requires `limit`, such as")]),
    (
        "[policies.login]\nlimit = 0\nwindow = \"400d\"\n",
        &[
            (2, 9, "expected a limit that is a whole number from 1 to 2147483648"),
            (3, 10, "expected a window from 1 millisecond to 365 days"),
        ],
    ),
    ("[policies.login]\nlimit = -5\nwindow = 60\n", &[(2, 9, "expected a limit that is")]),
    ("[policies.login]\nlimit = 5\nwindow = 1.5\n", &[(3, 10, "expected a window from")]),
    (
        "[policies.login]\nrate = \"5/s\"\nalgorithm = \"leaky\"\n",
        &[(3, 13, "unknown algorithm `leaky`; expected one of \"sliding_window\"")],
    ),
    (
        "[policies.login]\nrate = \"5/s fixed_window\"\nalgorithm = \"token_bucket\"\n",
        &[(3, 13, "`algorithm` conflicts with `fixed_window`")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\nburst = 9\n",
        &[(3, 9, "`burst` requires `algorithm = \"token_bucket\"`")],
    ),
    (
        "[policies.login]\nrate = \"5/s; 9/m\"\nalgorithm = \"token_bucket\"\nburst = 9\n",
        &[(4, 9, "`burst` requires a single quota")],
    ),
    (
        "[policies.login]\nrate = \"5/minuet\"\n",
        &[(2, 8, "unknown unit of time `minuet`; did you mean `minute`?")],
    ),
    (
        "[policies.login]\nrate = \"5/second, 100/minute\"\n",
        &[(2, 8, "expected `;` between two rates")],
    ),
    (
        "[policies.login]\nlimit = \"5\"\nwindow = \"60\"\n",
        &[
            (2, 9, "a whole number from 1 to 2147483648, without quotes"),
            (3, 10, "to 365 days, such as \"1m\", found `60`"),
        ],
    ),
    // Files with invalid values for other settings of a policy.
    (
        "[policies.login]\nrate = \"5/s\"\nkey = \"adress\"\n",
        &[(3, 7, "unknown key `adress`; expected one of \"ip\", \"ip/48\"")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\nkey = \"header:\"\n",
        &[(3, 7, "expected the name of a header")],
    ),
    ("[policies.login]\nrate = \"5/s\"\nkey = 5\n", &[(3, 7, "expected one of \"ip\", \"ip/48\"")]),
    ("[policies.login]\nrate = \"5/s\"\nmissing_key = \"pass\"\n", &[(3, 15, "found `pass`")]),
    ("[policies.login]\nrate = \"5/s\"\ncost = 0\n", &[(3, 8, "a whole number of at least 1")]),
    ("[policies.login]\nrate = \"5/s\"\ncost = 6\n", &[(3, 8, "expected a cost of at most 5")]),
    ("[policies.login]\nrate = \"5/s\"\ncount = \"4xx\"\n", &[(3, 9, "expected one of \"all\"")]),
    (
        "[policies.login]\nrate = \"5/s\"\ncount = \"status:4xx,!4xx\"\n",
        &[(3, 9, "expected a list with at least one status that is not excluded")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\nmethods = \"post\"\n",
        &[(3, 11, "expected methods in capital letters")],
    ),
    ("[policies.login]\nrate = \"5/s\"\nban = \"15m\"\n", &[(3, 7, "expected a ban such as")]),
    (
        "[policies.login]\nrate = \"5/s\"\non_error = \"close\"\n",
        &[(3, 12, "\"closed\" (respond with 503)")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\ncandidate = \"3/sec.\"\nrollout = 10\n",
        &[(3, 13, "unknown unit of time `sec.`; did you mean `sec`?")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\nshadow = 3\n",
        &[(3, 10, "expected true or false, without quotes")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\nshadow = \"3/s\"\n",
        &[(3, 10, "for a candidate, write `candidate = \"3/minute\"`")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\ncandidate = true\n",
        &[(3, 13, "expected a rate in quotes")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\nshadow = true\ncandidate = \"3/s\"\n",
        &[(4, 13, "`candidate` conflicts with `shadow = true`; remove one of them")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\ncandidate = \"3/s\"\nrollout = 101\n",
        &[(4, 11, "a whole number of percent from 0 to 100")],
    ),
    (
        "[policies.login]\nrate = \"5/s\"\nshadow = true\nrollout = 10\n",
        &[(4, 11, "`rollout` requires a candidate rate")],
    ),
    ("[policies.login]\nrate = \"5/s\"\nrollout = 10\n", &[(3, 11, "such as `candidate = ")]),
    (
        "[policies.login]\nrate = \"5/s\"\ncandidate = \"3/s\"\ncost = 4\n",
        &[(4, 8, "expected a cost of at most 3")],
    ),
    // Files with invalid names or with values of a wrong type.
    ("[policies.\"log in\"]\nrate = \"5/s\"\n", &[(1, 11, "braces, found \"log in\"")]),
    ("[policies]\nlogin = \"5/s\"\n", &[(2, 9, "expected a table, such as `[policies.login]`")]),
    ("[[policies]]\nname = \"login\"\n", &[(1, 1, "expected a table for each policy")]),
    ("policies = 5\n", &[(1, 12, "expected a table for each policy")]),
    ("[plans]\nfree = \"10/min; free\"\n", &[(2, 8, "\"unlimited\" is also valid")]),
    ("[plans]\nfree = 10\n", &[(2, 8, "expected a table: `[plans]`")]),
    ("[plans]\n\"fr ee\" = \"1/s\"\n", &[(2, 1, "expected a name of 1 to 200 bytes")]),
    // Files with invalid exemptions.
    (
        "[access]\nallow_addresses = [\"10.0.0.1\", \"10.0.0\"]\n",
        &[(2, 32, "\"fd00::/8\", found `10.0.0`")],
    ),
    ("[access]\nallow_addresses = [\"::/0\"]\n", &[(2, 20, "allows all addresses")]),
    ("[access]\ndeny_addresses = \"10.0.0.1\"\n", &[(2, 18, "expected a list of addresses")]),
    ("[access]\ndeny_keys = [\"42\"]\n", &[(2, 14, "[{ key = \"user\", value = \"42\" }]")]),
    ("[access]\ndeny_keys = [{ key = \"user\" }]\n", &[(2, 14, "expected a list of tables")]),
    (
        "[access]\ndeny_keys = [{ key = \"usr\", value = \"42\" }]\n",
        &[(2, 22, "unknown key `usr`; did you mean `user`?")],
    ),
    (
        "[access]\ndeny_keys = [{ key = \"user+ip\", value = \"42\" }]\n",
        &[(2, 22, "expected a key of one part")],
    ),
    // Files with invalid settings of the guard.
    ("[guard]\ndeadline = \"0ms\"\n", &[(2, 12, "from 1 millisecond to 60 seconds")]),
    ("[guard]\ndeadline = \"soon\"\n", &[(2, 12, "found `soon`")]),
    ("[guard]\ndeadline = \"100\"\n", &[(2, 12, "such as \"100ms\", found `100`")]),
    ("[guard]\ndeadline = \"2 secnds\"\n", &[(2, 12, "did you mean `seconds`?")]),
    ("[policies.a]\nrate = \"5/s\"\nwait = 61\n", &[(3, 8, "expected a wait of at most 60 s")]),
    ("[policies.a]\nrate = \"5/s\"\nwait = \"soon\"\n", &[(3, 8, "found `soon`")]),
    ("[guard]\nmax_waiting = \"5\"\n", &[(2, 15, "or 0 for none, without quotes")]),
    ("[guard]\nmax_in_flight = \"4096\"\n", &[(2, 17, "of at least 1, without quotes")]),
    ("[guard]\nfail_closed_after = true\n", &[(2, 21, "expected a duration")]),
    ("[guard]\ndenial_cache_ttl = \"never\"\n", &[(2, 20, "found `never`")]),
    ("[guard]\ndenial_cache_ttl = true\n", &[(2, 20, "or 0 for no denial cache")]),
    ("[guard]\nreplicas = 0\n", &[(2, 12, "a whole number of at least 1")]),
    ("[guard]\noverrides = \"yes\"\n", &[(2, 13, "expected true or false, without quotes")]),
    ("[guard]\nmax_in_flight = \"many\"\n", &[(2, 17, "a whole number of at least 1")]),
    (
        "[guard]\nheaders = [\"x-ratelimit\", \"rfc\"]\n",
        &[(2, 27, "expected one of {dialects}, found `rfc`")],
    ),
    (
        "[guard]\nheaders = [\"x-ratelimit\", \"x-ratelimit-epoch\"]\n",
        &[(2, 11, "`x-ratelimit` and `x-ratelimit-epoch`; remove one of the two dialects")],
    ),
    ("[guard]\nrejection_body = \"html\"\n", &[(2, 18, "expected one of \"negotiated\"")]),
    ("[guard]\nmax_key_body = 0\n", &[(2, 16, "from 1 to 1048576")]),
    ("[guard]\nmax_key_body = 1_048_577\n", &[(2, 16, "from 1 to 1048576")]),
    ("[guard]\nretry_jitter = \"2h\"\n", &[(2, 16, "up to 1 hour")]),
    ("[guard]\nretry_jitter = \"1500ms\"\n", &[(2, 16, "a whole number of seconds")]),
    ("[guard.client_address]\nbehind = [\"0.0.0.0/0\"]\n", &[(2, 11, "trusts all addresses")]),
    (
        "[guard.client_address]\nheader = \"X Real\"\n",
        &[(2, 10, "expected the name of a header, found `X Real`")],
    ),
    ("[guard.client_address]\nipv6_prefix = 16\n", &[(2, 15, "from 32 to 128 bits")]),
    (
        "[guard.client_address]\nmax_ipv6_keys_per_48 = -1\nmax_ipv6_keys_per_32 = 4294967296\n",
        &[(2, 24, "or 0 for no maximum"), (3, 24, "or 0 for no maximum")],
    ),
    (
        "[guard.client_address]\ntrust_unix_sockets = \"yes\"\n",
        &[(2, 22, "expected true or false")],
    ),
    // Files with several errors.
    (
        "[guard]\non_error = \"shut\"\n\n[policies.a]\nrate = \"x\"\nkey = \"y\"\n\n[policies.b]\nbun = 1\n",
        &[
            (2, 12, "found `shut`"),
            (5, 8, "found `x`"),
            (6, 7, "unknown key `y`"),
            (9, 1, "did you mean `ban`?"),
        ],
    ),
];

const VALID_FILE: &str = "[policies.login]\nrate = \"5/minute\"\n";

fn check(text: &str, diagnostics: &[Diagnostic], expected: &[Expected]) {
    let messages: Vec<_> = diagnostics.iter().map(Diagnostic::to_string).collect();
    assert_eq!(diagnostics.len(), expected.len(), "{text}\n{messages:#?}");
    let dialects = HeaderDialect::ALL.map(|dialect| format!("{:?}", dialect.name())).join(", ");
    for (diagnostic, (line, column, part)) in diagnostics.iter().zip(expected) {
        assert_eq!(
            (diagnostic.line(), diagnostic.column()),
            (*line, *column),
            "{text}\n{diagnostic}"
        );
        let part = part.replace(DIALECTS, &dialects);
        assert!(diagnostic.message().contains(&part), "{text}\n{diagnostic}");
    }
}

#[test]
fn diagnostics_report_location_and_legal_values() {
    let folder = Folder::new();
    for (text, expected) in INVALID_FILES {
        let path = folder.file("rateguard.toml", text);
        let error = without_polling(&path).build().unwrap_err();
        let BuildError::PoliciesFile(file) = &error else { panic!("{error}") };
        check(text, file.diagnostics(), expected);
        let (line, column, _) = expected[0];
        assert!(error.to_string().starts_with(&format!("{path}:{line}:{column}: ")), "{error}");
        assert_eq!(
            error.to_string().lines().count(),
            expected.len(),
            "one line for each diagnostic"
        );
    }
}

#[test]
fn rejected_file_leaves_active_policies_unchanged() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", VALID_FILE);
    // This policy is defined in code, so a file without this policy is valid too.
    let login = Policy::new("login", "9/minute").unwrap();
    let guard = without_polling(&path).policy(login).build().unwrap();
    for (text, expected) in INVALID_FILES {
        fs::write(&path, text).unwrap();
        let error = guard.reload_policies().unwrap_err();
        check(text, error.diagnostics(), expected);
        let status = guard.policies_file().unwrap();
        assert_eq!(status.generation, 1);
        assert_eq!(status.error.unwrap().diagnostics(), error.diagnostics());
        assert_eq!(guard.policy("login").unwrap().quotas().to_string(), "5/minute");
    }
    fs::write(&path, VALID_FILE).unwrap();
    assert_eq!(guard.reload_policies().unwrap(), Reloaded::Unchanged);
    assert!(guard.policies_file().unwrap().error.is_none());
}

#[test]
fn invalid_utf8_is_reported_at_its_position() {
    let folder = Folder::new();
    let path = folder.file("rateguard.toml", "");
    fs::write(&path, b"# caf\xc3\xa9\n# caf\xe9\n").unwrap();
    let error = rejected(&path);
    check("", error.diagnostics(), &[(2, 6, "expected UTF-8")]);
}

/// Builds a guard with an invalid file, and returns the error.
fn rejected(path: &str) -> PoliciesFileError {
    match without_polling(path).build() {
        Err(BuildError::PoliciesFile(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn unreadable_file_is_an_error_without_diagnostics() {
    let folder = Folder::new();
    let missing = folder.path().join("missing.toml");
    let big = folder.file("big.toml", &"# a comment...\n".repeat(100_000));
    for (path, cause) in [
        (missing.to_str().unwrap(), "No such file"),
        (folder.text(), "expected a regular file"),
        ("/dev/zero", "expected a regular file"),
        (&big, "at most 1 MiB"),
    ] {
        let error = rejected(path);
        assert_eq!(error.diagnostics(), []);
        let message = error.to_string();
        let rest = message.strip_prefix(&format!("failed to read {path}: "));
        assert!(rest.is_some_and(|rest| rest.contains(cause)), "{message}");
        // The error of `build` has the same message as the error of the file. It has no source, because the source
        // would have the same text.
        let error = BuildError::PoliciesFile(error);
        assert_eq!(error.to_string(), message);
        assert!(error.source().is_none());
    }
}

#[test]
fn access_keys_never_appear_in_errors() {
    let folder = Folder::new();
    let secret = "sk-4711";
    for text in [
        "[access]\nallow_keys = [{ key = \"global\", value = \"sk-4711\" }]\n",
        "[access]\nallow_keys = [{ key = \"ip\", value = \"sk-4711\" }]\n",
        "[access]\nallow_keys = [{ key = \"bearer\", value = \"sk-4711\", vlue = \"sk-4711\" }]\n",
        "[access]\nallow_keys = [{ key = \"bearer\", value = \"sk-4711\" }\n",
        "[access]\nallow_keys = [{ key = \"bearer\", value = sk-4711 }]\n",
        "[access]\nallow_keys = \"sk-4711\"\n",
        "[access]\nallow_keys = [\"sk-4711\"]\n",
    ] {
        let error = rejected(&folder.file("rateguard.toml", text));
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
}
