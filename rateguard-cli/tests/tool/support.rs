//! The program, a Redis server, and a server with operator endpoints.

use std::{
    env, fs,
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use actix_rateguard::{RateGuard, operator};
use actix_web::{
    App, HttpRequest, HttpServer,
    dev::ServerHandle,
    http::header::AUTHORIZATION,
    rt::System,
    web::{self, ServiceConfig},
};
use serde_json::Value;

/// The token of the operator endpoints.
pub(crate) const TOKEN: &str = "a-long-operator-token";

/// The timeout of each wait. It is long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns the program without the variables of the user who runs the tests.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rateguard"));
    for variable in [
        "RATEGUARD_SERVER",
        "RATEGUARD_TOKEN",
        "RATEGUARD_REDIS_URL",
        "RATEGUARD_KEY_SECRET",
        "NO_COLOR",
    ] {
        command.env_remove(variable);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// The result of the program.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("expected JSON: {self:?}"))
    }

    /// Returns the output of a successful run.
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// Runs the program.
pub(crate) fn run(arguments: &[&str]) -> Finished {
    command(arguments).output().unwrap().into()
}

/// A folder that is deleted with its files when the value is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rateguard-tool-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file, and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A Redis server on a free port.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    folder: Folder,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with additional arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        // Another process may bind the port before the server does.
        (0..10).find_map(|_| Self::try_start(arguments)).expect("redis-server starts")
    }

    fn try_start(arguments: &[&str]) -> Option<Self> {
        let program = env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        let port = free_port();
        let folder = Folder::new();
        let mut command = Command::new(program);
        command.args(["--port", &port.to_string(), "--save", "", "--dir"]).arg(folder.path());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("redis-server is installed");
        let mut server = Self { child, port, folder };
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            if server.child.try_wait().unwrap().is_some() {
                return None;
            }
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Writes a file into the folder of the server, and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        self.folder.file(name, text)
    }

    /// Returns the number of keys in the database.
    pub(crate) fn keys(&self) -> usize {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"DBSIZE\r\n").unwrap();
        let mut reply = [0; 64];
        let length = stream.read(&mut reply).unwrap();
        let text = std::str::from_utf8(&reply[..length]).unwrap().trim();
        text.trim_start_matches(':').parse().unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls `poll` every 10 ms until it returns a value. Panics after [`TIMEOUT`].
pub(crate) fn eventually<T>(condition: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(start.elapsed() < TIMEOUT, "timed out waiting for: {condition}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A server with the operator endpoints at `/operator`, which require [`TOKEN`].
pub(crate) struct Server {
    handle: ServerHandle,
    port: u16,
}

impl Server {
    /// Starts a server. `configure` adds the routes of the application.
    pub(crate) fn start(
        guard: &RateGuard,
        configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        let guard = guard.clone();
        Self::start_with(move |config| {
            let endpoints = operator::endpoints(&guard).allow_if(|request: &HttpRequest| {
                let given = request.headers().get(AUTHORIZATION);
                given.is_some_and(|given| operator::token_matches(given, format!("Bearer {TOKEN}")))
            });
            config.app_data(guard.clone());
            configure(config);
            config.service(web::scope("/operator").service(endpoints));
        })
    }

    /// Starts a server with only these routes.
    pub(crate) fn start_with(
        configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
    ) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            System::new().block_on(async move {
                let server = HttpServer::new(move || App::new().configure(configure.clone()));
                let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
                let port = server.addrs()[0].port();
                let server = server.run();
                sender.send((server.handle(), port)).unwrap();
                server.await.unwrap();
            });
        });
        let (handle, port) = receiver.recv().unwrap();
        Self { handle, port }
    }

    /// Returns the URL of the operator endpoints.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/operator", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs the program with this server as its target.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        command(arguments)
            .args(["--server", &self.url()])
            .env("RATEGUARD_TOKEN", TOKEN)
            .output()
            .unwrap()
            .into()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}
