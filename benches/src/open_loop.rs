//! Load at a fixed rate. Latencies are measured from the scheduled times, so that a slow server cannot hide the time that
//! requests wait for a free connection.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use mio::{Token, Waker};

use crate::{
    BenchResult,
    load::{Exchange, Load, TIMEOUT, Tally},
    precise_sleep,
};

/// The token of the timer's events. Connections have smaller tokens.
const TIMER: Token = Token(usize::MAX);
/// The shortest interval of the timer. At higher rates, each event sends several requests.
const SHORTEST_INTERVAL: Duration = Duration::from_micros(100);

impl Load {
    /// Sends `rate` requests per second for this duration, each on a free connection, and waits for the last
    /// responses. A request without a free connection waits for one. The latency begins at the scheduled time.
    ///
    /// # Errors
    ///
    /// If a connection ends, or a response is invalid or missing.
    pub fn run_at_rate(
        &mut self,
        rate: f64,
        duration: Duration,
        expected: u16,
    ) -> BenchResult<Tally> {
        let mut tally = Tally::default();
        self.exchange_at_rate(rate, duration, |exchange, latency| {
            tally.add(exchange, expected, latency);
        })?;
        tally.micros.sort_unstable();
        Ok(tally)
    }

    /// The same, and calls `record` with each exchange and its latency.
    ///
    /// # Errors
    ///
    /// If a connection ends, or a response is invalid or missing.
    pub fn exchange_at_rate(
        &mut self,
        rate: f64,
        duration: Duration,
        mut record: impl FnMut(&Exchange, Duration),
    ) -> BenchResult {
        let timer = Timer::start(self, Duration::from_secs_f64(1.0 / rate))?;
        let total = (duration.as_secs_f64() * rate).ceil() as u64;
        let mut free: VecDeque<usize> = (0..self.connections.len()).collect();
        let mut scheduled = vec![Instant::now(); self.connections.len()];
        let (mut received, mut arrived, mut sent) = (0, Vec::new(), 0);
        let start = Instant::now();
        let mut last_response = start;
        let due = |number: u64| start + Duration::from_secs_f64(number as f64 / rate);
        while received < total {
            while sent < total && due(sent) <= Instant::now() {
                let Some(index) = free.pop_front() else { break };
                scheduled[index] = due(sent);
                self.send(index)?;
                sent += 1;
            }
            self.receive(TIMEOUT, &mut arrived)?;
            for exchange in arrived.drain(..).flatten() {
                last_response = exchange.received;
                let latency = exchange.received - scheduled[exchange.index];
                record(&exchange, latency);
                received += 1;
                free.push_back(exchange.index);
            }
            // `receive` also returns when the timer ticks, so its timeout does not detect this.
            if free.len() < self.connections.len() && last_response.elapsed() > TIMEOUT {
                return Err("the server does not respond".into());
            }
        }
        drop(timer);
        Ok(())
    }
}

/// A thread that wakes the load generator at short intervals, because timeouts of `mio` are whole milliseconds.
struct Timer {
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Timer {
    fn start(load: &Load, interval: Duration) -> BenchResult<Self> {
        let waker = Waker::new(load.poll.registry(), TIMER)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let interval = interval.clamp(SHORTEST_INTERVAL, Duration::from_millis(100));
        let thread = thread::spawn({
            let is_over = is_over.clone();
            move || {
                precise_sleep::prepare_this_thread();
                let mut next = Instant::now();
                while !is_over.load(Relaxed) && waker.wake().is_ok() {
                    next += interval;
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }
        });
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}
