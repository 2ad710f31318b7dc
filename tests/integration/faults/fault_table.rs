//! Checks that each test in the table of faults exists, and that the table contains every test of the module
//! `faults`.

use std::{collections::BTreeSet, fs, path::Path};

use super::FAULTS;

/// Returns the names of all integration tests, which it finds in their source files.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration");
    let (mut folders, mut names) = (vec![root.clone()], BTreeSet::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let module = path.strip_prefix(&root).unwrap().with_extension("");
                let module = module.to_str().unwrap().replace('/', "::");
                let text = fs::read_to_string(&path).unwrap();
                names.extend(names_in(&text).map(|name| format!("{module}::{name}")));
            }
        }
    }
    names
}

/// Returns the names of all functions that have a test attribute.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let after_attribute = text.split("#[").filter(|after| {
        let path = after.split(['(', ']']).next();
        path.is_some_and(|path| path.split("::").last() == Some("test"))
    });
    after_attribute.filter_map(|after| after.split_once("fn ")?.1.split('(').next())
}

#[test]
fn fault_table_matches_existing_tests() {
    let existing = tests();
    let named: BTreeSet<_> = FAULTS.iter().flat_map(|(_, tests)| *tests).copied().collect();
    for name in &named {
        assert!(existing.contains(*name), "there is no test {name}");
    }
    for name in &existing {
        let is_fault_test =
            name.starts_with("faults::") && !name.starts_with("faults::fault_table::");
        assert!(!is_fault_test || named.contains(&**name), "{name} is in no row of the table");
    }
    for (number, (fault, tests)) in (1..).zip(FAULTS) {
        println!("{number:>2} {fault}: {} tests", tests.len());
    }
    println!("{} faults are injected by {} tests", FAULTS.len(), named.len());
    assert!(FAULTS.iter().all(|(_, tests)| !tests.is_empty()));
}
