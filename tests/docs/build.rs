//! Writes a testable copy of each document in `docs/`, and a Rust file with a module for each copy.

#![allow(clippy::print_stdout, reason = "cargo reads the output of a build script")]

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

#[path = "src/testable.rs"]
mod testable;

fn main() -> io::Result<()> {
    let folder = Path::new("../../docs");
    println!("cargo:rerun-if-changed={}", folder.display());
    let copies = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut modules = String::new();
    for document in documents(folder)? {
        let path = document.strip_prefix(folder).unwrap_or(&document);
        let text = testable::testable(&fs::read_to_string(&document)?).unwrap_or_else(|mistake| {
            println!("cargo::error=docs/{}:{mistake}", path.display()); // fails the build
            String::new()
        });
        let copy = copies.join("docs").join(path);
        fs::create_dir_all(copy.parent().unwrap_or(&copies))?;
        fs::write(&copy, text)?;
        let name = path
            .with_extension("")
            .display()
            .to_string()
            .replace(|c: char| !c.is_alphanumeric(), "_");
        modules += &format!("#[cfg(doctest)]\n#[doc = include_str!({copy:?})]\nmod {name} {{}}\n");
    }
    fs::write(copies.join("documents.rs"), modules)
}

/// Returns the paths of all Markdown files in a folder and its subfolders.
fn documents(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            paths.extend(documents(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
