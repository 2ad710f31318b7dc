//! Finds files that cargo has built: libraries with which a test compiles code, and examples that a test runs.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// Runs `cargo build` with the dependencies and features of `cargo test --workspace`, and returns the artifacts.
///
/// If `cargo test --workspace` has already run, cargo compiles nothing again. The build includes an example, because
/// only then cargo uses the features of the development dependencies, as it does for tests.
fn artifacts() -> &'static [Value] {
    static ARTIFACTS: OnceLock<Vec<Value>> = OnceLock::new();
    ARTIFACTS.get_or_init(|| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Cargo sets these variables only for tests. If they were set, some build scripts would run again, because the
        // values differ from the values in the first build.
        let is_set_for_test = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_"]
                .iter()
                .any(|it| name.starts_with(it))
        };
        for (name, _) in env::vars().filter(|(name, _)| is_set_for_test(name)) {
            cargo.env_remove(name);
        }
        let output = cargo
            .args(["build", "--quiet", "--locked", "--workspace"])
            .args(["--example", "quickstart", "--example", "behind_nginx"])
            .args(["--example", "concurrent_exports", "--example", "hot_key"])
            .args(["--example", "slow_down"])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "cargo builds the example");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    })
}

/// Returns the only artifact of this kind and name. Panics if there is no such artifact, or more than one.
fn artifact(kind: &str, name: &str) -> &'static Value {
    let matches = |it: &Value| it["target"]["kind"][0] == kind && it["target"]["name"] == name;
    let mut found = artifacts().iter().filter(|it| matches(it));
    let artifact = found.next().unwrap_or_else(|| panic!("cargo built no {kind} {name}"));
    assert!(found.next().is_none(), "cargo built more than one {kind} {name}");
    artifact
}

/// Returns the path of the program that cargo has built from this example.
pub fn example(name: &str) -> &'static Path {
    Path::new(artifact("example", name)["executable"].as_str().unwrap())
}

/// Returns the path of the `.rlib` file that cargo has built from this library.
pub fn library(name: &str) -> PathBuf {
    let files = artifact("lib", name)["filenames"].as_array().unwrap();
    let mut files = files.iter().map(|file| Path::new(file.as_str().unwrap()));
    files.find(|file| file.extension().is_some_and(|it| it == "rlib")).unwrap().to_owned()
}
