//! The app behind the sidecars: thinks for a while about each call, answers all with the same document, and sees
//! whether calls overlap.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::http::{Connection, HttpError};

const DOCUMENT: &str = r#"{"id":"J0000001","status":"Confirmed","totalPrice":850.50,"segments":[{"segmentId":"1","status":"Departed"}]}"#;

/// A running app. It ends with this program.
pub(crate) struct App {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    service: Arc<Service>,
}

struct Service {
    think: Duration,
    answer: String,
    running: AtomicU64,
    overlapping: AtomicU64,
}

impl App {
    /// Starts an app that takes `think` for each call. A thread for each connection sleeps through it, which is exact to
    /// about 0.1 ms.
    pub(crate) fn start(think: Duration) -> Result<Self, HttpError> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{DOCUMENT}",
            DOCUMENT.len()
        );
        let (running, overlapping) = Default::default();
        let service = Arc::new(Service { think, answer, running, overlapping });
        let serving = Arc::clone(&service);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = Arc::clone(&serving);
                // A message that is not understood closes the connection: the caller sees that.
                thread::spawn(move || service.answer_all(Connection::over(stream, None)?));
            }
        });
        Ok(Self { address, service })
    }

    /// How many calls began while another one was running, since this was asked last.
    pub(crate) fn take_overlapping(&self) -> u64 {
        self.service.overlapping.swap(0, Relaxed)
    }
}

impl Service {
    fn answer_all(&self, mut connection: Connection) -> Result<(), HttpError> {
        while connection.receive()?.is_some() {
            if self.running.fetch_add(1, Relaxed) > 0 {
                self.overlapping.fetch_add(1, Relaxed);
            }
            if !self.think.is_zero() {
                thread::sleep(self.think);
            }
            self.running.fetch_sub(1, Relaxed);
            connection.send(self.answer.as_bytes())?;
        }
        Ok(())
    }
}
