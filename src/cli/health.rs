//! `interlock health`: a sidecar's own probes from the command line, for images without a shell or an HTTP client.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::admin::AdminArgs;
use super::admin::failure::{self, AdminError};
use super::client::ClientError;
use super::{DONE, FAILED, Output};

/// For the whole command: a probe that waits longer has failed.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Asks a sidecar whether it is well.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  interlock health                               may traffic come?
  interlock health --live                        does the process run?
  interlock health --admin http://127.0.0.1:9902

For an exec probe or a HEALTHCHECK: asks /readyz, or /livez with --live, of the admin plane. No token is needed on loopback, nor
elsewhere where admin.open has the probes.")]
pub(super) struct HealthArgs {
    /// Whom to ask.
    #[command(flatten)]
    admin: AdminArgs,
    /// Ask only whether the process runs
    #[arg(long)]
    live: bool,
}

/// Which of the probes is asked.
#[derive(Clone, Copy)]
enum Probe {
    Live,
    Ready,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
        }
    }

    /// The word that its answer says yes or no to.
    fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ready => "ready",
        }
    }
}

/// Runs `interlock health`.
pub(super) async fn run(args: HealthArgs) -> ExitCode {
    let format = args.admin.output;
    match Box::pin(execute(args, TIMEOUT, &mut io::stdout())).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => failure::told(Err(error), format),
    }
}

/// Prints the answer, and gives the exit code that it means.
async fn execute(
    args: HealthArgs,
    within: Duration,
    out: &mut impl Write,
) -> Result<u8, AdminError> {
    let probe = if args.live { Probe::Live } else { Probe::Ready };
    let client = args.admin.client()?;
    let late = |_| Err(ClientError::ProbeTimeout { url: args.admin.admin.clone(), within });
    let asked = tokio::time::timeout(within, client.probe(probe.path(), probe.word())).await;
    let (well, answer) = asked.unwrap_or_else(late)?;
    let text = match args.admin.output {
        Output::Json => format!("{answer:#}"),
        Output::Text if well => probe.word().to_owned(),
        Output::Text => format!("not {}: {}", probe.word(), why_not(&answer)),
    };
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(if well { DONE } else { FAILED })
}

/// What keeps traffic away, by the answer of `/readyz`.
fn why_not(answer: &Value) -> String {
    if answer.get("draining") == Some(&Value::Bool(true)) {
        return "it is shutting down".to_owned();
    }
    let workers = |key| answer.get("workers").and_then(|workers| workers.get(key)?.as_u64());
    let failed = answer.get("checks").and_then(Value::as_object).into_iter().flatten();
    let failed: Vec<&str> = failed
        .filter(|(_, passed)| **passed == Value::Bool(false))
        .map(|(name, _)| name.as_str())
        .collect();
    match (workers("up"), workers("expected")) {
        (Some(up), Some(expected)) if up < expected => {
            format!("{up} of {expected} workers are up")
        }
        _ if failed.is_empty() => "it does not say why".to_owned(),
        _ => super::text::one_line(&format!("failed: {}", failed.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use http::StatusCode;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: HealthArgs,
    }

    /// What an admin plane answers to a probe, and the path that it was asked for.
    struct Asked {
        outcome: Result<u8, AdminError>,
        printed: String,
        request: String,
    }

    async fn asked(options: &str, status: StatusCode, body: &str) -> Asked {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = format!("health --admin http://{} {options}", listener.local_addr().unwrap());
        let args = Command::try_parse_from(line.split_whitespace()).unwrap().args;
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let mut printed = Vec::new();
        let outcome = execute(args, TIMEOUT, &mut printed).await;
        let printed = String::from_utf8(printed).unwrap();
        Asked { outcome, printed, request: server.await.unwrap() }
    }

    #[tokio::test]
    async fn yes_is_0() {
        let ready = asked("", StatusCode::OK, r#"{"ready":true}"#).await;
        let live = asked("--live", StatusCode::OK, r#"{"live":true}"#).await;

        assert_eq!((ready.outcome.unwrap(), ready.printed.as_str()), (DONE, "ready\n"));
        assert_eq!((live.outcome.unwrap(), live.printed.as_str()), (DONE, "live\n"));
        assert!(ready.request.starts_with("GET /readyz "), "{}", ready.request);
        assert!(live.request.starts_with("GET /livez "), "{}", live.request);
    }

    #[tokio::test]
    async fn no_is_1_and_says_why() {
        let check = async |body: Value, why: &str| {
            let asked = asked("", StatusCode::SERVICE_UNAVAILABLE, &body.to_string()).await;
            assert_eq!(asked.outcome.unwrap(), FAILED, "{body}");
            assert_eq!(asked.printed, format!("not ready: {why}\n"));
        };

        let workers = json!({"up": 1, "expected": 2});
        check(json!({"ready": false, "draining": true}), "it is shutting down").await;
        check(json!({"ready": false, "workers": workers}), "1 of 2 workers are up").await;
        check(json!({"ready": false, "checks": {"a": true, "b": false}}), "failed: b").await;
        check(json!({"ready": false}), "it does not say why").await;
    }

    #[tokio::test]
    async fn json_is_the_answer_itself() {
        let body = r#"{"ready":false,"draining":true}"#;

        let asked = asked("--output json", StatusCode::SERVICE_UNAVAILABLE, body).await;

        assert_eq!(asked.outcome.unwrap(), FAILED);
        assert_eq!(
            serde_json::from_str::<Value>(&asked.printed).unwrap(),
            json!({"ready": false, "draining": true})
        );
    }

    #[tokio::test]
    async fn what_is_no_probe_of_an_admin_plane_is_an_error() {
        let check = async |status: StatusCode, body: &str| {
            let error = asked("", status, body).await.outcome.unwrap_err().to_string();
            assert!(error.contains("is no admin plane"), "{error}");
        };

        check(StatusCode::OK, "fine").await;
        check(StatusCode::OK, r#"{"live":true}"#).await;
        // A status and a word that contradict each other.
        check(StatusCode::OK, r#"{"ready":false}"#).await;
        check(StatusCode::SERVICE_UNAVAILABLE, r#"{"ready":true}"#).await;
    }

    #[tokio::test]
    async fn a_refusal_is_told_as_one() {
        let body = r#"{"type":"urn:interlock:problem:no-token","title":"A token is needed","status":401,"detail":"send one"}"#;

        let error = asked("", StatusCode::UNAUTHORIZED, body).await.outcome.unwrap_err();

        assert!(error.to_string().contains("401"), "{error}");
        assert!(!error.to_string().contains("is no admin plane"), "{error}");
    }

    #[tokio::test]
    async fn no_answer_in_time_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let line = format!("health --admin http://{}", listener.local_addr().unwrap());
        let args = Command::try_parse_from(line.split_whitespace()).unwrap().args;

        // The connection is taken by the system, and nobody ever answers on it.
        let within = Duration::from_millis(50);
        let error = execute(args, within, &mut Vec::new()).await.unwrap_err();

        assert_eq!(error.exit_code(), FAILED);
        assert!(error.to_string().contains("does not answer within 50ms"), "{error}");
    }
}
