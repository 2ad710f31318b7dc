//! Tests that the programs of the documentation install a logger. Without a logger, a reader who copies a program sees
//! no message of RateGuard, such as the message that Redis cannot be reached.

use std::{fs, path::Path};

const LOGGER: &str = r#"Env::default().default_filter_or("info")"#;

/// Returns the code blocks of a Markdown file that contain a program.
fn programs_in(markdown: &str) -> impl Iterator<Item = &str> {
    let blocks = markdown.split("\n```").skip(1).step_by(2);
    blocks.filter(|block| block.starts_with("rust") && block.contains("\nasync fn main()"))
}

#[test]
fn every_documented_program_installs_a_logger() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &Path| fs::read_to_string(path).unwrap();
    for readme in ["README.md", "rateguard-core/README.md"] {
        let text = read(&root.join(readme));
        let programs: Vec<_> = programs_in(&text).collect();
        assert!(!programs.is_empty(), "{readme}");
        assert!(programs.iter().all(|program| program.contains(LOGGER)), "{readme}");
    }
    let examples = fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let examples = examples.filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let mut examples: Vec<_> = examples.collect();
    examples.push(root.join("examples/without_http/src/main.rs"));
    assert!(examples.len() > 10, "{examples:?}");
    for example in examples {
        assert!(read(&example).contains(LOGGER), "{}", example.display());
    }
}
