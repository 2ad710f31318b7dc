//! Checks policies files, with the errors that a server would report.

use std::{
    fs,
    path::{Path, PathBuf},
};

use actix_rateguard_core::policies_file::Diagnostic;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    exit::{Exit, Failure, Outcome},
    output::{Output, Style},
    policies_file,
};

const EXAMPLES: &str = "\
Examples:
  rateguard check rateguard.toml
  rateguard check config/*.toml --json

The command does not know the program that uses the file. So it does not report a policy or plan
that the program needs and the file lacks. The server reports these when it starts.";

/// Checks policies files, and reports the errors that a server would report
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArguments {
    /// The policies files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The result for one file.
struct Checked<'a> {
    path: &'a Path,
    result: Result<Counts, Vec<Diagnostic>>,
}

struct Counts {
    policies: usize,
    plans: usize,
}

pub(crate) fn run(arguments: &CheckArguments, output: &Output) -> Outcome {
    let mut checked = Vec::new();
    for path in &arguments.files {
        checked.push(Checked { path, result: check(path)? });
    }
    if output.is_json() {
        let files: Vec<Value> = checked.iter().map(Checked::json).collect();
        output.json(&json!({ "version": 1, "files": files }))?;
    } else {
        checked.iter().try_for_each(|file| file.write(output))?;
    }
    let is_valid = checked.iter().all(|file| file.result.is_ok());
    Ok(if is_valid { Exit::Success } else { Exit::Problem })
}

fn check(path: &Path) -> Result<Result<Counts, Vec<Diagnostic>>, Failure> {
    Ok(policies_file::open(path)?.map(|guard| {
        let set = guard.policy_set();
        Counts { policies: set.policy_names().len(), plans: set.plan_names().len() }
    }))
}

impl Checked<'_> {
    fn json(&self) -> Value {
        let errors = self.result.as_ref().err().map_or(Vec::new(), |errors| {
            let error = |it: &Diagnostic| json!({ "line": it.line(), "column": it.column(), "message": it.message() });
            errors.iter().map(error).collect()
        });
        let counts = self.result.as_ref().ok();
        json!({
            "path": self.path.display().to_string(),
            "is_valid": self.result.is_ok(),
            "policies": counts.map(|it| it.policies),
            "plans": counts.map(|it| it.plans),
            "errors": errors,
        })
    }

    fn write(&self, output: &Output) -> Result<(), Failure> {
        let path = self.path.display();
        match &self.result {
            Ok(Counts { policies, plans }) => {
                let (policies, plans) =
                    (count(*policies, "policy", "policies"), count(*plans, "plan", "plans"));
                output.line(Style::Good, format!("{path}: valid, {policies}, {plans}"))
            }
            Err(errors) => {
                let text = fs::read(self.path).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                for error in errors {
                    write_error(&path.to_string(), &text, error, output)?;
                }
                let errors = count(errors.len(), "error", "errors");
                output.line(Style::Bold, format!("{path}: invalid, {errors}"))
            }
        }
    }
}

/// Writes an error in the form of `rustc`, with the line of the file. Editors recognize `FILE:LINE:COLUMN`.
fn write_error(path: &str, text: &str, error: &Diagnostic, output: &Output) -> Result<(), Failure> {
    let (line, column) = (error.line(), error.column());
    output.line(Style::Bad, format!("error: {}", error.message()))?;
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    output.line(Style::Plain, format!("{margin}--> {path}:{line}:{column}"))?;
    if let Some(source) = text.lines().nth(line - 1) {
        // A tab has another width than the escaped text of the tab, so the marker would be at the wrong place.
        let source = source.replace('\t', " ");
        output.line(Style::Faint, format!("{margin} |"))?;
        output.line(Style::Plain, format!("{number} | {source}"))?;
        output.line(Style::Faint, format!("{margin} | {}^", " ".repeat(column - 1)))?;
    }
    output.line(Style::Plain, "")
}

/// Returns the number with its noun.
fn count(number: usize, singular: &str, plural: &str) -> String {
    format!("{number} {}", if number == 1 { singular } else { plural })
}
