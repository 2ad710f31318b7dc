//! Tests the JSON schema, which is made for editors. The schema must accept exactly the files that the library
//! accepts.

use std::fs;

use actix_rateguard::{Algorithm, headers::HeaderDialect};
use boon::{Compiler, Schemas};
use serde_json::Value;

use super::{rejected_files, without_polling};
use crate::support::folder::Folder;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../schema/rateguard.schema.json");

/// Parts of messages for errors that a JSON schema cannot express, such as two values that contradict each other.
const NOT_IN_SCHEMA: &[&str] = &[
    "the file is empty",
    "expected a cost of at most",
    "`algorithm` conflicts with `fixed_window`",
    "`burst` requires `algorithm",
    "`burst` requires a single quota",
    "found `10.0.0`",
    "allows all addresses",
    "trusts all addresses",
    "expected a key of one part",
    "from 1 millisecond to 60 seconds",
    "up to 1 hour",
    "at least one status that is not excluded",
];

pub(super) fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(PATH).unwrap()).unwrap()
}

/// Returns whether the schema accepts a text, or `None` if the text is not TOML.
fn accepts(text: &str) -> Option<bool> {
    let value: Value = toml::from_str(text).ok()?;
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("rateguard.json", schema()).unwrap();
    let index = compiler.compile("rateguard.json", &mut schemas).unwrap();
    Some(schemas.validate(&value, index).is_ok())
}

#[test]
fn schema_rejects_every_rejected_file_it_can_express() {
    let mut compared = 0;
    for (text, diagnostics) in rejected_files::INVALID_FILES {
        let is_exempt = |part: &str| NOT_IN_SCHEMA.iter().any(|message| part.contains(message));
        let is_exempt = diagnostics.iter().all(|(.., part)| is_exempt(part));
        if let Some(is_accepted) = accepts(text) {
            assert_eq!(is_accepted, is_exempt, "{text}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

/// Valid files. Together they contain every field, and each field in all of its forms.
const VALID_FILES: &[&str] = &[
    "",
    "# nothing\n",
    include_str!("../../../examples/rateguard.toml"),
    r#"
        [guard]
        on_error = "local"
        fail_closed_after = "10m"
        deadline = 1
        max_in_flight = 100
        max_waiting = 0
        max_waiting_per_key = 20
        denial_cache_ttl = 0
        replicas = 3
        overrides = true
        headers = ["x-ratelimit", "draft"]
        retry_jitter = "5s"
        max_key_body = 1_048_576
        rejection_body = "text"
        [guard.client_address]
        behind = ["10.0.0.0/8", "fd00::/8", "::ffff:10.1.2.3"]
        header = "CF-Connecting-IP"
        ipv6_prefix = 56
        max_ipv6_keys_per_48 = 0
        max_ipv6_keys_per_32 = 4_294_967_295
        trust_unix_sockets = false
    "#,
    r#"
        access.allow_addresses = ["10.0.0.1", "2001:db8::/32"]
        access.deny_addresses = []
        access.allow_keys = [{ key = "header:X-Api-Key", value = "a b c" }]
        access.deny_keys = [{ key = "ip/56", value = "2001:db8::1" }, { value = "7", key = "path:id" }]
    "#,
    "[policies.exports]\nconcurrent = 5\n",
    "[plans]\nfree = \"10/minute; 100/day\"\n\"a/b\" = \"unlimited\"\n",
];

/// Values that one field of a policy may get. The quota of this policy is 5 units per minute. There is at least one
/// value for each form that the schema distinguishes.
const VALUES: &[&str] = &[
    "key = \"ip\"",
    "key = \"ip/128\"",
    "key = \"user+path:tenant\"",
    "key = \"identity+session:user_id\"",
    "key = \"bearer\"",
    "key = \"global\"",
    "key = \"header:X-Api-Key+cookie:session\"",
    "key = \"json:/user/a~1b+form:e mail\"",
    "missing_key = \"ip\"",
    "missing_key = \"deny\"",
    "missing_key = \"skip\"",
    "cost = 5",
    "count = \"all\"",
    "count = \"success\"",
    "count = \"failure\"",
    "count = \"status:401\"",
    "count = \"status:4xx\"",
    "count = \"status:401,403\"",
    "count = \"status: 4xx , !404\"",
    "count = \"status:!5xx\"",
    "methods = \"POST\"",
    "methods = \" POST , M-SEARCH\"",
    "wait = \"2s\"",
    "wait = \"0s\"",
    "wait = 60",
    "ban = \"10/hour for 15m\"",
    "ban = \"10 per 2 hours for 15 minutes up to 1d\"",
    "headers = true",
    "headers = false",
    "permissive = true",
    "permissive = false",
    "shadow = true",
    "shadow = false",
    "candidate = \"3/minute; 4/h fixed_window\"",
    "shadow = false\ncandidate = \"10/minute\"",
    "candidate = \"10/minute\"\nrollout = 0",
    "candidate = \"10/minute\"\nrollout = 100",
    "on_error = \"open\"",
    "on_error = \"closed\"",
    "on_error = \"local\"",
    "algorithm = \"sliding_window\"",
    "algorithm = \"sliding_window_counter\"",
    "algorithm = \"fixed_window\"",
    "algorithm = \"token_bucket\"\nburst = 20",
    "lease = 2",
    "lease = \"40%\"\nlease_for = \"500ms\"",
    "lease = 2\nlease_for = 10",
    "concurrent = 5",
    "concurrent = 5\npermit_lease = \"1m\"",
    "concurrent = 5\npermit_lease = 30",
];

const RATES: &[&str] = &[
    "5/minute",
    "5/m",
    "5 / 60s",
    " 5 per minute ",
    "5 per 60 seconds",
    "5/1min",
    "100/10s",
    "1000/week",
    "5 per 2 weeks",
    "7/1w",
    "2147483648/365 days",
    "7/1500 microseconds",
    "5/s;7 per 2 m ",
    "5/minute fixed_window; 100/second token_bucket burst 20",
    "1/s;2/s;3/s;4/s;5/s;6/s;7/s;8/s",
    "1000/minute lease 50",
    "1000/minute sliding_window lease 5% for 500 ms",
    "1000/calendar day",
    " 10000 per calendar  month Europe/Berlin ; 5/calendar hour Etc/GMT+5",
    "5 concurrent",
    " 5 concurrent lease 30s",
    "5/second; 100/minute; 3 concurrent lease 1 minute",
];

#[test]
fn schema_accepts_valid_files() {
    let folder = Folder::new();
    let policy = |field: &str| format!("[policies.\"a/b\"]\nlimit = 5\nwindow = \"1m\"\n{field}\n");
    let rate = |rate: &str| format!("[policies]\na = {{ rate = \"{rate}\" }}\n");
    let with_algorithm = |(_, name): (Algorithm, &str)| {
        [policy(&format!("algorithm = \"{name}\"")), rate(&format!("5/minute {name}"))]
    };
    let all = VALID_FILES.iter().map(|text| (*text).to_owned());
    let all =
        all.chain(VALUES.iter().map(|field| policy(field))).chain(RATES.iter().map(|it| rate(it)));
    let all = all.chain(Algorithm::NAMES.into_iter().flat_map(with_algorithm));
    for text in all {
        assert_eq!(accepts(&text), Some(true), "{text}");
        if !text.trim().is_empty() {
            let path = folder.file("rateguard.toml", &text);
            without_polling(path).build().unwrap_or_else(|error| panic!("{error}\n{text}"));
        }
    }
}

#[test]
fn schema_accepts_algorithm_of_a_ban_like_the_library() {
    let folder = Folder::new();
    for (_, name) in Algorithm::NAMES {
        let text =
            format!("[policies.a]\nrate = \"5/s\"\nban = \"10/hour {name} for 15m up to 1d\"\n");
        let is_valid = without_polling(folder.file("x.toml", &text)).build().is_ok();
        assert_eq!(accepts(&text), Some(is_valid), "{text}");
    }
}

#[test]
fn schema_lists_header_dialects_and_rejects_conflicting_pairs() {
    let schema = schema();
    let listed = schema.pointer("/definitions/guard/properties/headers/items/enum").unwrap();
    assert_eq!(*listed, Value::from(HeaderDialect::ALL.map(HeaderDialect::name).to_vec()));
    for one in HeaderDialect::ALL {
        for other in HeaderDialect::ALL {
            let names = [one.name(), other.name()];
            let text = format!("[guard]\nheaders = {names:?}\n");
            assert_eq!(accepts(&text), Some(!one.conflicts_with(other)), "{text}");
        }
    }
}

#[test]
fn schema_properties_match_the_fields_in_messages() {
    let folder = Folder::new();
    for (text, pointer) in [
        ("x = 1", "/properties"),
        ("[guard]\nx = 1", "/definitions/guard/properties"),
        (
            "[guard.client_address]\nx = 1",
            "/definitions/guard/properties/client_address/properties",
        ),
        ("[access]\nx = 1", "/definitions/access/properties"),
        ("access.deny_keys = [{ x = 1 }]", "/definitions/keys/items/properties"),
        ("[policies.a]\nx = 1", "/definitions/policy/properties"),
    ] {
        let error = without_polling(folder.file("x.toml", text)).build().unwrap_err().to_string();
        let (_, legal) = error.split_once("expected one of `").unwrap_or_else(|| panic!("{error}"));
        let mut legal: Vec<_> = legal.trim_end_matches('`').split("`, `").collect();
        legal.sort_unstable();
        let schema = schema();
        let properties = schema.pointer(pointer).unwrap().as_object().unwrap();
        let mut names: Vec<_> = properties.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(legal, names, "{pointer}");
    }
}
