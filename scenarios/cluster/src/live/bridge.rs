//! Connections from this machine into the simulation: a real socket on one side, a pipe in memory on
//! the other, and neither runtime sees the other's clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

/// Bytes that wait in a pipe, each direction.
const PIPE: usize = 64 * 1024;
/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 1024;

/// A connection that arrived from this machine.
#[derive(Debug)]
pub struct Arrival {
    /// What the program sends and receives.
    pub stream: DuplexStream,
    /// The program's address.
    pub peer: SocketAddr,
    reset: Arc<AtomicBool>,
}

impl Arrival {
    /// Lets the real connection end with a reset when its stream is dropped, as the simulated one did.
    pub fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    /// The same, to be called when the stream has been given away.
    pub fn resetter(&self) -> impl Fn() + Send + Sync + use<> {
        let reset = Arc::clone(&self.reset);
        move || reset.store(true, Ordering::Relaxed)
    }
}

/// Where the simulation waits for connections.
#[derive(Debug)]
pub struct Arrivals(mpsc::Receiver<Arrival>);

impl Arrivals {
    /// The next connection; `None` when the listener is gone.
    pub async fn next(&mut self) -> Option<Arrival> {
        self.0.recv().await
    }
}

/// The side of the real sockets.
#[derive(Clone, Debug)]
pub struct Door(mpsc::Sender<Arrival>);

/// The two sides of a way into the simulation.
pub fn door() -> (Door, Arrivals) {
    let (sender, receiver) = mpsc::channel(64);
    (Door(sender), Arrivals(receiver))
}

/// Accepts connections and carries their bytes through the door, until the simulation is gone. Runs
/// where the sockets live, never under a paused clock.
pub async fn carry(listener: TcpListener, door: Door) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        // A failed accept is a connection that went away, or too many open files: the next may do.
        let Ok((mut socket, peer)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = socket.set_nodelay(true);
        let (mut near, far) = duplex(PIPE);
        let reset = Arc::new(AtomicBool::new(false));
        let arrival = Arrival {
            stream: far,
            peer,
            reset: Arc::clone(&reset),
        };
        if door.0.send(arrival).await.is_err() {
            return;
        }
        tokio::spawn(async move {
            let _ = copy_bidirectional(&mut socket, &mut near).await;
            if reset.load(Ordering::Relaxed) {
                let _ = socket.set_zero_linger();
            }
            drop(place);
        });
    }
}
