//! Starts child processes: the load generator, the history recorder, a forked worker, and examples.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio},
};

use rateguard_tests::{Tally, history::Event};

use super::{artifacts::example, eventually};

/// A process that prints `ready` after its start. It begins its work when it reads the line `go`.
struct Worker {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts the process. It then waits for a call of [`go`](Self::go).
    fn start(wrapper: &[String], program: &str, args: &[&str]) -> Self {
        let mut child = command(wrapper, program.as_ref())
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

    /// Waits until the process ends, and returns its output.
    fn output(mut self) -> String {
        let mut output = String::new();
        self.out.read_to_string(&mut output).unwrap();
        assert!(self.child.wait().unwrap().success());
        output
    }
}

/// Returns the command line `<wrapper> <program>`. A wrapper, such as `env`, is a program that starts another program,
/// which is named in its last arguments.
fn command(wrapper: &[String], program: &OsStr) -> Command {
    let mut words = wrapper.iter().map(OsStr::new).chain([program]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

/// A process that sends checks to one Redis server.
pub struct LoadGenerator(Worker);

impl LoadGenerator {
    /// Starts the process. It then waits for a call of [`go`](Self::go).
    pub fn start(
        url: &str,
        prefix: &str,
        rate: &str,
        keys: usize,
        tasks: usize,
        checks: usize,
    ) -> Self {
        Self::start_wrapped(&[], url, prefix, rate, [keys, tasks, checks])
    }

    /// Starts the process with a wrapper. `numbers` contains the number of keys, the number of tasks, and the number of
    /// checks.
    pub fn start_wrapped(
        wrapper: &[String],
        url: &str,
        prefix: &str,
        rate: &str,
        numbers: [usize; 3],
    ) -> Self {
        let [keys, tasks, checks] = numbers.map(|number| number.to_string());
        let args = [url, prefix, rate, &keys, &tasks, &checks];
        Self(Worker::start(wrapper, env!("CARGO_BIN_EXE_load_generator"), &args))
    }

    pub fn go(&mut self) {
        self.0.go();
    }

    /// Waits until the process ends, and returns how many of its checks were admitted and how many failed.
    pub fn tally(self) -> Tally {
        Tally::from_line(&self.0.output()).expect("a tally")
    }
}

/// A process that sends operations to one Redis server and records them.
pub struct HistoryRecorder(Worker);

impl HistoryRecorder {
    /// Starts the process. It then waits for a call of [`go`](Self::go).
    pub fn start(url: &str, prefix: &str, seed: u64, tasks: usize, operations: usize) -> Self {
        let numbers = [seed.to_string(), tasks.to_string(), operations.to_string()];
        let [seed, tasks, operations] = &numbers;
        let args = [url, prefix, seed, tasks, operations];
        Self(Worker::start(&[], env!("CARGO_BIN_EXE_history_recorder"), &args))
    }

    pub fn go(&mut self) {
        self.0.go();
    }

    /// Waits until the process ends, and returns the operations that it recorded.
    pub fn history(self) -> Vec<Event> {
        self.0.output().lines().map(|line| line.parse().expect("an event")).collect()
    }
}

/// Runs a process that builds a guard on this server, forks, and checks a key in the child process. Returns the output of
/// the child process.
pub fn output_of_forked_worker(wrapper: &[String], url: &str) -> String {
    let mut command = command(wrapper, env!("CARGO_BIN_EXE_forked_worker").as_ref());
    // The child process inherits the pipe, so the output ends when both processes have ended.
    let output = command.arg(url).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A process that runs an example, on a port that the system chooses.
pub struct ExampleServer {
    child: Child,
    address: String,
}

impl ExampleServer {
    /// Starts an example, which reads its settings from these environment variables.
    pub fn start(name: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_wrapped(&[], name, variables)
    }

    /// Starts the quickstart example.
    pub fn quickstart(redis_url: Option<&str>) -> Self {
        Self::quickstart_wrapped(&[], redis_url)
    }

    /// Starts the quickstart example with a wrapper, which is a program that runs the example.
    pub fn quickstart_wrapped(wrapper: &[String], redis_url: Option<&str>) -> Self {
        let variable = redis_url.map(|url| ("REDIS_URL", url));
        Self::start_wrapped(wrapper, "quickstart", variable.as_slice())
    }

    fn start_wrapped(wrapper: &[String], name: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = command(wrapper, example(name).as_ref())
            .env_remove("RUST_LOG")
            .env_remove("REDIS_URL")
            .env("PORT", "0")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let address = listening_on(child.stderr.as_mut().unwrap());
        Self { child, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address.parse().unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends SIGTERM to the process, and waits until it ends.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        eventually("the process ends", || self.child.try_wait().unwrap())
    }

    /// Returns the number of file descriptors that the process has open.
    pub fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Kills the process, and returns everything that it has logged.
    pub fn log(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for ExampleServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the log until it contains the address on which actix-server listens, and returns this address.
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
