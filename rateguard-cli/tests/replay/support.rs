//! Runs the program, and writes logs.

use std::{
    fmt::Write as _,
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde_json::Value;

/// 2024-05-01T12:00:00Z.
pub(crate) const START: u64 = 1_714_564_800;

/// One request of a log.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The time in milliseconds since [`START`].
    pub(crate) millis: u64,
    pub(crate) ip: String,
    pub(crate) user: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) status: u16,
}

impl Request {
    pub(crate) fn at(millis: u64, ip: &str) -> Self {
        Self { millis, ip: ip.to_owned(), user: "-", method: "GET", path: "/", status: 200 }
    }

    /// Returns the request as a JSON line.
    pub(crate) fn json_line(&self) -> String {
        let Self { millis, ip, user, method, path, status } = self;
        let (seconds, millis) = (START + millis / 1_000, millis % 1_000);
        format!(
            r#"{{"time":{seconds}.{millis:03},"ip":"{ip}","user":"{user}","method":"{method}","path":"{path}","status":{status}}}"#
        )
    }

    /// Returns the request in the common log format, which has whole seconds.
    pub(crate) fn common_line(&self) -> String {
        let Self { millis, ip, user, method, path, status } = self;
        let seconds = millis / 1_000;
        let (hour, minute, second) = (12 + seconds / 3_600, seconds / 60 % 60, seconds % 60);
        format!(
            "{ip} - {user} [01/May/2024:{hour:02}:{minute:02}:{second:02} +0000] \"{method} {path}?q HTTP/1.1\" {status} 5"
        )
    }
}

pub(crate) fn json_log(requests: &[Request]) -> String {
    requests.iter().fold(String::new(), |mut log, request| {
        writeln!(log, "{}", request.json_line()).unwrap();
        log
    })
}

/// A file that is removed at the end of the test.
pub(crate) struct TestFile(PathBuf);

impl TestFile {
    pub(crate) fn new(name: &str, content: impl AsRef<[u8]>) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("{}-{number}-{name}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, content).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn read(&self) -> String {
        fs::read_to_string(&self.0).unwrap()
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rateguard"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs `rateguard replay` with these arguments, and with a log as the standard input.
pub(crate) fn replay(arguments: &[&str], log: impl AsRef<[u8]>) -> Output {
    let mut child = command(&[&["replay"], arguments].concat()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The program does not read its input if an argument is invalid.
    let _ = stdin.write_all(log.as_ref());
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Returns the JSON object of a replay, which must be the only output.
#[track_caller]
pub(crate) fn replay_json(arguments: &[&str], log: impl AsRef<[u8]>) -> Value {
    let output = replay(&[arguments, &["--json"]].concat(), log);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    serde_json::from_str(&text).unwrap()
}

/// Returns numbers of a JSON object.
#[track_caller]
pub(crate) fn numbers<const N: usize>(object: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| object[name].as_u64().unwrap_or_else(|| panic!("expected {name} in {object}")))
}

/// A generator of random numbers, so that each run tests the same requests.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(crate) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// Returns requests of several clients over some minutes, in the order of their times.
pub(crate) fn traffic(seed: u64, count: usize) -> Vec<Request> {
    let (mut random, mut millis) = (Random(seed), 0);
    let ips =
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"];
    (0..count)
        .map(|_| {
            // Some requests arrive at the same time, and sometimes there is a break.
            millis += random.pick(&[0, 0, 20, 150, 400, 900, 2_000]);
            Request {
                millis,
                ip: random.pick(&ips).to_owned(),
                user: random.pick(&["-", "ann", "bob"]),
                method: random.pick(&["GET", "HEAD", "POST"]),
                path: random.pick(&["/", "/login", "/orders/7"]),
                status: random.pick(&[200, 200, 401, 404, 500]),
            }
        })
        .collect()
}
