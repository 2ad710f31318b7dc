//! A proxy that adds latency to a server without limiting the throughput.
//!
//! One thread reads data and notes the time at which the data must be written. A second thread writes the data at
//! that time. The reading thread never sleeps, so it notes this time immediately, even while earlier data still
//! waits.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use super::AttackResult;

/// The time at which the data must be written, and the data.
type Chunk = (Instant, Vec<u8>);

/// Starts a proxy in front of the server at `to`, and returns the port of the proxy. The proxy delays the data of
/// each direction by half of `round_trip`.
///
/// The proxy runs until the process ends.
///
/// # Errors
///
/// Returns an error if no port is free.
pub fn start(to: u16, round_trip: Duration) -> AttackResult<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = connect(client, to, round_trip / 2);
        }
    });
    Ok(port)
}

fn connect(client: TcpStream, to: u16, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to)))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || read(from, &sender, delay));
        thread::spawn(move || write(to, &receiver));
    }
    Ok(())
}

/// Reads data from a connection until the connection ends. Then the channel to the writing thread ends, and that
/// thread closes the connection on the other side of the proxy.
fn read(mut from: TcpStream, sender: &Sender<Chunk>, delay: Duration) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        let due = Instant::now() + delay;
        if length == 0 || sender.send((due, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
}

fn write(mut to: TcpStream, receiver: &Receiver<Chunk>) {
    while let Ok((due, bytes)) = receiver.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
