//! Other processes: the hammer, and the quickstart example as its users run it.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    sync::OnceLock,
};

use rateguard_tests::Tally;

/// A process that hammers one Redis.
pub struct Hammer {
    child: Child,
    out: BufReader<ChildStdout>,
}

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
        let numbers = [keys, tasks, checks].map(|number| number.to_string());
        let mut child = Command::new(env!("CARGO_BIN_EXE_hammer"))
            .args([url, prefix, rate])
            .args(numbers)
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

    pub fn go(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    /// What it has done, at its end.
    pub fn tally(mut self) -> Tally {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert!(self.child.wait().unwrap().success());
        Tally::from_line(&line).expect("a tally")
    }
}

/// The quickstart example, on a port of its own.
pub struct Quickstart {
    child: Child,
    address: String,
}

impl Quickstart {
    pub fn start(redis_url: Option<&str>) -> Self {
        let mut command = Command::new(quickstart());
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

/// The example's program, built once.
fn quickstart() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args([
                "build",
                "--quiet",
                "--package",
                "rateguard-examples",
                "--example",
                "quickstart",
            ])
            .status()
            .unwrap();
        assert!(built.success());
        Path::new(env!("CARGO_BIN_EXE_hammer")).with_file_name("examples").join("quickstart")
    })
}
