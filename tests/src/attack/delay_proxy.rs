//! A proxy that makes a server seem far away: it adds latency and no limit of throughput.
//!
//! One thread reads and stamps what comes; another one writes it when it is due. So data that arrives while older data
//! waits is not held up by it, unlike in a proxy that sleeps between read and write.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use super::Outcome;

/// What came, and when it is due.
type Chunk = (Instant, Vec<u8>);

/// Starts a proxy before the server at `to`, with half of the round trip each way, and returns its port.
///
/// It lives as long as the process.
///
/// # Errors
///
/// If there is no port for it.
pub fn start(to: u16, round_trip: Duration) -> Outcome<u16> {
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

/// Reads until the end, which is passed on by the end of the channel.
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
