//! The load of an attack. Each connection sends the next request as soon as it receives the response to the
//! previous request. One thread handles all connections.

use std::{
    cell::RefCell,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::mpsc::Sender,
    time::{Duration, Instant},
};

use tokio::{
    task::LocalSet,
    time::{sleep, timeout},
};

use super::{
    AttackResult, TIMEOUT,
    http1::{Connection, Response},
    request::Request,
};

/// The parameters of an attack.
#[derive(Debug)]
pub struct Load {
    /// The servers under attack. The connections are distributed over these servers.
    pub servers: Vec<SocketAddr>,
    /// The number of connections.
    pub connections: usize,
    /// The different requests of the attack. Each connection sends one of them repeatedly, each time with the next
    /// forwarded address.
    pub requests: Vec<Request>,
    /// The duration of the attack.
    pub duration: Duration,
    /// The number of the first forwarded address. The requests use consecutive addresses.
    pub first_address: u32,
    /// The maximum number of requests of the attack.
    pub max_requests: u64,
    /// The pause that each connection makes between a response and the next request.
    pub pause: Duration,
}

/// The counts of requests, responses and connections in an attack.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The number of requests that the attack sent.
    pub sent: u64,
    /// The number of responses with the status 200.
    pub passed: u64,
    /// The number of responses with the status 429.
    pub denied: u64,
    /// The number of responses with the status 503.
    pub unavailable: u64,
    /// The number of responses with a status other than 200, 429 and 503.
    pub other: u64,
    /// The number of responses without rate limit headers. No limit made a decision on these requests.
    pub undecided: u64,
    /// The number of connections that failed during the attack.
    pub broken: u64,
    /// The time from the start of the first request until the end of the last response.
    pub lasted: Duration,
}

/// The number of connections that are opened at the same time. With a higher number, the accept queue of a server
/// could overflow.
const OPEN_BATCH: usize = 100;
/// The maximum wait for the last responses after the attack.
const GRACE: Duration = Duration::from_secs(3);

impl Tally {
    /// The number of responses.
    #[must_use]
    pub fn responses(&self) -> u64 {
        self.passed + self.denied + self.unavailable + self.other
    }

    fn add(&mut self, response: Response) {
        match response.status {
            200 => self.passed += 1,
            429 => self.denied += 1,
            503 => self.unavailable += 1,
            // A limit rejects a request only with the status 429 or 503, so another part of the server sent this
            // response.
            _ => {
                self.other += 1;
                return;
            }
        }
        self.undecided += u64::from(!response.is_decided);
    }
}

/// The state that all connections of the attack share.
struct Shared {
    tally: Tally,
    next_address: u32,
    end: Instant,
    last_response: Instant,
    max_requests: u64,
    pause: Duration,
}

/// Opens the connections, sends a message through `opened`, and then sends requests for the duration of the attack.
///
/// # Errors
///
/// Returns an error if a connection cannot be opened, or the runtime cannot be created.
pub fn run(load: &Load, opened: &Sender<()>) -> AttackResult<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let connections = open(load).await?;
        let _ = opened.send(());
        let start = Instant::now();
        let shared = Rc::new(RefCell::new(Shared {
            tally: Tally::default(),
            next_address: load.first_address,
            end: start + load.duration,
            last_response: start,
            max_requests: load.max_requests,
            pause: load.pause,
        }));
        // The list has each request once for each server, so each server receives all kinds of requests.
        let requests =
            load.requests.iter().flat_map(|it| std::iter::repeat_n(it, load.servers.len()));
        let tasks: Vec<_> = connections
            .into_iter()
            .zip(requests.cycle())
            .map(|(connection, request)| {
                let task = attack(connection, request.clone(), Rc::clone(&shared));
                tokio::task::spawn_local(task)
            })
            .collect();
        let all = async {
            for task in tasks {
                let _ = task.await;
            }
        };
        let _ = timeout(load.duration + GRACE, all).await;
        let mut tally = shared.borrow().tally.clone();
        tally.lasted = shared.borrow().last_response - start;
        Ok(tally)
    })
}

async fn open(load: &Load) -> AttackResult<Vec<Connection>> {
    let mut connections = Vec::with_capacity(load.connections);
    let numbers: Vec<usize> = (0..load.connections).collect();
    for some in numbers.chunks(OPEN_BATCH) {
        let opening = some.iter().map(|number| {
            let server = load.servers[number % load.servers.len()];
            timeout(TIMEOUT, Connection::open(Ipv4Addr::LOCALHOST, server))
        });
        for connection in futures_util::future::join_all(opening).await {
            connections.push(connection??);
        }
    }
    Ok(connections)
}

/// Sends requests on one connection until the attack ends or the connection is closed.
async fn attack(mut connection: Connection, mut request: Request, shared: Rc<RefCell<Shared>>) {
    loop {
        {
            let mut shared = shared.borrow_mut();
            if Instant::now() >= shared.end || shared.tally.sent >= shared.max_requests {
                return;
            }
            shared.tally.sent += 1;
            request.set_address(shared.next_address);
            shared.next_address = shared.next_address.wrapping_add(1);
        }
        let response = connection.send(request.bytes()).await;
        let pause = {
            let mut shared = shared.borrow_mut();
            let Ok(response) = response else {
                shared.tally.broken += 1;
                return;
            };
            shared.tally.add(response);
            shared.last_response = Instant::now();
            shared.pause
        };
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}
