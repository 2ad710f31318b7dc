//! Shows the limits of all processes, and refreshes the view.

use std::{thread, time::Duration};

use actix_rateguard_core::adapter::parse_window;
use clap::Args;

use super::{
    statistics::{self, Statistics},
    top_view::frame,
};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::{Output, Style},
    target::TargetArguments,
};

const EXAMPLES: &str = "\
Examples:
  rateguard top --server https://shop.example/operator
  rateguard top --once --redis redis://127.0.0.1:6379 --prefix shop
  rateguard top --json --interval 10s --server https://shop.example/operator > statistics.jsonl

The guards of the servers must have statistics (`RateGuardBuilder::statistics`). Ctrl-C ends the
view.";

/// The interval of the view without `--interval`.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);

/// Moves the cursor to the top of the terminal, and stops to wrap lines.
const FRAME_START: &str = "\u{1b}[H\u{1b}[?7l";
/// Clears the rest of the line.
const LINE_END: &str = "\u{1b}[K\n";
/// Clears the rest of the terminal, and wraps lines again. So the terminal needs no cleanup after Ctrl-C.
const FRAME_END: &str = "\u{1b}[J\u{1b}[?7h";
/// Clears the terminal.
const CLEAR: &str = "\u{1b}[2J";

/// Shows the limits, the most denied keys and the store of all processes, and refreshes the view
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TopArguments {
    /// Show the view once; always the case if the output is no terminal and there is no `--interval`
    #[arg(long, conflicts_with = "interval")]
    once: bool,

    /// The time between two refreshes, from 1s to 1h [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = parse_interval)]
    interval: Option<Duration>,

    /// The maximum number of rows of each table
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    rows: usize,

    #[command(flatten)]
    target: TargetArguments,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let range = Duration::from_secs(1)..=Duration::from_secs(3_600);
    let interval = parse_window(text).ok().filter(|interval| range.contains(interval));
    interval.ok_or_else(|| "expected a duration from 1s to 1h, such as \"10s\"".to_owned())
}

pub(crate) fn run(arguments: &TopArguments, output: &Output) -> Outcome {
    let target = arguments.target.open()?;
    let is_live = Output::is_terminal() && !output.is_json();
    let is_once = arguments.once || (!Output::is_terminal() && arguments.interval.is_none());
    let mut after = None;
    if is_live && !is_once {
        output.raw(CLEAR)?;
    }
    loop {
        match statistics::read(&target, after) {
            Ok(json) => {
                let statistics = Statistics::of(&json)?;
                // The view needs no history, so the following responses are small.
                after = Some(statistics.current_interval);
                if output.is_json() {
                    output.json(&json)?;
                } else {
                    draw(&frame(&statistics, arguments.rows), is_live && !is_once, output)?;
                }
            }
            // A server that restarts must not end the view.
            Err(failure) if failure.exit == Exit::Unreachable && !is_once && after.is_some() => {
                output.note(&failure.message.unwrap_or_default());
            }
            Err(failure) => return Err(failure),
        }
        if is_once {
            return Ok(Exit::Success);
        }
        thread::sleep(arguments.interval.unwrap_or(DEFAULT_INTERVAL));
    }
}

/// Writes the lines of the view, in place of the earlier view if it is live.
fn draw(lines: &[(Style, String)], is_live: bool, output: &Output) -> Result<(), Failure> {
    if !is_live {
        return lines.iter().try_for_each(|(style, line)| output.line(*style, line));
    }
    let mut text = FRAME_START.to_owned();
    for (style, line) in lines {
        text.push_str(&output.styled(*style, line));
        text.push_str(LINE_END);
    }
    text.push_str(FRAME_END);
    output.raw(&text)
}
