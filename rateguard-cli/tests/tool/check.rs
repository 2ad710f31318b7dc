//! Tests of `rateguard check`.

use crate::support::{Folder, run};

const VALID: &str = "[plans]\nfree = \"10/minute\"\n[policies.search]\nrate = \"5/minute\"\nkey = \"ip\"\n[policies.login]\nrate = \"5/minute\"\n";

#[test]
fn valid_file_is_reported_in_one_line() {
    let folder = Folder::new();
    let file = folder.file("valid.toml", VALID);
    let finished = run(&["check", &file]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    assert_eq!(finished.stdout, format!("{file}: valid, 2 policies, 1 plan\n"));
}

#[test]
fn each_error_has_its_place_and_the_line_of_the_file() {
    let folder = Folder::new();
    let file = folder.file(
        "bad.toml",
        "[policies.search]\nrtae = \"5/minute\"\n\n[policies.login]\nrate = \"5/minut\"\n",
    );
    let finished = run(&["check", &file]);
    assert_eq!(finished.code, 1);
    for expected in [
        "error: unknown field `rtae`; did you mean `rate`?",
        &format!(" --> {file}:2:1\n  |\n2 | rtae = \"5/minute\"\n  | ^\n"),
        &format!(" --> {file}:5:8\n  |\n5 | rate = \"5/minut\"\n  |        ^\n"),
        &format!("{file}: invalid, 2 errors\n"),
    ] {
        assert!(
            finished.stdout.contains(expected),
            "expected {expected}, found {}",
            finished.stdout
        );
    }
}

#[test]
fn json_lists_files_and_errors() {
    let folder = Folder::new();
    let (valid, bad) =
        (folder.file("valid.toml", VALID), folder.file("bad.toml", "[policies.a]\nrate = 5\n"));
    let finished = run(&["check", &valid, &bad, "--json"]);
    let json = finished.json();
    assert_eq!((finished.code, &json["version"]), (1, &1.into()));
    assert_eq!((&json["files"][0]["policies"], &json["files"][0]["plans"]), (&2.into(), &1.into()));
    assert_eq!(json["files"][1]["is_valid"], false);
    assert_eq!(json["files"][1]["errors"][0]["line"], 2);
}

#[test]
fn missing_file_is_a_usage_error() {
    let finished = run(&["check", "/nonexistent/rateguard.toml"]);
    assert_eq!((finished.code, finished.stdout.as_str()), (2, ""));
    assert!(
        finished.stderr.contains("failed to read /nonexistent/rateguard.toml: entity not found"),
        "{finished:?}"
    );
}

#[test]
fn text_of_a_file_cannot_control_the_terminal() {
    let folder = Folder::new();
    let file = folder.file("bad.toml", "[policies.a]\nrate = \"\u{202e}5/minute\u{9b}2J\"\n");
    for arguments in [&["check", &file][..], &["check", &file, "--json"]] {
        let stdout = run(arguments).stdout;
        assert!(!stdout.contains(['\u{202e}', '\u{9b}', '\u{1b}']), "{stdout:?}");
        assert!(stdout.contains("202e"), "{stdout:?}");
    }
}
