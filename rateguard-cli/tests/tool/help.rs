//! Tests of the help texts and the completions.

use crate::support::run;

#[test]
fn help_lists_commands_examples_and_exit_codes() {
    let help = run(&["--help"]).success();
    for part in [
        "check",
        "explain",
        "replay",
        "top",
        "peek",
        "reset",
        "ban",
        "unban",
        "override",
        "permits",
        "bench",
        "completions",
        "Examples:",
        "Exit codes:",
        "  4  the server or Redis refused the credentials",
    ] {
        assert!(help.contains(part), "expected {part}, found {help}");
    }
}

#[test]
fn help_of_each_command_has_examples_that_name_the_command() {
    for command in [
        "check",
        "explain",
        "top",
        "peek",
        "reset",
        "ban",
        "unban",
        "override",
        "permits",
        "bench",
        "completions",
    ] {
        let help = run(&[command, "--help"]).success();
        assert!(help.contains("Examples:\n"), "{help}");
        assert!(help.contains(&format!("rateguard {command}")), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
}

/// clap wraps long lines of examples, and a wrapped command cannot be copied.
#[test]
fn examples_are_not_wrapped() {
    for command in [
        "check",
        "explain",
        "top",
        "peek",
        "reset",
        "ban",
        "unban",
        "override",
        "permits",
        "bench",
        "completions",
    ] {
        let help = run(&[command, "--help"]).success();
        let examples = help.split("Examples:\n").nth(1).unwrap();
        let examples = examples.split("\n\n").next().unwrap();
        let mut is_continued = false;
        for line in examples.lines() {
            assert!(
                is_continued || line.starts_with("  rateguard") || line.starts_with("  RATEGUARD_"),
                "{line}"
            );
            is_continued = line.ends_with('\\');
        }
    }
}

#[test]
fn missing_command_is_a_usage_error() {
    assert_eq!(run(&[]).code, 2);
    assert_eq!(run(&["chekc"]).code, 2);
}

#[test]
fn completions_exist_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).success();
        assert!(script.contains("override"), "{shell}");
    }
}
