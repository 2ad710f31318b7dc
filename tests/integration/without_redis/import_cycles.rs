//! Tests that the source files of each crate have no import cycles. In an import cycle, a file imports a second
//! file, and the second file imports the first file, directly or through other files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const CRATES: [&str; 7] = [
    "rateguard",
    "rateguard-cli",
    "rateguard-core",
    "rateguard-grammar",
    "rateguard-headers",
    "rateguard-macros",
    "tests/models",
];

/// The path of a module or an item, such as `["guard", "breaker"]`. The path of the crate's root is empty.
type ItemPath = Vec<String>;

/// The imports and the exports of a source file. The map `exports` contains the path of each exported item by its
/// exported name.
#[derive(Default)]
struct Source {
    imports: Vec<ItemPath>,
    exports: BTreeMap<String, ItemPath>,
}

#[test]
fn source_files_have_no_import_cycles() {
    for name in CRATES {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        let sources = sources(&root);
        assert!(sources.len() > 5, "{name}: found {} files in {}", sources.len(), root.display());
        let edges = edges(&sources);
        assert!(edges.values().any(|targets| !targets.is_empty()), "{name}: found no imports");
        let cycle = sources.keys().find_map(|file| cycle_through(file, &edges));
        assert_eq!(cycle.map(|cycle| cycle.join(" -> ")), None, "import cycle in {name}");
    }
}

#[test]
fn import_cycle_of_three_files_is_found() {
    let source = |text: &str, path: &[&str]| {
        let path: ItemPath = path.iter().map(ToString::to_string).collect();
        let source = Source::read(text, &path);
        (path, source)
    };
    let sources: BTreeMap<_, _> = [
        source("mod a; mod b; mod c; pub use self::c::C;", &[]),
        source("use super::b::{self, B};", &["a"]),
        source("fn f() { crate::C::new() }", &["b"]),
        source("use crate::{a::A, b}; #[cfg(test)]\nmod tests {}", &["c"]),
    ]
    .into();
    let edges = edges(&sources);
    assert!(cycle_through(&vec!["a".to_owned()], &edges).is_some());
    assert!(cycle_through(&vec![], &edges).is_none());
}

/// Reads all source files in a folder and its subfolders. Returns each file with the path of its module.
fn sources(root: &Path) -> BTreeMap<ItemPath, Source> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = module_of(path.strip_prefix(root).unwrap());
                let source = Source::read(&fs::read_to_string(&path).unwrap(), &module);
                sources.insert(module, source);
            }
        }
    }
    sources
}

fn module_of(file: &Path) -> ItemPath {
    let file = file.with_extension("");
    let mut module: ItemPath = file.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

impl Source {
    fn read(text: &str, module: &ItemPath) -> Self {
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let code: String = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join("\n");
        let mut source = Self::default();
        let mut rest = String::new();
        for statement in code.split_inclusive(';') {
            let Some((before, tree)) = split_use(statement) else {
                rest.push_str(statement);
                continue;
            };
            let is_export =
                before.trim_end().rsplit('\n').next().unwrap_or_default().contains("pub");
            for (path, name) in leaves(tree.trim_end_matches(';'), &[]) {
                let Some(path) = absolute(&path, module) else { continue };
                if is_export {
                    source.exports.insert(name, path.clone());
                }
                // A file that exports an item of its own submodule does not depend on the item.
                if !(is_export && path.starts_with(module)) {
                    source.imports.push(path);
                }
            }
        }
        source.imports.extend(inline_paths(&rest, module));
        source
    }
}

/// Splits a statement that ends with a `use` declaration. Returns the text before the word `use`, and the `use` tree.
fn split_use(statement: &str) -> Option<(&str, &str)> {
    let at = statement.rfind("use ").filter(|at| {
        statement[..*at].chars().next_back().is_none_or(|before| before.is_whitespace())
    })?;
    let tree = &statement[at + 4..];
    (!tree.contains(['(', '=', '"'])).then_some((&statement[..at], tree))
}

/// Returns all paths in a `use` tree. Each path is paired with the name under which the code imports it.
fn leaves(tree: &str, prefix: &[String]) -> Vec<(ItemPath, String)> {
    let tree = tree.trim();
    if let Some((before, list)) = tree.split_once('{') {
        let mut prefix = prefix.to_vec();
        prefix.extend(parts(before));
        let list = &list[..list.rfind('}').unwrap_or(list.len())];
        return split_list(list).iter().flat_map(|branch| leaves(branch, &prefix)).collect();
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let mut full = prefix.to_vec();
    full.extend(parts(path));
    if full.len() > 1 && full.last().is_some_and(|last| last == "self") {
        full.pop();
    }
    let last = full.last().cloned().unwrap_or_default();
    let name = if alias.is_empty() { last } else { alias.trim().to_owned() };
    if full.is_empty() { Vec::new() } else { vec![(full, name)] }
}

fn parts(path: &str) -> impl Iterator<Item = String> {
    path.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned)
}

/// Splits the list in a `use` tree at its commas. The list may contain nested braces.
fn split_list(list: &str) -> Vec<String> {
    let (mut branches, mut depth) = (vec![String::new()], 0_usize);
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(branch) = branches.last_mut() {
            branch.push(character);
        }
    }
    branches.retain(|branch| !branch.trim().is_empty());
    branches
}

/// Returns the paths that are written in the code outside `use` declarations, such as `crate::key::Key`.
fn inline_paths(code: &str, module: &ItemPath) -> Vec<ItemPath> {
    let mut paths = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            // The path in a visibility, such as `pub(in crate::guard)`, is not an import.
            if code[..at].ends_with("pub(in ") {
                continue;
            }
            let is_start = code[..at]
                .chars()
                .next_back()
                .is_none_or(|it| !(it.is_alphanumeric() || "_:$".contains(it)));
            let end = code[at..].find(|it: char| !(it.is_alphanumeric() || "_:".contains(it)));
            let path: ItemPath = parts(&code[at..end.map_or(code.len(), |end| at + end)]).collect();
            paths.extend(absolute(&path, module).filter(|_| is_start));
        }
    }
    paths
}

/// Resolves a path in the code of `module` to the full path from the crate's root. Returns `None` if the path leads to
/// another crate.
fn absolute(path: &[String], module: &ItemPath) -> Option<ItemPath> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module, &path[1..]].concat()),
        "super" => {
            let parent = &module[..module.len().saturating_sub(supers)];
            Some([parent, &path[supers..]].concat())
        }
        _ => None,
    }
}

/// For each file, returns the files on which it depends.
fn edges(sources: &BTreeMap<ItemPath, Source>) -> BTreeMap<ItemPath, BTreeSet<ItemPath>> {
    let target = |import: &ItemPath| {
        let mut import = import.clone();
        // If the imported path leads to an export, a different file defines the item, so the path of the export is
        // followed. The item is always found after fewer than eight exports.
        for _ in 0..8 {
            let known =
                (0..=import.len()).rev().find(|end| sources.contains_key(&import[..*end]))?;
            let file = import[..known].to_vec();
            let Some(exported) =
                import.get(known).and_then(|name| sources[&file].exports.get(name))
            else {
                return Some(file);
            };
            import = [exported, &import[known + 1..]].concat();
        }
        None
    };
    let of = |(file, source): (&ItemPath, &Source)| {
        let targets = source.imports.iter().filter_map(target);
        // The crate's root only declares modules and exports items. Therefore a dependency on the root is ignored.
        let targets = targets.filter(|target| target != file && !target.is_empty()).collect();
        (file.clone(), targets)
    };
    sources.iter().map(of).collect()
}

/// Returns a cycle of imports that contains this file, or `None`.
fn cycle_through(
    file: &ItemPath,
    edges: &BTreeMap<ItemPath, BTreeSet<ItemPath>>,
) -> Option<Vec<String>> {
    let mut from: BTreeMap<&ItemPath, &ItemPath> = BTreeMap::new();
    let mut queue = vec![file];
    while let Some(next) = queue.pop() {
        for target in edges.get(next).into_iter().flatten() {
            if target == file {
                let mut names = vec![file.join("::")];
                let mut at = next;
                while at != file {
                    names.push(at.join("::"));
                    at = from[at];
                }
                names.push(file.join("::"));
                names.reverse();
                return Some(names);
            }
            if !from.contains_key(target) {
                from.insert(target, next);
                queue.push(target);
            }
        }
    }
    None
}
