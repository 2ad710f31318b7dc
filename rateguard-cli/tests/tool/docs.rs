//! Runs the commands of `docs/command-line.md` and of the README, and compares their output with the pages.

use std::{fs, path::Path, process::Command};

use actix_rateguard::{Limit, RateGuard, RateLimit, key};
use actix_web::{HttpResponse, rt::System, web};

use crate::{
    statistics::statistics,
    support::{Folder, Redis, Server, TOKEN},
};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/command-line.md");
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// A code block of the page, with its language and its first line.
#[derive(Debug)]
struct Block {
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let code: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { language: language.to_owned(), text: code.join("\n") });
        }
    }
    blocks
}

/// Replaces numbers and times, which differ between two runs, and joins spaces.
fn without_numbers(text: &str) -> String {
    let mut normalized = String::new();
    for line in text.lines() {
        let words = line.split_whitespace().map(|word| {
            let is_number = |it: char| it.is_ascii_digit() || ".,".contains(it);
            let replaced: String = word.chars().filter(|it| !is_number(*it)).collect();
            // A duration has the unit in the same word or, for milliseconds, in the next word.
            if word.starts_with(|it: char| it.is_ascii_digit()) && replaced.len() <= 1 {
                String::new()
            } else {
                replaced
            }
        });
        let words: Vec<String> = words.filter(|word| !word.is_empty() && word != "ms").collect();
        normalized.push_str(&words.join(" "));
        normalized.push('\n');
    }
    normalized
}

/// The servers and files for the commands of both pages.
struct Environment {
    folder: Folder,
    redis: Redis,
    guard: RateGuard,
    server: Server,
}

impl Environment {
    /// Starts the servers with the files of the guide.
    fn start(guide: &str) -> Self {
        let (folder, redis) = (Folder::new(), Redis::start());
        let files = blocks(guide).into_iter().filter(|block| block.language == "toml");
        let paths: Vec<String> = files
            .zip(["rateguard.toml", "broken.toml"])
            .map(|(block, name)| folder.file(name, &format!("{}\n", block.text)))
            .collect();
        let guard = RateGuard::redis(redis.url()).prefix("shop").policies_file(&paths[0]);
        let guard = guard.overrides(true).for_attributes(false).build().unwrap();
        let server = server(&guard);
        Self { folder, redis, guard, server }
    }

    /// Takes the units of the client for which the pages ask.
    fn deny_client(&self) {
        let login = self.guard.policy("login").unwrap();
        let client = key::ip().key_of("192.0.2.7").unwrap();
        for _ in 0..5 {
            System::new().block_on(self.guard.check(&login, &client)).unwrap();
        }
    }
}

/// With the variable `UPDATE_DOCS`, the test writes the output into the pages.
#[test]
fn commands_of_the_pages_have_the_output_of_the_pages() {
    let environment = Environment::start(&fs::read_to_string(GUIDE).unwrap());
    for (path, expected_commands) in [(GUIDE, 10), (README, 3)] {
        let page = fs::read_to_string(path).unwrap();
        environment.deny_client();
        let (mut updated, mut count) = (page.clone(), 0);
        for pair in blocks(&page).windows(2) {
            let [command, output] = pair else { unreachable!() };
            if command.language != "sh" || output.language != "text" {
                continue;
            }
            count += 1;
            let is_update = std::env::var_os("UPDATE_DOCS").is_some();
            // Its advice depends on the machine, and other tests run the command.
            if command.text.starts_with("rateguard bench") && !is_update {
                continue;
            }
            let found = run(&command.text, &environment);
            if is_update {
                let block = |text: &str| {
                    format!("```sh\n{}\n```\n\n```text\n{}\n```", command.text, text.trim_end())
                };
                updated = updated.replace(&block(&output.text), &block(&found));
            } else {
                let [found, expected] = [&found, &output.text].map(|text| without_numbers(text));
                assert_eq!(found, expected, "{}", command.text);
            }
        }
        assert!(count >= expected_commands, "{path}: found {count} commands with their output");
        if updated != page {
            fs::write(path, updated).unwrap();
        }
    }
}

/// A server with the limits of the page. Its statistics are those of the other tests.
fn server(guard: &RateGuard) -> Server {
    let of_guard = guard.clone();
    Server::start(guard, move |config| {
        let limits = RateLimit::new(&of_guard, Limit::policy("login")).and(Limit::policy("search"));
        config.service(web::scope("/shop").wrap(limits));
        let statistics = web::get().to(|| async { HttpResponse::Ok().json(statistics()) });
        config.route("/operator/statistics", statistics);
    })
}

/// Runs a command of the page in a shell, on the servers of this test.
fn run(command: &str, environment: &Environment) -> String {
    let Environment { folder, redis, server, .. } = environment;
    let program = Path::new(env!("CARGO_BIN_EXE_rateguard")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let command = command
        .replace("https://shop.example/operator", &server.url())
        .replace("redis://127.0.0.1:6379", &redis.url());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &command])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("RATEGUARD_TOKEN", TOKEN);
    let output = shell.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("error:"), "{command}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}
