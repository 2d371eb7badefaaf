//! The app behind the proxies: answers every call at once with the same document.

use std::io::Write;

use tokio::net::TcpListener;
use tokio::runtime;

use crate::wire::{Connection, WireError};

/// A journey of about the size that the reference service returns, in bytes on the wire.
const DOCUMENT: &str = concat!(
    r#"{"id":"J0000001","passengerName":"Ada Example","status":"Confirmed","totalPrice":850.50,"segments":["#,
    r#"{"segmentId":"1","origin":"ZRH","destination":"LHR","departureTime":"2026-03-01T08:00:00Z","#,
    r#""arrivalTime":"2026-03-01T09:45:00Z","flightNumber":"XY123","carrier":"Example Air","#,
    r#""status":"Departed","price":425.25}]}"#
);

/// Serves until the process is killed, having said where on standard output.
pub(crate) fn serve() -> Result<(), WireError> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}", listener.local_addr()?)?;
        stdout.flush()?;

        let answer = answer();
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer_all(Connection::new(stream)?, answer.clone()));
        }
    })
}

fn answer() -> String {
    let length = DOCUMENT.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{DOCUMENT}"
    )
}

/// A message that is not understood closes the connection: the load sees that and fails the run.
async fn answer_all(mut connection: Connection, answer: String) -> Result<(), WireError> {
    while connection.receive().await?.is_some() {
        connection.send(answer.as_bytes()).await?;
    }
    Ok(())
}
