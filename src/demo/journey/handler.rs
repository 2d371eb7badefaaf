//! What the journey service answers, and the update that races.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::document::{self, ChangeError, Journey, Part};
use super::store::{Documents, StoreError};

/// The longest body of an update, in bytes: a status is a word.
const MAX_BODY: usize = 16 * 1024;
/// The longest status, in bytes.
const MAX_STATUS: usize = 256;
/// The request header that carries an update's id for the update log.
const UPDATE_ID: &str = "x-update-id";

/// The header that says that no effect is wanted: the service promises what `shadow.mode = "dry_run"` asks for.
const SHADOW: &str = "interlock-shadow";

/// The service's parts that an answer needs.
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) documents: Documents,
    /// Between reading and writing a document.
    pub(super) window: Duration,
    /// Whether updates leave their ids in the document.
    pub(super) update_log: bool,
}

/// Why a call was not served.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no such resource")]
    NoResource,
    #[error("this resource doesn't take that method")]
    BadMethod,
    #[error("no such journey")]
    NoJourney,
    #[error("the body must be {{\"status\": \"...\"}} with 1 to {MAX_STATUS} bytes")]
    BadBody,
    #[error(transparent)]
    Unchanged(#[from] ChangeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored document is no journey: {0}")]
    BadDocument(#[from] serde_json::Error),
    #[error("the service is stopping")]
    Stopping,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoResource | Self::NoJourney | Self::Unchanged(ChangeError::NoSegment) => {
                StatusCode::NOT_FOUND
            }
            Self::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::BadBody => StatusCode::BAD_REQUEST,
            Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unchanged(ChangeError::LogFull) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Unchanged(ChangeError::BadLog) | Self::Store(_) | Self::BadDocument(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

/// What a path names.
enum Resource {
    Journey { journey: String },
    Status { journey: String, part: Part },
}

impl Resource {
    fn of(path: &str) -> Option<Self> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = path.strip_prefix("/api/journeys/")?;
        let segments: Vec<&str> = path.split('/').collect();
        match segments[..] {
            [journey] if !journey.is_empty() => Some(Self::Journey { journey: decode(journey) }),
            [journey, "status"] => {
                Some(Self::Status { journey: decode(journey), part: Part::Journey })
            }
            [journey, "segments", segment, "status"] => Some(Self::Status {
                journey: decode(journey),
                part: Part::Segment(decode(segment)),
            }),
            _ => None,
        }
    }
}

/// An update of a status.
struct Update {
    journey: String,
    part: Part,
    status: String,
    id: Option<String>,
    /// Nothing is to be written.
    is_shadow: bool,
}

#[derive(Deserialize)]
struct StatusBody {
    status: String,
}

impl Handler {
    /// Answers one call; whatever is wrong with it becomes an answer too.
    pub(super) async fn answer<B: Body>(
        self: &Arc<Self>,
        request: Request<B>,
    ) -> Response<Full<Bytes>> {
        let (status, json) = match self.serve(request).await {
            Ok(json) => (StatusCode::OK, json),
            Err(refusal) => {
                let error = serde_json::json!({ "error": refusal.to_string() });
                (refusal.status(), error.to_string())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(json)));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    async fn serve<B: Body>(self: &Arc<Self>, request: Request<B>) -> Result<String, Refusal> {
        let resource = Resource::of(request.uri().path()).ok_or(Refusal::NoResource)?;
        match (resource, request.method()) {
            (Resource::Journey { journey }, &Method::GET) => {
                Ok(document::to_client_json(&self.read(&journey).await?)?)
            }
            (Resource::Status { journey, part }, &Method::PUT) => {
                let id = self.update_id(request.headers());
                let is_shadow = request.headers().contains_key(SHADOW);
                let status = read_status(request.into_body()).await?;
                let (handler, update) =
                    (Arc::clone(self), Update { journey, part, status, id, is_shadow });
                // As most apps do, it ends what it has begun, whether or not its caller is still there.
                let update = async move { handler.update(&update).await };
                tokio::spawn(update).await.map_err(|_| Refusal::Stopping)?
            }
            _ => Err(Refusal::BadMethod),
        }
    }

    /// The bug: nothing keeps another update out between the read and the write.
    async fn update(&self, update: &Update) -> Result<String, Refusal> {
        let Update { journey, part, status, id, is_shadow } = update;
        let mut document: Journey = serde_json::from_str(&self.read(journey).await?)?;
        tokio::time::sleep(self.window).await;
        document.set_status(part, status, id.as_deref())?;
        if !is_shadow {
            self.documents.set(&document::key(journey), serde_json::to_string(&document)?).await?;
        }
        let segment = match part {
            Part::Journey => None,
            Part::Segment(id) => Some(id),
        };
        Ok(serde_json::json!({ "journeyId": journey, "segmentId": segment, "status": status })
            .to_string())
    }

    async fn read(&self, journey: &str) -> Result<String, Refusal> {
        self.documents.get(&document::key(journey)).await?.ok_or(Refusal::NoJourney)
    }

    fn update_id(&self, headers: &HeaderMap) -> Option<String> {
        let id = headers.get(UPDATE_ID).filter(|_| self.update_log)?;
        id.to_str().ok().map(str::to_owned)
    }
}

async fn read_status<B: Body>(body: B) -> Result<String, Refusal> {
    // Whatever is wrong with the body, its sender is told the same.
    let body = Limited::new(body.map_err(|_| "the body broke off"), MAX_BODY);
    let bytes = body.collect().await.map_err(|_| Refusal::BadBody)?.to_bytes();
    let StatusBody { status } = serde_json::from_slice(&bytes).map_err(|_| Refusal::BadBody)?;
    if status.is_empty() || status.len() > MAX_STATUS {
        return Err(Refusal::BadBody);
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::journey::DocumentStore;

    async fn handler(update_log: bool) -> Arc<Handler> {
        let documents = DocumentStore::in_process().open();
        documents.seed(&["J1".to_owned(), "a b".to_owned()]).await.unwrap();
        Arc::new(Handler { documents, window: Duration::from_millis(10), update_log })
    }

    async fn call(handler: &Arc<Handler>, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("X-Update-Id", "id-1")
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        let response = handler.answer(request).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_is_there_afterwards() {
        let handler = handler(false).await;

        let segment = "/api/journeys/J1/segments/S03/status";
        let (status, _) = call(&handler, "PUT", segment, r#"{"status":"Departed"}"#).await;
        assert_eq!(status, 200);
        let journey = "/api/journeys/J1/status";
        let (status, _) = call(&handler, "PUT", journey, r#"{"status":"Active"}"#).await;
        assert_eq!(status, 200);

        let (status, json) = call(&handler, "GET", "/api/journeys/J1", "").await;
        let seen: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(status, 200);
        assert_eq!(seen["segments"][2]["status"], "Departed");
        assert_eq!(seen["status"], "Active");
        assert_eq!(seen["segments"][2].get("log"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_whose_caller_has_left_is_there_afterwards_too() {
        let handler = handler(false).await;
        let left = tokio::time::timeout(
            Duration::from_millis(1),
            call(&handler, "PUT", "/api/journeys/J1/status", r#"{"status":"Active"}"#),
        );

        assert!(left.await.is_err());
        tokio::time::sleep(handler.window).await;

        let (_, journey) = call(&handler, "GET", "/api/journeys/J1", "").await;
        assert!(journey.contains(r#""status":"Active""#), "{journey}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shadow_is_answered_and_writes_nothing() {
        let handler = handler(false).await;
        let shadow = Request::put("/api/journeys/J1/status").header("Interlock-Shadow", "1");
        let shadow = shadow.body(Full::new(Bytes::from(r#"{"status":"Active"}"#))).unwrap();

        assert_eq!(handler.answer(shadow).await.status(), StatusCode::OK);

        let (_, journey) = call(&handler, "GET", "/api/journeys/J1", "").await;
        assert!(!journey.contains(r#""status":"Active""#), "{journey}");
    }

    #[tokio::test(start_paused = true)]
    async fn two_updates_at_once_are_both_answered_and_one_is_lost() {
        let handler = handler(false).await;

        let (a, b) = tokio::join!(
            call(&handler, "PUT", "/api/journeys/J1/segments/S01/status", r#"{"status":"X"}"#),
            call(&handler, "PUT", "/api/journeys/J1/status", r#"{"status":"X"}"#),
        );

        let text = handler.documents.get("journey:J1").await.unwrap().unwrap();
        assert_eq!((a.0, b.0), (200, 200));
        assert_eq!(text.matches(r#""Status":"X""#).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn with_the_update_log_on_ids_lie_in_the_document() {
        let handler = handler(true).await;

        let segment = "/api/journeys/J1/segments/S03/status";
        call(&handler, "PUT", segment, r#"{"status":"Departed"}"#).await;

        let text = handler.documents.get("journey:J1").await.unwrap().unwrap();
        let journey: Journey = serde_json::from_str(&text).unwrap();
        assert_eq!(journey.segments[2].log, ["id-1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_wrong_with_a_call_is_told() {
        let handler = handler(false).await;
        let check = async |method: &str, path: &str, body: &str, expected: u16| {
            let (status, answer) = call(&handler, method, path, body).await;
            assert_eq!(status, expected, "{method} {path} {body}: {answer}");
            assert!(answer.starts_with(r#"{"error":"#), "{answer}");
        };

        let good = r#"{"status":"X"}"#;
        check("GET", "/api/journeys/J2", "", 404).await;
        check("PUT", "/api/journeys/J2/status", good, 404).await;
        check("PUT", "/api/journeys/J1/segments/S99/status", good, 404).await;
        check("GET", "/api/journeys/", "", 404).await;
        check("GET", "/elsewhere", "", 404).await;
        check("DELETE", "/api/journeys/J1", "", 405).await;
        check("POST", "/api/journeys/J1/status", good, 405).await;
        check("PUT", "/api/journeys/J1/status", "{}", 400).await;
        check("PUT", "/api/journeys/J1/status", "not JSON", 400).await;
        check("PUT", "/api/journeys/J1/status", r#"{"status":""}"#, 400).await;
        let long = format!(r#"{{"status":"{}"}}"#, "x".repeat(MAX_BODY));
        check("PUT", "/api/journeys/J1/status", &long, 400).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_encoded_id_is_the_id() {
        let handler = handler(false).await;

        let (status, _) = call(&handler, "GET", "/api/journeys/a%20b", "").await;

        assert_eq!(status, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stored_document_that_is_no_journey_is_a_server_error() {
        let handler = handler(false).await;
        handler.documents.set("journey:J1", "[]".to_owned()).await.unwrap();

        let (status, _) = call(&handler, "GET", "/api/journeys/J1", "").await;

        assert_eq!(status, 500);
    }
}
