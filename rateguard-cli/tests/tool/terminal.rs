//! Tests of colors and of a closed output.

use std::{io::Read, process::Stdio};

use crate::support::{Folder, command, run};

#[test]
fn output_has_colors_only_on_request() {
    let folder = Folder::new();
    let file = folder.file("valid.toml", "[policies.a]\nrate = \"5/minute\"\n");
    let colored =
        |color: &str| run(&["check", &file, "--color", color]).success().contains("\u{1b}[32m");
    assert_eq!(["auto", "always", "never"].map(colored), [false, true, false]);
    let mut no_color = command(&["check", &file]);
    assert!(!no_color.env("NO_COLOR", "1").output().unwrap().stdout.contains(&0x1b));
}

/// A pipe to `head` closes the output before the program has written all of it.
#[test]
fn closed_output_ends_the_program_silently() {
    let mut child = command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}
