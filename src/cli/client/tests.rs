//! The client against servers that say what a test wants.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const GET: Call = Call { method: Method::GET, target: String::new(), if_version: None, body: None };

/// Answers one call with these bytes, and returns the error that comes of it.
async fn answered_with(bytes: impl Into<Vec<u8>>) -> Result<Value, ClientError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let bytes = bytes.into();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        // A client that has seen enough may go before all is written.
        drop(stream.write_all(&bytes).await);
    });
    let call = Call { target: "/".into(), ..GET };
    let answer = Client::new(url, None).unwrap().call(call).await;
    server.await.unwrap();
    answer
}

#[tokio::test]
async fn an_answer_that_is_no_json_hints_at_the_address() {
    let html = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>";

    let error = answered_with(html).await.unwrap_err();

    assert!(matches!(error, ClientError::NoAdminPlane { status: 200, .. }));
    assert!(error.to_string().contains("--admin"));
}

#[tokio::test]
async fn a_refusal_says_what_the_problem_says() {
    let problem = r#"{"type": "urn:interlock:problem:stale", "title": "Stale", "detail": "again"}"#;
    let head = format!("HTTP/1.1 412 Precondition Failed\r\nContent-Length: {}", problem.len());

    let error = answered_with(format!("{head}\r\n\r\n{problem}")).await.unwrap_err();

    assert_eq!(error.to_string(), "Stale (412): again");
}

#[tokio::test]
async fn a_refusal_in_other_words_is_no_admin_planes() {
    let of_the_proxy = r#"{"type": "about:blank", "title": "Bad Gateway", "detail": "no app"}"#;
    for body in ["", "[]", "{\"message\": \"no such page\"}", of_the_proxy] {
        let head = format!("HTTP/1.1 404 Not Found\r\nContent-Length: {}", body.len());

        let error = answered_with(format!("{head}\r\n\r\n{body}")).await.unwrap_err();

        let said = error.to_string();
        assert!(said.contains("is no admin plane (it answered 404): check --admin"), "{said}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_no_http_is_no_answer() {
    for bytes in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "SSH-2.0-OpenSSH_9.2\r\n"] {
        let error = answered_with(bytes).await.unwrap_err();

        assert!(matches!(error, ClientError::Transport { .. }), "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let mut bytes = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    bytes.resize(MAX_ANSWER_BYTES + 1024, b' ');

    assert!(matches!(answered_with(bytes).await, Err(ClientError::AnswerTooLarge)));
}

#[tokio::test]
async fn nobody_there_explains_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);

    let client = Client::new(url.parse().unwrap(), None).unwrap();
    let error = client.call(Call { target: "/".into(), ..GET }).await.unwrap_err();

    let shown = error.to_string();
    assert!(shown.contains(&url) && shown.contains("--admin"), "{shown}");
}

#[test]
fn an_address_is_a_scheme_a_host_and_a_port() {
    let read = |text: &str| text.parse::<AdminUrl>().map(|url| url.to_string());

    assert_eq!(read("http://localhost:9901/").as_deref(), Ok("http://localhost:9901"));
    assert_eq!(read("http://[::1]:9901").as_deref(), Ok("http://[::1]:9901"));
    for text in ["", "localhost", "127.0.0.1:9901", "/run/admin.sock"] {
        assert_eq!(read(text), Err(AdminUrlError::NotAUrl), "{text}");
    }
    assert_eq!(read("https://[::1]:9901").as_deref(), Ok("https://[::1]:9901"));
    assert_eq!(read("ftp://localhost:9901"), Err(AdminUrlError::NotHttp));
    let port = |text: &str| text.parse::<AdminUrl>().map(|url| url.port());
    assert_eq!(
        (port("http://a"), port("https://a"), port("https://a:1")),
        (Ok(80), Ok(443), Ok(1))
    );
    for text in ["http://me@localhost", "http://localhost/api", "http://localhost/?a"] {
        assert_eq!(read(text), Err(AdminUrlError::TooMuch), "{text}");
    }
}

#[test]
fn a_token_that_fits_no_header_is_refused() {
    let url: AdminUrl = "http://localhost".parse().unwrap();

    assert!(Client::new(url, Some("a\nb")).is_none());
}
