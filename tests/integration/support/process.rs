//! Other processes: the hammer, the historian, and the quickstart example as its users run it.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
};

use rateguard_tests::{Tally, history::Event};

use super::{artifacts::example, eventually};

/// A process that says that it is ready, and does its work when it is told to.
struct Worker {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts it; it waits for [`go`](Self::go).
    fn start(within: &[String], program: &str, args: &[&str]) -> Self {
        let mut child = command(within, program.as_ref())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { child, out }
    }

    fn go(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    /// What it says, at its end.
    fn text(mut self) -> String {
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success());
        text
    }
}

/// This program, run by another that runs what follows its arguments in its stead, such as `env`.
fn command(within: &[String], program: &OsStr) -> Command {
    let mut words = within.iter().map(OsStr::new).chain([program]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

/// A process that hammers one Redis.
pub struct Hammer(Worker);

impl Hammer {
    /// Starts it; it waits for [`go`](Self::go).
    pub fn start(
        url: &str,
        prefix: &str,
        rate: &str,
        keys: usize,
        tasks: usize,
        checks: usize,
    ) -> Self {
        Self::start_within(&[], url, prefix, rate, [keys, tasks, checks])
    }

    /// The same, run by another program; the numbers are those of keys, tasks and checks.
    pub fn start_within(
        within: &[String],
        url: &str,
        prefix: &str,
        rate: &str,
        numbers: [usize; 3],
    ) -> Self {
        let [keys, tasks, checks] = numbers.map(|number| number.to_string());
        let args = [url, prefix, rate, &keys, &tasks, &checks];
        Self(Worker::start(within, env!("CARGO_BIN_EXE_hammer"), &args))
    }

    pub fn go(&mut self) {
        self.0.go();
    }

    /// What it has done, at its end.
    pub fn tally(self) -> Tally {
        Tally::from_line(&self.0.text()).expect("a tally")
    }
}

/// A process that writes down what it does on one Redis.
pub struct Historian(Worker);

impl Historian {
    /// Starts it; it waits for [`go`](Self::go).
    pub fn start(url: &str, prefix: &str, seed: u64, tasks: usize, operations: usize) -> Self {
        let numbers = [seed.to_string(), tasks.to_string(), operations.to_string()];
        let [seed, tasks, operations] = &numbers;
        let args = [url, prefix, seed, tasks, operations];
        Self(Worker::start(&[], env!("CARGO_BIN_EXE_historian"), &args))
    }

    pub fn go(&mut self) {
        self.0.go();
    }

    /// What it has done, at its end.
    pub fn history(self) -> Vec<Event> {
        self.0.text().lines().map(|line| line.parse().expect("an event")).collect()
    }
}

/// The quickstart example, on a port of its own.
pub struct Quickstart {
    child: Child,
    address: String,
}

impl Quickstart {
    pub fn start(redis_url: Option<&str>) -> Self {
        Self::start_within(&[], redis_url)
    }

    /// The same, run by another program.
    pub fn start_within(within: &[String], redis_url: Option<&str>) -> Self {
        let mut command = command(within, example("quickstart").as_ref());
        command
            .env("PORT", "0")
            .env("RUST_LOG", "info")
            .env_remove("REDIS_URL")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(url) = redis_url {
            command.env("REDIS_URL", url);
        }
        let mut child = command.spawn().unwrap();
        let address = listening_on(child.stderr.as_mut().unwrap());
        Self { child, address }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks it to end, as whoever runs servers does, and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        eventually("it ends", || self.child.try_wait().unwrap())
    }

    /// How many files it has open.
    pub fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Ends it and returns what it has logged since it started.
    pub fn log(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Quickstart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// actix-server says in its log which port the system chose.
fn listening_on(stderr: &mut ChildStderr) -> String {
    let mut text = String::new();
    let mut byte = [0];
    loop {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "the server ended: {text}");
        text.push(byte[0].into());
        if let Some((_, address)) = text.split_once("listening on: ")
            && let Some(address) = address.strip_suffix('\n')
        {
            return address.to_owned();
        }
    }
}
