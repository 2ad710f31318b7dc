//! Tests the settings of leases in the middleware and in a policies file. `tests/ui` tests those of the attribute.

use std::fs;

use actix_rateguard::{Limit, RateGuard, RateLimit};

use crate::support::folder::Folder;

fn middleware(limit: Limit) -> Result<RateLimit, String> {
    let guard = RateGuard::in_memory();
    RateLimit::try_new(&guard, limit).map_err(|error| error.to_string())
}

#[test]
fn middleware_accepts_a_lease() {
    for limit in [
        Limit::new("100/minute").lease(10),
        Limit::new("100/minute").lease("5%").lease_for("500ms"),
        Limit::new("100/minute lease 10"),
        Limit::new("100/minute token_bucket").lease("5%"),
        Limit::new("100/minute token_bucket burst 400").lease(200),
    ] {
        assert_eq!(middleware(limit).err(), None);
    }
}

#[test]
fn middleware_rejects_an_invalid_lease() {
    for (limit, part) in [
        (Limit::new("100/minute").lease(1), "from 2 to 1000 units"),
        (Limit::new("100/minute").lease(51), "at most half of the limit"),
        (Limit::new("100/minute").lease("60%"), "from \"1%\" to \"50%\""),
        (Limit::new("100/minute").lease(10).lease_for("11s"), "at most a quarter of the window"),
        (Limit::new("100/minute").lease_for("1s"), "`lease_for` requires `lease`"),
        (Limit::new("100/minute; 9/second").lease(10), "requires a single quota"),
        (Limit::new("100/minute").lease(10).concurrent(5), "requires a single quota"),
        (Limit::new("100/minute fixed_window").lease(10), "or \"token_bucket\""),
        (
            Limit::new("100/minute token_bucket burst 20").lease(11),
            "of the burst of a token bucket",
        ),
        (Limit::new("100/minute").lease(10).shadow(), "`shadow` conflicts with a lease"),
        (Limit::new("100/minute").lease(10).candidate("5/minute"), "`candidate` conflicts"),
        (Limit::new("100/minute").candidate("50/minute lease 5"), "a candidate cannot have"),
        (Limit::new("100/minute").lease(10).ban("3/hour for 1m"), "`ban` conflicts"),
        (Limit::policy("search").lease(10), "already sets this"),
    ] {
        let error = middleware(limit).err().unwrap();
        assert!(error.contains(part), "{part}: {error}");
    }
}

fn file(text: &str) -> Result<String, String> {
    let folder = Folder::new();
    let path = folder.path().join("limits.toml");
    fs::write(&path, text).unwrap();
    let guard = RateGuard::builder().policies_file(&path).build();
    let guard = guard.map_err(|error| error.to_string())?;
    Ok(guard.policy("a").unwrap().quotas().to_string())
}

#[test]
fn policies_file_accepts_a_lease() {
    for (fields, quotas) in [
        ("rate = \"1000/minute\"\nlease = 50", "1000/minute lease 50"),
        ("limit = 1000\nwindow = \"1m\"\nlease = \"5%\"", "1000/minute lease 50"),
        (
            "rate = \"1000/minute\"\nlease = 50\nlease_for = \"500ms\"",
            "1000/minute lease 50 for 500 milliseconds",
        ),
        ("rate = \"1000/minute lease 50\"", "1000/minute lease 50"),
        (
            "rate = \"1000/minute\"\nalgorithm = \"token_bucket\"\nburst = 200\nlease = \"5%\"",
            "1000/minute token_bucket burst 200 lease 10",
        ),
    ] {
        assert_eq!(file(&format!("[policies.a]\n{fields}")).as_deref(), Ok(quotas), "{fields}");
    }
}

#[test]
fn policies_file_rejects_an_invalid_lease() {
    for (fields, part) in [
        ("lease = 1", "expected a lease in units such as 50"),
        ("lease = 900", "at most half of the limit"),
        ("lease = \"5 %%\"", "from \"1%\" to \"50%\""),
        ("lease = true", "expected a lease in units such as 50"),
        ("lease = 50\nlease_for = \"50ms\"", "from 100 milliseconds to 10 seconds"),
        ("lease_for = \"1s\"", "`lease_for` requires `lease`"),
        ("lease = 50\nban = \"3/hour for 1m\"", "`ban` conflicts with a lease"),
        ("lease = 50\nshadow = true", "`shadow` conflicts with a lease"),
        ("lease = 50\nconcurrent = 5", "requires a single quota"),
        ("lease = 50\nalgorithm = \"fixed_window\"", "requires the algorithm"),
        ("lease = 50\nalgorithm = \"token_bucket\"\nburst = 99", "of the burst of a token bucket"),
    ] {
        let error = file(&format!("[policies.a]\nrate = \"1000/minute\"\n{fields}")).unwrap_err();
        assert!(error.contains(part), "{fields}: {error}");
    }
}
