//! Files that cargo has built: libraries to compile against, and examples to run.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// Asks cargo for the files of a build with the dependencies and features of `cargo test --workspace`.
///
/// After that command nothing is left to build: an example is selected because only then cargo activates the features
/// of development dependencies, as it does for tests.
fn artifacts() -> &'static [Value] {
    static ARTIFACTS: OnceLock<Vec<Value>> = OnceLock::new();
    ARTIFACTS.get_or_init(|| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Some build scripts run again if a variable differs that cargo sets for this test.
        let of_this_test = |name: &str| {
            ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_"]
                .iter()
                .any(|it| name.starts_with(it))
        };
        for (name, _) in env::vars().filter(|(name, _)| of_this_test(name)) {
            cargo.env_remove(name);
        }
        let output = cargo
            .args(["build", "--quiet", "--locked", "--workspace", "--example", "quickstart"])
            .arg("--message-format=json-render-diagnostics")
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success(), "cargo builds the example");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    })
}

/// Returns the only artifact of this kind and name.
fn artifact(kind: &str, name: &str) -> &'static Value {
    let target = |it: &Value| it["target"]["kind"][0] == kind && it["target"]["name"] == name;
    let mut found = artifacts().iter().filter(|it| target(it));
    let artifact = found.next().unwrap_or_else(|| panic!("cargo builds the {kind} {name}"));
    assert!(found.next().is_none(), "cargo builds the {kind} {name} once");
    artifact
}

/// Returns the program of an example.
pub fn example(name: &str) -> &'static Path {
    Path::new(artifact("example", name)["executable"].as_str().unwrap())
}

/// Returns the `.rlib` file of a library.
pub fn library(name: &str) -> PathBuf {
    let files = artifact("lib", name)["filenames"].as_array().unwrap();
    let mut files = files.iter().map(|file| Path::new(file.as_str().unwrap()));
    files.find(|file| file.extension().is_some_and(|it| it == "rlib")).unwrap().to_owned()
}
