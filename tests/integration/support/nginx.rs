//! Starts nginx for one test, with the configuration of the example `behind_nginx`.

use std::{
    env, fs,
    net::{IpAddr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use tokio::net::TcpSocket;

use super::{TEST_TIMEOUT, eventually, folder::Folder, redis_server::free_port, skipped};

const CONFIG: &str = include_str!("../../../examples/nginx.conf");

/// An nginx process. It has no worker processes, so that nothing runs after it was killed.
pub struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Nginx {
    /// Starts nginx in front of this server. If nginx is not installed, reports that the test is skipped, and returns
    /// `None`.
    pub fn start(upstream: SocketAddr) -> Option<Self> {
        Self::start_with(upstream, "", "")
    }

    /// Starts nginx with an additional `location` in its configuration: the one with this path in
    /// `docs/special-routes.md`.
    pub fn start_with_location(upstream: SocketAddr, path: &str) -> Option<Self> {
        let document = include_str!("../../../docs/special-routes.md");
        let mut blocks =
            document.split("```nginx\n").skip(1).map(|it| it.split("```").next().unwrap());
        let start = format!("location {path} {{");
        let block = blocks.find(|block| block.starts_with(&start)).expect("the document has it");
        Self::start_with(upstream, "location / {", &format!("{block}\nlocation / {{"))
    }

    /// Starts nginx after a replacement in the configuration. With an empty `from`, nothing is replaced.
    pub fn start_with(upstream: SocketAddr, from: &str, to: &str) -> Option<Self> {
        let Some(program) = program() else {
            skipped("this test needs nginx, which is not installed");
            return None;
        };
        let config = if from.is_empty() { CONFIG.to_owned() } else { replaced(CONFIG, from, to) };
        // Another process may bind the port before nginx does. Therefore the function tries several ports.
        let started = (0..10).find_map(|_| Self::try_start(&program, &config, upstream));
        Some(started.expect("nginx starts"))
    }

    /// Starts nginx on a free port. Returns `None` if nginx ends, because another process uses the port.
    fn try_start(program: &str, config: &str, upstream: SocketAddr) -> Option<Self> {
        let folder = Folder::new();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = replaced(config, "listen 127.0.0.1:8000", &format!("listen {address}"));
        assert!(config.contains("http://127.0.0.1:8080"), "{config}");
        let config = config.replace("http://127.0.0.1:8080", &format!("http://{upstream}"));
        let mut child = Command::new(program)
            .args(["-p", folder.text(), "-e", "error.log"])
            .args(["-c", &folder.file("nginx.conf", &config)])
            .args(["-g", "daemon off; master_process off;"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // nginx writes this file when it listens on the port.
        let pid_file = folder.path().join("nginx.pid");
        let is_up = eventually("nginx listens", || match child.try_wait().unwrap() {
            Some(_exited) => Some(false),
            None => {
                fs::read_to_string(&pid_file).is_ok_and(|it| it.ends_with('\n')).then_some(true)
            }
        });
        is_up.then_some(Self { child, address, _folder: folder })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replaced(config: &str, from: &str, to: &str) -> String {
    assert_eq!(config.matches(from).count(), 1, "{from} in {config}");
    config.replace(from, to)
}

/// Returns the nginx program: the value of `NGINX`, which `scripts/test` sets, or the installed one.
fn program() -> Option<String> {
    // Debian installs nginx into a folder that is only on the PATH of root.
    let installed = ["nginx", "/usr/sbin/nginx"].map(str::to_owned);
    let mut programs = env::var("NGINX").into_iter().chain(installed);
    programs.find(|program| {
        Command::new(program).arg("-v").stderr(Stdio::null()).status().is_ok_and(|it| it.success())
    })
}

/// Opens a connection to a server from this loopback address. Linux accepts all addresses of `127.0.0.0/8`.
pub fn connect_from(client: IpAddr, server: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((client, 0).into()).unwrap();
        socket.connect(server).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream
}
