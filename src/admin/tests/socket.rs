//! Over a real socket: what only a connection can show.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    plane: Plane,
}

async fn start() -> Server {
    let plane = Plane::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(serve(listener, Arc::clone(&plane.state), async {
        drop(stopped.await);
    }));
    Server { address, stop, served, plane }
}

async fn exchange(address: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_flip_over_a_socket_and_a_clean_end() {
    let server = start().await;
    let body = r#"{"percent": 25, "reason": "step"}"#;
    let head =
        "PATCH /api/v1/flags/journey-updates HTTP/1.1\r\nHost: localhost\r\nConnection: close";

    let answer = exchange(
        server.address,
        &format!(
            "{head}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
    .await;

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("etag: \"2\"\r\n"), "{answer}");
    assert_eq!(server.plane.percent(), "25%");

    let idle = TcpStream::connect(server.address).await.unwrap();
    server.stop.send(()).unwrap();
    server.served.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    drop(idle);
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let server = start().await;
    let head = "PATCH /api/v1/flags/journey-updates HTTP/1.1\r\nHost: localhost";
    let json = "Content-Type: application/json\r\nTransfer-Encoding: chunked";
    let chunk = format!("{:x}\r\n{}\r\n", 33_000, " ".repeat(33_000));

    let answer = exchange(server.address, &format!("{head}\r\n{json}\r\n\r\n{chunk}{chunk}")).await;

    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(server.plane.percent(), "5%");
}

#[tokio::test]
async fn with_a_connection_too_many_the_oldest_is_closed() {
    let server = start().await;
    let mut open = Vec::new();
    for _ in 0..257 {
        open.push(TcpStream::connect(server.address).await.unwrap());
    }

    // Far below the time after which an idle connection is closed anyway.
    let soon = std::time::Duration::from_secs(10);
    let closed = tokio::time::timeout(soon, open[0].read(&mut [0])).await;

    assert_eq!(closed.unwrap().unwrap(), 0);
    assert!(open[1].try_read(&mut [0]).is_err(), "the second oldest is still there");
}
