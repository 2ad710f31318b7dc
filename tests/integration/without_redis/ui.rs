//! Tests the messages of the compiler for invalid attributes. Each case is one file in `ui/`.
//!
//! The test compiles each file with the libraries that cargo has already built for the other tests. If the environment
//! variable `UPDATE_UI` is set to 1, the test writes the expected messages to the `.stderr` files.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::{artifacts::library, folder::Folder};

/// Returns the paths of the files in `ui/` that have this extension. The extension is removed from the paths.
fn stems(extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir("ui").unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|it| it == extension));
    let mut stems: Vec<PathBuf> = files.map(|file| file.with_extension("")).collect();
    stems.sort();
    stems
}

/// Runs the compiler on a file, but does not let it generate machine code.
fn compile(file: &Path, libraries: &[(&str, PathBuf)], into: &Folder) -> Output {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=bin", "--crate-name=ui", "--emit=metadata"]);
    rustc.args(["--color=never", "--diagnostic-width=140", "--allow=dead_code"]);
    // In its messages, rustc shows a line of the library only if it finds the source file. Therefore rustc must run
    // in the same directory as the build of cargo.
    rustc.current_dir(workspace()).arg("--remap-path-prefix=tests/=");
    for (name, path) in libraries {
        rustc.arg(format!("--extern={name}={}", path.display()));
        rustc.arg(format!("-Ldependency={}", path.parent().unwrap().display()));
    }
    rustc.arg("--out-dir").arg(into.path()).arg(Path::new("tests").join(file)).output().unwrap()
}

/// Returns the compiler's messages without the parts that may change: the final summary, the line numbers in files
/// that do not belong to the test, and the paths of temporary files to which rustc writes long types.
fn normalize(messages: &str) -> String {
    let is_summary = |message: &&str| {
        let begins =
            ["error: aborting due to ", "For more information about ", "Some errors have "];
        begins.iter().any(|begin| message.starts_with(begin))
    };
    let long_type =
        ["the full name for the type has been written to", "consider using `--verbose`"];
    let is_long_type = |line: &&str| long_type.iter().any(|part| line.contains(part));
    let lines: Vec<&str> = messages.lines().filter(|line| !is_long_type(line)).collect();
    let messages = lines.join("\n");
    let messages = messages.trim_end().split("\n\n").filter(|message| !is_summary(message));
    messages.map(normalize_message).collect::<Vec<_>>().join("\n\n") + "\n"
}

/// Normalizes one message. Because some line numbers are removed, the margin becomes as narrow as the remaining line
/// numbers permit.
fn normalize_message(message: &str) -> String {
    let arrow = |line: &str| ["--> ", "::: "].iter().any(|it| line.trim_start().starts_with(it));
    let Some(margin) = message.lines().find(|line| arrow(line)).and_then(|line| line.find("--> "))
    else {
        return message.to_owned();
    };
    let mut is_foreign_file = false;
    let has_margin =
        |line: &str| line.starts_with([' ', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    let lines: Vec<String> = message
        .lines()
        .map(|line| {
            if arrow(line) {
                let (arrow, path) = line[margin..].split_at(4);
                let path = path.split(':').next().unwrap();
                is_foreign_file = !path.starts_with("ui/");
                if is_foreign_file {
                    let path = Path::new(path);
                    let path = path.strip_prefix(workspace()).unwrap_or(path).display();
                    return format!("{:margin$}{arrow}$WORKSPACE/{path}", "");
                }
            }
            match is_foreign_file && has_margin(line) {
                true => format!("{:margin$}{}", "", &line[margin..]),
                false => line.to_owned(),
            }
        })
        .collect();
    let numbered =
        lines.iter().filter(|line| has_margin(line) && !line[..margin].trim().is_empty());
    let spare = numbered.map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    let narrow = |line: &String| line[if has_margin(line) { spare } else { 0 }..].to_owned();
    lines.iter().map(narrow).collect::<Vec<_>>().join("\n")
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Returns the difference between the messages of the compiler and the expected messages, or `None` if they are
/// equal.
fn difference(stem: &Path, output: &Output) -> Option<String> {
    let (file, expectation) = (stem.with_extension("rs"), stem.with_extension("stderr"));
    let actual = normalize(&String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Some(format!("{} compiles:\n{actual}", file.display()));
    }
    let expected = fs::read_to_string(&expectation).unwrap_or_default();
    if actual == expected {
        return None;
    }
    if env::var_os("UPDATE_UI").is_some() {
        fs::write(&expectation, actual).unwrap();
        return None;
    }
    Some(format!("{}: expected\n{expected}\nfound\n{actual}", file.display()))
}

#[test]
fn invalid_attributes_are_rejected_with_the_expected_messages() {
    let libraries = ["actix_web", "actix_rateguard"].map(|name| (name, library(name)));
    let folder = Folder::new();
    let sources = stems("rs");
    assert!(!sources.is_empty());
    assert_eq!(sources, stems("stderr"), "each .rs file needs a .stderr file");
    let differences: Vec<String> = sources
        .iter()
        .filter_map(|stem| {
            difference(stem, &compile(&stem.with_extension("rs"), &libraries, &folder))
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
