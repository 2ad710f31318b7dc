//! Tests permits of several processes: processes that are killed, and processes that are stopped for longer than a lease.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    eventually, process::ExampleServer, redis_server::RedisServer, server::get, wire,
};

/// A process that holds permits.
struct PermitWorker {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl PermitWorker {
    fn start(server: &RedisServer, prefix: &str, quotas: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_permit_worker"))
            .args([&server.url(), prefix, quotas])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut worker = Self { child, out };
        assert_eq!(worker.line(), "ready");
        worker
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{command}").unwrap();
        self.line()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for PermitWorker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn permits_of_a_killed_process_come_back_within_a_lease() {
    let server = RedisServer::start();
    let quotas = "2 concurrent lease 2s";
    let [mut killed, mut other] = [(); 2].map(|()| PermitWorker::start(&server, "killed", quotas));
    assert_eq!([killed.ask("acquire"), killed.ask("acquire")], ["granted"; 2]);
    // The process renews its permits for longer than a lease.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(other.ask("acquire"), "denied");
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    let start = Instant::now();
    let until = |answer: &str, worker: &mut PermitWorker| {
        eventually("a permit comes back", || (worker.ask("acquire") == answer).then_some(()));
    };
    until("granted", &mut other);
    until("granted", &mut other);
    // The lease ends by the clock of the server. The rest of this time is for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(2 + 30), "{:?}", start.elapsed());
    assert_eq!(other.ask("acquire"), "denied");
}

#[test]
fn process_that_was_stopped_past_its_lease_learns_it() {
    let server = RedisServer::start();
    let quotas = "1 concurrent lease 1s";
    let [mut stopped, mut other] =
        [(); 2].map(|()| PermitWorker::start(&server, "stopped", quotas));
    assert_eq!(
        (stopped.ask("acquire"), stopped.ask("valid")),
        ("granted".to_owned(), "1".to_owned())
    );
    stopped.signal("-STOP");
    eventually("the lease ends", || (other.ask("acquire") == "granted").then_some(()));
    stopped.signal("-CONT");
    assert_eq!(stopped.ask("valid"), "0");
    // The stopped process renews nothing, and its release does not release the permit of the other process.
    thread::sleep(Duration::from_secs(2));
    assert_eq!((stopped.ask("valid"), other.ask("valid")), ("0".to_owned(), "1".to_owned()));
    assert_eq!(stopped.ask("release"), "released");
    assert_eq!(stopped.ask("acquire"), "denied");
    assert_eq!(other.ask("release"), "released");
    assert_eq!(stopped.ask("acquire"), "granted");
}

/// Sends a request for an export that runs for a long time. The export ends when the returned connection is dropped.
fn export(server: &ExampleServer) -> TcpStream {
    let mut stream = wire::connect(server.address());
    stream.write_all(b"GET /export?seconds=600 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    stream
}

fn running(server: &ExampleServer) -> usize {
    let body = get(&server.url("/running")).body;
    body.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn servers_of_the_example_share_five_exports_and_survive_a_kill() {
    let redis = RedisServer::start();
    let url = redis.url();
    let start = || ExampleServer::start("concurrent_exports", &[("REDIS_URL", &url)]);
    let (killed, other) = (start(), start());
    let mut exports: Vec<TcpStream> = (0..3).map(|_| export(&killed)).collect();
    eventually("three exports run", || (running(&killed) == 3).then_some(()));
    exports.extend((0..2).map(|_| export(&other)));
    eventually("two more exports run", || (running(&other) == 2).then_some(()));
    assert_eq!(get(&other.url("/export?seconds=0")).status, 429);
    drop(killed);
    // The permits of the killed server come back after the lease of 10 s.
    eventually("a permit comes back", || {
        (get(&other.url("/export?seconds=0")).status == 200).then_some(())
    });
    assert_eq!(running(&other), 2);
}
