//! The collector: what spans are sent to, by OTLP over gRPC or HTTP, dialled as everything else is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataKey, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::Endpoint;
use tower_service::Service;

use super::convert;
use super::post::{PostError, Poster, dial};
use crate::config::{OtlpProtocol, Secret, TracesConfig};
use crate::net::TcpStream;

/// Why spans were not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("the exporter can't be made: {0}")]
    Build(#[from] ExporterBuildError),
    #[error("the endpoint is no URL: {0}")]
    Endpoint(#[from] tonic::transport::Error),
    #[error("the sidecar ends, and the collector has not answered")]
    Ended,
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    #[error("{0}")]
    Failed(OTelSdkError),
    #[error("{error}: {cause}")]
    Unposted { error: OTelSdkError, cause: String },
}

/// Where spans are sent.
pub(super) struct Collector {
    config: TracesConfig,
    /// Made for the first batch, and anew after a timeout: whatever stands still is not waited for twice.
    wire: Option<Wire>,
}

struct Wire {
    exporter: SpanExporter,
    /// Of OTLP over HTTP.
    poster: Option<Arc<Poster>>,
}

impl Collector {
    pub(super) fn new(config: TracesConfig) -> Self {
        Self { config, wire: None }
    }

    /// Sends a batch. Ends within the configured timeout, retries included.
    pub(super) async fn export(&mut self, batch: Vec<SpanData>) -> Result<(), ExportError> {
        let within = self.config.timeout;
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::new(&self.config)?,
        };
        let Ok(result) = timeout(within, wire.exporter.export(batch)).await else {
            return Err(ExportError::Timeout(within));
        };
        let cause = wire.poster.as_ref().and_then(|poster| poster.take_failure());
        self.wire = Some(wire);
        result.map_err(|error| match cause {
            Some(cause) => ExportError::Unposted { error, cause },
            None => ExportError::Failed(error),
        })
    }
}

impl Wire {
    fn new(config: &TracesConfig) -> Result<Self, ExportError> {
        let mut wire = match config.protocol {
            OtlpProtocol::Grpc => Self::grpc(config)?,
            OtlpProtocol::HttpProtobuf => Self::http(config)?,
        };
        wire.exporter.set_resource(&convert::resource(&config.resource));
        Ok(wire)
    }

    fn grpc(config: &TracesConfig) -> Result<Self, ExportError> {
        let channel =
            Endpoint::from_shared(config.endpoint.clone())?.connect_with_connector_lazy(Dial);
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(config.timeout)
            .with_interceptor(Headers::of(config))
            .build()?;
        Ok(Self { exporter, poster: None })
    }

    fn http(config: &TracesConfig) -> Result<Self, ExportError> {
        let headers = config.headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), value.reveal().to_owned()));
        let poster = Arc::new(Poster::default());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_shared_http_client(poster.clone())
            .with_endpoint(config.endpoint.clone())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(config.timeout)
            .with_headers(headers.collect())
            .build()?;
        Ok(Self { exporter, poster: Some(poster) })
    }
}

/// What the configuration wants sent along with every export over gRPC.
#[derive(Clone)]
struct Headers(Vec<(MetadataKey<Ascii>, MetadataValue<Ascii>)>);

impl Headers {
    fn of(config: &TracesConfig) -> Self {
        let read = |(name, value): &(String, Secret)| {
            let mut value: MetadataValue<Ascii> = value.reveal().parse().ok()?;
            value.set_sensitive(true);
            Some((name.parse().ok()?, value))
        };
        Self(config.headers.iter().filter_map(read).collect())
    }
}

impl Interceptor for Headers {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        for (name, value) in &self.0 {
            // In place of what the exporter has read out of the environment by itself.
            request.metadata_mut().insert(name.clone(), value.clone());
        }
        Ok(request)
    }
}

/// Opens the connection of OTLP over gRPC.
struct Dial;

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = PostError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, PostError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), PostError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(async move { dial(&to).await.map(TokioIo::new) })
    }
}
