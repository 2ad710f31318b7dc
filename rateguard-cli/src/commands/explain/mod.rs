//! Explains which limits apply to a request, and by which key they count it.

mod evaluate;
mod limit;
mod part_value;
mod request;

use std::path::Path;

use actix_rateguard_core::{ClientAddress, adapter::ResolvedClient};
use clap::Args;
use serde_json::{Value, json};

use self::{
    evaluate::{Applies, evaluate},
    limit::{Limit, Limits},
    request::{FORM, RequestText},
};
use crate::{
    exit::{Exit, Failure, Outcome},
    output::{Output, Style, Table, seconds},
    target::{KeyValues, Server, Target, TargetArguments},
};

const EXAMPLES: &str = "\
Examples:
  rateguard explain rateguard.toml \"GET /search from 192.0.2.7\"
  rateguard explain rateguard.toml \"POST /login from 192.0.2.7 via 10.0.0.1 as ann with X-Plan: pro\"
  rateguard explain \"GET /search from 192.0.2.7 as ann\" --server https://shop.example/operator

Requests:
  METHOD PATH [from ADDRESS] [via PROXY...] [as USER] [with HEADER: VALUE]...
  `from` is the client, `via` the proxies in the order of the request, and `as` the user that the
  application has authenticated. The client is found by `[guard.client_address]` of the file.

A file does not know the routes of the program: a policy applies where the program uses its name.
With --server, the command also shows what one more request would get. It counts nothing.";

/// Explains which limits apply to a request, and by which key they count it
#[derive(Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "rateguard explain <FILE> <REQUEST>\n       rateguard explain <REQUEST> --server <URL>"
)]
pub(crate) struct ExplainArguments {
    /// The policies file, unless the target is a server
    #[arg(value_name = "FILE")]
    first: String,

    /// The request, such as "GET /search from 192.0.2.7"
    #[arg(value_name = "REQUEST")]
    second: Option<String>,

    #[command(flatten)]
    target: TargetArguments,
}

/// A limit with its explanation.
struct Explained<'a> {
    limit: &'a Limit,
    applies: Applies,
    /// The fields of `POST explain` of a server.
    state: Option<Value>,
}

pub(crate) fn run(arguments: &ExplainArguments, output: &Output) -> Outcome {
    match &arguments.second {
        Some(_) if arguments.target.is_named() => {
            Err(Failure::usage("expected a file or a server, found both")
                .help("for the limits of a server: `rateguard explain REQUEST --server URL`"))
        }
        Some(request) => {
            let request = parse(request)?;
            let limits = Limits::of_file(Path::new(&arguments.first))?;
            explain(&request, &limits, None, output)
        }
        None => {
            let request = parse(&arguments.first)?;
            let Target::Server(server) = arguments.target.open()? else {
                return Err(Failure::usage(
                    "expected `--server URL`, because Redis has no limits, only counts",
                )
                .help("for a policies file: `rateguard explain FILE REQUEST`"));
            };
            if request.has_proxies() {
                return Err(Failure::usage(
                    "expected no `via`, because only the server knows its proxies",
                )
                .help("name the client with `from`"));
            }
            let limits = Limits::of_inventory(&server.get("inventory")?);
            explain(&request, &limits, Some(&server), output)
        }
    }
}

fn parse(text: &str) -> Result<RequestText, Failure> {
    text.parse().map_err(|message: String| {
        Failure::usage(message).help(format!("a request has the form {FORM}"))
    })
}

fn explain(
    request: &RequestText,
    limits: &Limits,
    server: Option<&Server>,
    output: &Output,
) -> Outcome {
    let peer = ClientAddress::peer();
    let rule = limits.client_address.as_ref().unwrap_or(&peer);
    let found = request.client(rule);
    let client = found.as_ref().map(|(client, _)| *client);
    let mut explained = Vec::new();
    for limit in &limits.limits {
        let applies = evaluate(limit, request, client, &limits.access, rule.ipv6_bits());
        let state =
            server.and_then(|server| state(server, limit, &applies).transpose()).transpose()?;
        explained.push(Explained { limit, applies, state });
    }
    let trace = found.as_ref().map(|(_, trace)| trace);
    if output.is_json() {
        let limits: Vec<Value> = explained.iter().map(Explained::json).collect();
        let client = trace.map(|trace| {
            json!({
                "address": trace.address.map(|it| it.to_string()),
                "network": trace.network,
                "is_proxy": trace.is_proxy,
                "end_text": trace.end.to_string(),
            })
        });
        output.json(&json!({ "version": 1, "client": client, "limits": limits }))?;
        return Ok(Exit::Success);
    }
    output.line(Style::Bold, format!("{} {}", request.method, request.path))?;
    if let (Some(trace), None) = (trace, server) {
        output.line(Style::Plain, format!("client: {} ({})", address_text(client), trace.end))?;
    }
    output.line(Style::Plain, "")?;
    write(&explained, server.is_some(), output)?;
    if server.is_none() {
        output.line(Style::Plain, "")?;
        output.line(
            Style::Faint,
            "A policy applies where the program uses its name. The file does not know the routes.",
        )?;
    }
    Ok(Exit::Success)
}

fn address_text(client: Option<ResolvedClient>) -> String {
    client.and_then(|client| client.address).map_or("unknown".to_owned(), |it| it.to_string())
}

/// Asks the server for the state of the key, if the key is known.
fn state(server: &Server, limit: &Limit, applies: &Applies) -> Result<Option<Value>, Failure> {
    let Applies::Yes(counted) = applies else { return Ok(None) };
    let key = KeyValues::parse(&counted.arguments)?;
    let keys: Vec<&str> = limit.key.as_deref().into_iter().collect();
    match server.post("explain", &key.selector(&limit.name, &keys)) {
        Ok(state) => Ok(Some(state)),
        // The quotas of this limit depend on more than the key.
        Err(failure) if failure.exit == Exit::Problem => Ok(None),
        Err(failure) => Err(failure),
    }
}

impl Explained<'_> {
    fn json(&self) -> Value {
        let Self { limit, applies, state } = self;
        let mut json = limit.settings.clone();
        json["name"] = limit.name.clone().into();
        json["applies"] = applies.as_str().into();
        json["reason"] = applies.reason().into();
        json["key"] = limit.key.clone().into();
        json["counted_by"] = match applies {
            Applies::Yes(counted) => counted.text.clone().into(),
            _ => Value::Null,
        };
        if let Some(state) = state {
            json["passes"] = state["passes"].clone();
            json["retry_after_seconds"] = state["retry_after_seconds"].clone();
            json["statuses"] = state["statuses"].clone();
        }
        json
    }

    fn remark(&self) -> String {
        let mut remarks: Vec<String> =
            self.applies.reason().map(str::to_owned).into_iter().collect();
        let settings = &self.limit.settings;
        if settings["is_in_shadow"] == true {
            remarks.push("shadow: denies nothing".to_owned());
        }
        if let Some(ban) = settings["ban"].as_str() {
            remarks.push(format!("ban {ban}"));
        }
        if let Some(count) = settings["count"].as_str().filter(|count| *count != "all") {
            remarks.push(format!("counts {count}"));
        }
        remarks.join("; ")
    }

    /// Returns what one more request would get.
    fn now(&self) -> String {
        let Some(state) = &self.state else { return "-".to_owned() };
        match (state["passes"].as_bool(), state["retry_after_seconds"].as_f64()) {
            (Some(true), _) => "allowed".to_owned(),
            (Some(false), Some(retry)) => format!("denied for {}", seconds(retry)),
            (Some(false), None) => "denied".to_owned(),
            (None, _) => "-".to_owned(),
        }
    }
}

fn write(explained: &[Explained<'_>], has_state: bool, output: &Output) -> Result<(), Failure> {
    let mut header = vec!["POLICY", "APPLIES", "COUNTED BY", "QUOTAS", "ON ERROR", "REMARK"];
    if has_state {
        header.insert(3, "NOW");
    }
    let mut table = Table::new(&header);
    for item in explained {
        let (style, counted_by) = match &item.applies {
            Applies::Yes(counted) => (Style::Plain, counted.text.as_str()),
            Applies::Rejects(_) => (Style::Bad, "-"),
            Applies::No(_) => (Style::Faint, "-"),
            Applies::Unknown(_) => (Style::Warning, "-"),
        };
        let on_error = item.limit.settings["on_error"].as_str().unwrap_or("-");
        let mut cells = vec![
            item.limit.name.clone(),
            item.applies.as_str().to_owned(),
            counted_by.to_owned(),
            item.limit.quotas_text(),
            on_error.to_owned(),
            item.remark(),
        ];
        if has_state {
            cells.insert(3, item.now());
        }
        table.row(style, cells);
    }
    if table.is_empty() {
        return output.line(Style::Plain, "no limits are defined");
    }
    table.write(output)
}
