//! For each setting of the builder, this test lists the field in the policies file, or the reason why the setting is
//! available only in code. The test fails if a new setting has neither a field nor a reason.

use std::{collections::BTreeSet, fs};

use super::schema::schema;

/// The place where a user can change a setting.
enum Location {
    /// The policies file has the setting, in these fields of the schema.
    In(&'static [&'static str]),
    /// The setting is available only in code, for this reason.
    Code(&'static str),
}

use Location::{Code, In};

const FUNCTION: &str = "it is a function";
const SHAPE: &str = "it defines where a limit applies, not what it does";

const GUARD: &[(&str, Location)] = &[
    ("store", Code("it is an object of the application")),
    ("memory_store", Code("it is an object of the application")),
    ("tls", Code("it has secrets, and belongs to the URL")),
    ("prefix", Code("it separates applications, and a change resets all counts")),
    ("deadline", In(&["guard.deadline"])),
    ("on_error", In(&["guard.on_error"])),
    ("fail_closed_after", In(&["guard.fail_closed_after"])),
    ("max_in_flight", In(&["guard.max_in_flight"])),
    ("max_waiting", In(&["guard.max_waiting"])),
    ("max_waiting_per_key", In(&["guard.max_waiting_per_key"])),
    ("denial_cache_ttl", In(&["guard.denial_cache_ttl"])),
    ("log_encoding", Code("it belongs to the store, which is an object of the application")),
    ("replicas", In(&["guard.replicas"])),
    ("overrides", In(&["guard.overrides"])),
    ("statistics", Code("it shows operators what happens, and changes no limit")),
    ("key_secret", Code("it is a secret")),
    ("policy", In(&["policies"])),
    ("plan", In(&["plans"])),
    ("for_attributes", Code(SHAPE)),
    ("policies_file", Code("it is the file")),
    ("policies_file_interval", Code("it is a setting of the file")),
    ("build", Code("it is not a setting")),
    ("client_address", In(&["guard.client_address"])),
    (
        "access",
        In(&[
            "access.allow_addresses",
            "access.deny_addresses",
            "access.allow_keys",
            "access.deny_keys",
        ]),
    ),
    ("headers", In(&["guard.headers"])),
    ("retry_jitter", In(&["guard.retry_jitter"])),
    ("max_key_body", In(&["guard.max_key_body"])),
    ("rejection_body", In(&["guard.rejection_body"])),
    ("on_reject", Code(FUNCTION)),
];

const MIDDLEWARE: &[(&str, Location)] = &[
    ("new", Code(SHAPE)),
    ("try_new", Code(SHAPE)),
    ("and", Code(SHAPE)),
    ("try_and", Code(SHAPE)),
    ("access", Code("it has no name; the guard's list is in the file")),
];

const LIMIT: &[(&str, Location)] = &[
    ("new", In(&["policies.*.rate", "policies.*.limit", "policies.*.window"])),
    ("plan", In(&["plans"])),
    ("policy", In(&["policies"])),
    ("key", In(&["policies.*.key"])),
    ("missing_key", In(&["policies.*.missing_key"])),
    ("name", In(&["policies"])),
    ("cost", In(&["policies.*.cost"])),
    ("count", In(&["policies.*.count"])),
    ("methods", In(&["policies.*.methods"])),
    ("exempt_routes", Code("routes are in the program")),
    ("headers", In(&["policies.*.headers"])),
    ("permissive", In(&["policies.*.permissive"])),
    ("plan_fallback", Code("the file has the plans, and not the limits that use them")),
    ("wait", In(&["policies.*.wait"])),
    ("skip", Code(FUNCTION)),
    ("ban", In(&["policies.*.ban"])),
    ("shadow", In(&["policies.*.shadow"])),
    ("candidate", In(&["policies.*.candidate"])),
    ("rollout", In(&["policies.*.rollout"])),
    ("lease", In(&["policies.*.lease"])),
    ("lease_for", In(&["policies.*.lease_for"])),
    ("concurrent", In(&["policies.*.concurrent"])),
    ("permit_lease", In(&["policies.*.permit_lease"])),
    ("on_reject", Code(FUNCTION)),
    ("on_error", In(&["policies.*.on_error"])),
];

const ATTRIBUTE: &[(&str, Location)] = &[
    ("limit", In(&["policies.*.limit"])),
    ("window", In(&["policies.*.window"])),
    ("rate", In(&["policies.*.rate"])),
    ("plan", In(&["plans"])),
    ("policy", In(&["policies"])),
    ("algorithm", In(&["policies.*.algorithm"])),
    ("burst", In(&["policies.*.burst"])),
    ("lease", In(&["policies.*.lease"])),
    ("lease_for", In(&["policies.*.lease_for"])),
    ("concurrent", In(&["policies.*.concurrent"])),
    ("permit_lease", In(&["policies.*.permit_lease"])),
    ("key", In(&["policies.*.key"])),
    ("missing_key", In(&["policies.*.missing_key"])),
    ("cost", In(&["policies.*.cost"])),
    ("count", In(&["policies.*.count"])),
    ("methods", In(&["policies.*.methods"])),
    ("headers", In(&["policies.*.headers"])),
    ("permissive", In(&["policies.*.permissive"])),
    ("plan_fallback", Code("the file has the plans, and not the limits that use them")),
    ("wait", In(&["policies.*.wait"])),
    ("skip", Code(FUNCTION)),
    ("ban", In(&["policies.*.ban"])),
    ("shadow", In(&["policies.*.shadow"])),
    ("candidate", In(&["policies.*.candidate"])),
    ("rollout", In(&["policies.*.rollout"])),
    ("name", In(&["policies"])),
    ("replaces", Code("the file has no handlers")),
    ("on_error", In(&["policies.*.on_error"])),
    ("on_reject", Code(FUNCTION)),
    ("limiter", Code(SHAPE)),
    ("crate", Code(SHAPE)),
];

const POLICY: &[(&str, Location)] = &[
    ("new", In(&["policies.*.rate"])),
    ("on_error", In(&["policies.*.on_error"])),
    ("ban", In(&["policies.*.ban"])),
    ("shadow", In(&["policies.*.shadow"])),
    ("candidate", In(&["policies.*.candidate"])),
    ("rollout", In(&["policies.*.rollout"])),
    ("is_in_shadow", In(&["policies.*.shadow"])),
    ("name", In(&["policies"])),
    ("quotas", In(&["policies.*.rate"])),
];

const ACCESS: &[(&str, Location)] = &[
    ("new", In(&["access"])),
    ("allow_addresses", In(&["access.allow_addresses"])),
    ("deny_addresses", In(&["access.deny_addresses"])),
    ("allow_keys", In(&["access.allow_keys"])),
    ("deny_keys", In(&["access.deny_keys"])),
];

const ADDRESS: &[(&str, Location)] = &[
    ("peer", In(&["guard.client_address"])),
    ("behind", In(&["guard.client_address.behind"])),
    ("trusting_every_peer_dangerously", Code("it is dangerous")),
    ("header", In(&["guard.client_address.header"])),
    ("trust_unix_sockets", In(&["guard.client_address.trust_unix_sockets"])),
    ("ipv6_prefix", In(&["guard.client_address.ipv6_prefix"])),
    ("max_ipv6_keys_per_48", In(&["guard.client_address.max_ipv6_keys_per_48"])),
    ("max_ipv6_keys_per_32", In(&["guard.client_address.max_ipv6_keys_per_32"])),
    ("address", Code("it is not a setting")),
];

fn source(path: &str) -> String {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the public, documented functions of the type with this name, from all source files of the libraries.
fn functions(type_name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<String> = ["rateguard", "rateguard-core"]
        .map(|name| format!("{}/../{name}/src", env!("CARGO_MANIFEST_DIR")))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path().to_str().unwrap().to_owned();
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                let (mut is_in_impl, mut is_hidden) = (false, false);
                for line in fs::read_to_string(path).unwrap().lines() {
                    if line.starts_with("impl") {
                        is_hidden = false;
                        let (plain, generic) =
                            (format!(" {type_name} {{"), format!(" {type_name}<"));
                        is_in_impl = line.ends_with(&plain) || line.contains(&generic);
                        is_in_impl &= !line.contains(" for ");
                    }
                    if line.trim() == "#[doc(hidden)]" {
                        is_hidden = true;
                        continue;
                    }
                    let name = line.strip_prefix("    pub const fn ");
                    let name = name.or_else(|| line.strip_prefix("    pub fn "));
                    let Some(name) = name else { continue };
                    if is_in_impl && !std::mem::take(&mut is_hidden) {
                        found.insert(name.split(['(', '<']).next().unwrap().to_owned());
                    }
                }
            }
        }
    }
    found
}

/// Returns the arguments that the attribute macro accepts.
fn arguments() -> BTreeSet<String> {
    let text = source("rateguard-macros/src/args.rs");
    let lines =
        text.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split_once("\", |to"));
    lines.map(|(name, _)| name.to_owned()).collect()
}

/// Returns the paths of all fields in the schema. In a path, `*` stands for a name that the user chooses.
fn fields() -> BTreeSet<String> {
    let schema = schema();
    let (mut found, mut open) = (BTreeSet::new(), vec![(String::new(), schema.clone())]);
    while let Some((path, value)) = open.pop() {
        let reference = value.get("$ref").and_then(|it| it.as_str());
        let value = match reference {
            Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap().clone(),
            None => value,
        };
        let below =
            |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (name, property) in
            value.get("properties").and_then(|it| it.as_object()).into_iter().flatten()
        {
            found.insert(below(name));
            open.push((below(name), property.clone()));
        }
        if let Some(any) = value.get("additionalProperties").filter(|it| it.is_object()) {
            open.push((below("*"), any.clone()));
        }
    }
    found
}

#[test]
fn every_builder_setting_is_in_the_file_or_justified() {
    let fields = fields();
    let mut used = BTreeSet::new();
    for (subject, table, found) in [
        ("RateGuardBuilder", GUARD, functions("RateGuardBuilder")),
        ("RateLimit", MIDDLEWARE, functions("RateLimit")),
        ("Limit", LIMIT, functions("Limit")),
        ("#[rate_limit]", ATTRIBUTE, arguments()),
        ("Policy", POLICY, functions("Policy")),
        ("AccessList", ACCESS, functions("AccessList")),
        ("ClientAddress", ADDRESS, functions("ClientAddress")),
    ] {
        let listed: BTreeSet<_> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(
            found, listed,
            "{subject}: list the field of each setting, or the reason for none"
        );
        for (name, location) in table {
            match location {
                In(paths) => {
                    for path in *paths {
                        assert!(
                            fields.contains(*path),
                            "{subject}, {name}: the schema has no {path}"
                        );
                        used.insert((*path).to_owned());
                    }
                }
                Code(reason) => assert!(!reason.is_empty()),
            }
        }
    }
    // The table `guard` only contains other fields. It is not a setting itself.
    used.extend(["guard".to_owned()]);
    assert_eq!(fields, used, "these fields have no setting in code");
}
