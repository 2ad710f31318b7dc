//! The arguments of the program, and its commands.

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        ban::{BanArguments, UnbanArguments},
        bench::BenchArguments,
        check::CheckArguments,
        completions::CompletionsArguments,
        explain::ExplainArguments,
        overrides::OverrideArguments,
        peek::PeekArguments,
        permits::PermitsArguments,
        reset::ResetArguments,
        top::TopArguments,
    },
    exit::EXIT_CODES,
    output::ColorChoice,
    replay::ReplayArguments,
};

const EXAMPLES: &str = "\
Examples:
  rateguard check rateguard.toml
  rateguard peek login ip=192.0.2.7 --server https://shop.example/operator
  rateguard top --redis redis://127.0.0.1:6379 --prefix shop
";

/// Checks policies files, shows and changes limits, and replays access logs.
#[derive(Parser)]
#[command(version, name = "rateguard", after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n{EXIT_CODES}"))]
#[command(max_term_width = 100, disable_help_subcommand = false, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Write one JSON object with the field `version` in place of text
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,

    /// When the output has colors
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "WHEN",
        help_heading = "Output"
    )]
    pub(crate) color: ColorChoice,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Check(CheckArguments),
    Explain(ExplainArguments),
    Replay(ReplayArguments),
    Top(TopArguments),
    Peek(PeekArguments),
    Reset(ResetArguments),
    Ban(BanArguments),
    Unban(UnbanArguments),
    Override(OverrideArguments),
    Permits(PermitsArguments),
    Bench(BenchArguments),
    Completions(CompletionsArguments),
}
