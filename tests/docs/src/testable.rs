//! Turns a document into doctests. The build script and the unit tests below use this file.

/// The line that begins the test of a block. It begins an HTML comment, which GitHub does not show.
const TEST: &str = "<!-- In the test:";

/// The attributes of tests, and their replacements: a doctest calls a test as a function.
const ATTRIBUTES: [(&str, &str); 3] = [
    ("#[test]", ""),
    ("#[actix_web::test]", "#[actix_web::main]"),
    ("#[tokio::test(", "#[tokio::main(flavor = \"current_thread\", "),
];

/// A part of a document.
enum Part {
    Text,
    /// A block of Rust code, with the index of its first line.
    Rust(usize),
    /// A block of code in another language.
    Code,
    /// The lines after [`TEST`].
    Test,
}

/// Returns a copy of a document in which the test after a Rust block is the end of this block. Each line of code has
/// the same number as in the document. The test can call the functions of the block, even those with an attribute such
/// as `#[test]`. If the block is a program, its function `main` has the name `program`, and its server has a free port.
///
/// # Errors
///
/// The function returns the number of the line and the mistake if a Rust block has a line that rustdoc hides and GitHub
/// shows, if a test follows no Rust block that runs, or if a block or a test has no end.
pub(crate) fn testable(document: &str) -> Result<String, String> {
    let mut lines: Vec<String> = document.lines().map(str::to_owned).collect();
    let mut part = Part::Text;
    let mut block = 0..0; // the last Rust block
    for index in 0..lines.len() {
        let line = lines[index].as_str();
        let error =
            |expected: &str| Err(format!("{}: expected {expected}, found `{line}`", index + 1));
        match part {
            Part::Text if line.starts_with("```rust") => part = Part::Rust(index),
            Part::Text if line.starts_with("```") => part = Part::Code,
            Part::Text if line == TEST => {
                let is_run =
                    |fence: &str| !["ignore", "no_run"].iter().any(|mark| fence.contains(mark));
                if block.end != index || index == 0 || !is_run(&lines[block.start]) {
                    return error("the test directly after a Rust block that runs");
                }
                for code in &mut lines[block.clone()] {
                    *code = code
                        .replace("fn main()", "fn program()")
                        .replace(".1\", 8080)", ".1\", 0)");
                }
                lines[index - 1].clear(); // the end of the block
                lines[index].clear();
                part = Part::Test;
            }
            Part::Text if line.starts_with("<!--") => return error(&format!("`{TEST}`")),
            Part::Rust(start) if line == "```" => {
                block = start..index + 1;
                part = Part::Text;
            }
            Part::Rust(_) if line.trim() == "#" || line.trim_start().starts_with("# ") => {
                return error(&format!(
                    "no hidden line in a Rust block (use a comment `{TEST}` after it)"
                ));
            }
            Part::Code if line == "```" => part = Part::Text,
            Part::Test if line == "-->" => {
                "```".clone_into(&mut lines[index]);
                part = Part::Text;
            }
            _ => {}
        }
    }
    match part {
        Part::Text => {
            Ok(ATTRIBUTES.iter().fold(lines.join("\n"), |copy, (from, to)| copy.replace(from, to)))
        }
        _ => Err(format!(
            "{}: expected the end of a block or of a test, found the end of the file",
            lines.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::testable;

    #[test]
    fn a_test_is_the_end_of_its_block() {
        let document = "Text\n```rust\nfn one() -> u32 { 1 }\n```\n<!-- In the test:\nassert_eq!(one(), 1);\n-->\nText";
        let copy = "Text\n```rust\nfn one() -> u32 { 1 }\n\n\nassert_eq!(one(), 1);\n```\nText";
        assert_eq!(testable(document).as_deref(), Ok(copy));
    }

    #[test]
    fn a_test_can_call_the_program() {
        let program = "fn main() {\n    bind((\"127.0.0.1\", 8080));\n}\n```";
        let copy = testable(&format!(
            "```rust\n{program}\n\n```rust\n{program}\n<!-- In the test:\nprogram();\n-->"
        ))
        .unwrap();
        assert!(copy.starts_with(&format!(
            "```rust\n{program}\n\n```rust\nfn program() {{\n    bind((\"127.0.0.1\", 0));\n"
        )));
    }

    #[test]
    fn a_test_can_call_a_test() {
        let copy = testable(
            "```rust\n#[actix_web::test]\nasync fn one() {}\n```\n<!-- In the test:\none();\n-->",
        )
        .unwrap();
        assert_eq!(copy, "```rust\n#[actix_web::main]\nasync fn one() {}\n\n\none();\n```");
    }

    #[test]
    fn mistakes_have_the_number_of_their_line() {
        let test = "<!-- In the test:\n-->";
        for (document, error) in [
            ("```rust\n# use std::fmt;\n```".to_owned(), "2: expected no hidden line"),
            ("```rust\nfn f() {\n    #\n}\n```".to_owned(), "3: expected no hidden line"),
            (test.to_owned(), "1: expected the test directly after a Rust block"),
            (format!("```rust\n```\n\n{test}"), "4: expected the test directly after a Rust block"),
            (
                format!("```toml\n# a comment\n```\n{test}"),
                "4: expected the test directly after a Rust block",
            ),
            (
                format!("```rust,no_run\n```\n{test}"),
                "3: expected the test directly after a Rust block",
            ),
            (
                format!("```rust\n```\n{test}\n{test}"),
                "5: expected the test directly after a Rust block",
            ),
            ("```rust\n```\n<!-- in the tests:".to_owned(), "3: expected `<!-- In the test:`"),
            ("```rust\n```\n<!-- In the test:".to_owned(), "3: expected the end"),
        ] {
            let found = testable(&document).unwrap_err();
            assert!(found.starts_with(error), "expected {error:?}, found {found:?}");
        }
    }
}
