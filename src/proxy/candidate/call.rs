//! A call as a candidate gets it: the control's, once more, as bytes.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Request};
use smallvec::SmallVec;

use crate::domain::flag::Path;
use crate::domain::trace::TraceContext;
use crate::proxy::body::RequestBody;
use crate::proxy::headers::{INTERLOCK_PATH, INTERLOCK_SHADOW};
use crate::proxy::memory::HeldMemory;
use crate::proxy::traced::{TRACEPARENT, TRACESTATE};
use crate::shadow::WORTH_SHARING;
use crate::telemetry::trace::Onward;

/// Room for a usual head, in bytes.
const USUAL_HEAD: usize = 1024;

/// A whole call, ready to be sent.
pub(crate) struct Call {
    /// The head, and what of the body comes ahead of the pieces.
    first: Vec<u8>,
    /// Where the head's last field ends; no blank line follows yet.
    fields_end: usize,
    pieces: SmallVec<[Bytes; 1]>,
    pub(super) method: Method,
    /// Of a traced call: what its span is made of.
    pub(super) onward: Option<Box<Onward>>,
    memory: HeldMemory,
}

impl Call {
    /// Copies a call whose body is held whole; `None` where no memory is left for that.
    pub(crate) fn copy_of(
        request: &Request<RequestBody>,
        onward: Option<Onward>,
        memory: HeldMemory,
    ) -> Option<Self> {
        let mut first = Vec::with_capacity(USUAL_HEAD);
        write_head(request, onward.is_some(), &mut first);
        let mut call = Self {
            fields_end: first.len(),
            first,
            pieces: SmallVec::new(),
            method: request.method().clone(),
            onward: onward.map(Box::new),
            memory,
        };
        let body = request.body();
        match body.held_trailers() {
            None => body.held().iter().for_each(|piece| call.push(piece)),
            Some(trailers) => call.push_chunked(body, trailers),
        }
        let bytes = call.parts().map(<[u8]>::len).sum();
        call.memory.grow_to(bytes).ok()?;
        Some(call)
    }

    fn push(&mut self, piece: &Bytes) {
        if self.pieces.is_empty() && piece.len() < WORTH_SHARING {
            self.first.extend_from_slice(piece);
        } else {
            self.pieces.push(piece.clone());
        }
    }

    /// One chunk, as only a chunked body has trailers.
    fn push_chunked(&mut self, body: &RequestBody, trailers: &HeaderMap) {
        if body.held_bytes() > 0 {
            self.push(&Bytes::from(format!("{:x}\r\n", body.held_bytes())));
            body.held().iter().for_each(|piece| self.push(piece));
            self.push(&Bytes::from_static(b"\r\n"));
        }
        let mut end = b"0\r\n".to_vec();
        for (name, value) in trailers {
            write_field(name, value.as_bytes(), &mut end);
        }
        end.extend_from_slice(b"\r\n");
        self.push(&Bytes::from(end));
    }

    /// Marks it as a shadow for a path, which is known only when the control was served, and as the work of its span. To be
    /// done once, ahead of sending.
    pub(super) fn mark(&mut self, path: Path, span: Option<TraceContext>) {
        let end = self.first.len();
        let out = &mut self.first;
        write_field(&INTERLOCK_PATH, path.as_str().as_bytes(), out);
        write_field(&INTERLOCK_SHADOW, b"1", out);
        if let Some(span) = span {
            write_field(&TRACEPARENT, span.traceparent().as_str().as_bytes(), out);
        }
        out.extend_from_slice(b"\r\n");
        let marks = out.len() - end;
        // From behind the body, where they cost no buffer of their own, to the end of the head.
        if let Some(rest) = out.get_mut(self.fields_end..) {
            rest.rotate_right(marks);
        }
    }

    /// What is to be sent, in order.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&*self.first).chain(self.pieces.iter().map(|piece| &**piece))
    }

    /// Whether its answer has no body whatever it says.
    pub(super) fn asks_for_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

/// All but the blank line, and without what was between us and the control's connection.
fn write_head(request: &Request<RequestBody>, traced: bool, out: &mut Vec<u8>) {
    let headers = request.headers();
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(request.method().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let (mut has_length, mut switches) = (false, false);
    for (name, value) in headers {
        match *name {
            // The body goes along at once.
            EXPECT => continue,
            CONTENT_LENGTH => has_length = true,
            UPGRADE => switches = true,
            CONNECTION | TE if switches || headers.contains_key(UPGRADE) => continue,
            _ if *name == INTERLOCK_PATH => continue,
            // It has a trace of its own.
            _ if traced && (*name == TRACEPARENT || *name == TRACESTATE) => continue,
            _ => {}
        }
        if *name != UPGRADE {
            write_field(name, value.as_bytes(), out);
        }
    }
    let body = request.body();
    if body.held_trailers().is_some() {
        write_field(&TRANSFER_ENCODING, b"chunked", out);
    } else if !has_length && body.held_bytes() > 0 {
        write_field(&CONTENT_LENGTH, body.held_bytes().to_string().as_bytes(), out);
    }
}

fn write_field(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
