//! The attack: connections that each send a request as soon as the one before is answered, all on one thread.

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
    Outcome, PATIENCE,
    http1::{Connection, Response},
    request::Request,
};

/// What is sent to whom.
#[derive(Debug)]
pub struct Load {
    /// The servers; connections are spread over them.
    pub servers: Vec<SocketAddr>,
    /// How many connections there are.
    pub connections: usize,
    /// The requests, each with the next address. Each connection sends one of them again and again.
    pub requests: Vec<Request>,
    /// How long requests are sent.
    pub lasts: Duration,
    /// The number of the first address.
    pub first_address: u32,
    /// How many requests are sent at most.
    pub max_requests: u64,
    /// How long each connection waits between a response and its next request.
    pub pause: Duration,
}

/// How responses are counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that were sent.
    pub sent: u64,
    /// Responses with 200.
    pub passed: u64,
    /// Responses with 429.
    pub denied: u64,
    /// Responses with 503.
    pub unavailable: u64,
    /// Responses with any other status.
    pub other: u64,
    /// Responses without the numbers of a decision.
    pub undecided: u64,
    /// Connections that ended or could not be opened.
    pub broken: u64,
    /// From before the first request until after the last response.
    pub lasted: Duration,
}

/// Connections open this many at a time, so that no accept queue overflows.
const OPENED_AT_ONCE: usize = 100;
/// Responses that come later than this after the end are not waited for.
const GRACE: Duration = Duration::from_secs(3);

impl Tally {
    /// Responses.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.passed + self.denied + self.unavailable + self.other
    }

    fn add(&mut self, response: Response) {
        match response.status {
            200 => self.passed += 1,
            429 => self.denied += 1,
            503 => self.unavailable += 1,
            // These do not come from a limit.
            _ => {
                self.other += 1;
                return;
            }
        }
        self.undecided += u64::from(!response.is_decided);
    }
}

/// State that the connections share.
struct Shared {
    tally: Tally,
    next_address: u32,
    end: Instant,
    last_response: Instant,
    max_requests: u64,
    pause: Duration,
}

/// Opens the connections, says so through `opened`, and sends until the time is over.
///
/// # Errors
///
/// If a connection cannot be opened, or the system has no runtime for it.
pub fn run(load: &Load, opened: &Sender<()>) -> Outcome<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let connections = open(load).await?;
        let _ = opened.send(());
        let start = Instant::now();
        let shared = Rc::new(RefCell::new(Shared {
            tally: Tally::default(),
            next_address: load.first_address,
            end: start + load.lasts,
            last_response: start,
            max_requests: load.max_requests,
            pause: load.pause,
        }));
        // The connections to each server have all requests in turn.
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
        let _ = timeout(load.lasts + GRACE, all).await;
        let mut tally = shared.borrow().tally.clone();
        tally.lasted = shared.borrow().last_response - start;
        Ok(tally)
    })
}

async fn open(load: &Load) -> Outcome<Vec<Connection>> {
    let mut connections = Vec::with_capacity(load.connections);
    let numbers: Vec<usize> = (0..load.connections).collect();
    for some in numbers.chunks(OPENED_AT_ONCE) {
        let opening = some.iter().map(|number| {
            let server = load.servers[number % load.servers.len()];
            timeout(PATIENCE, Connection::open(Ipv4Addr::LOCALHOST, server))
        });
        for connection in futures_util::future::join_all(opening).await {
            connections.push(connection??);
        }
    }
    Ok(connections)
}

/// Sends on one connection until the time is over or the connection is.
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
