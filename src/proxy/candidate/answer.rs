//! An answer as it arrives: framed by RFC 9112 section 6.3, and captured as far as it is compared.

use std::mem::MaybeUninit;
use std::rc::Rc;

use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use httparse::{Header, ParserConfig, Response, Status};
use memchr::memchr_iter;

use super::CandidateError;
use super::chunks::{Chunks, Piece};
use crate::domain::compare::Rules;
use crate::proxy::error::{is_bodiless, switches};
use crate::proxy::memory::BodyMemory;
use crate::proxy::tap::Capture;
use crate::shadow::Captured;

/// All that may come ahead of an answer's body, in bytes: interim answers and its head.
const MAX_HEADS: usize = 128 * 1024;

/// Fields of a head.
const MAX_FIELDS: usize = 100;

/// How an answer is captured.
#[derive(Clone, Copy)]
pub(super) struct Capturing<'r> {
    /// They say which fields are compared.
    pub(super) rules: &'r Rules,
    pub(super) memory: &'r Rc<BodyMemory>,
    /// The longest body, in bytes.
    pub(super) limit: usize,
}

/// An answer that arrives.
pub(super) struct Arriving<'r> {
    capturing: Capturing<'r>,
    asked_for_head: bool,
    /// Of a head that is not whole yet.
    carried: Vec<u8>,
    /// All that came ahead of the body.
    heads: usize,
    head: Option<(Capture, Framing)>,
    /// Of the head that is here.
    pub(super) status: StatusCode,
    /// Whether the connection may be used again.
    pub(super) keeps: bool,
}

/// Where a body ends.
enum Framing {
    Sized(u64),
    Chunked(Box<Chunks>),
    UntilClose,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Whole,
}

impl<'r> Arriving<'r> {
    pub(super) fn new(capturing: Capturing<'r>, asked_for_head: bool) -> Self {
        Self {
            capturing,
            asked_for_head,
            carried: Vec::new(),
            heads: 0,
            head: None,
            status: StatusCode::default(),
            keeps: true,
        }
    }

    /// Whether its head is here.
    pub(super) fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// Takes what came. After an error or the end nothing more may be given.
    pub(super) fn take(&mut self, mut data: &[u8]) -> Result<Progress, CandidateError> {
        while self.head.is_none() {
            if !self.take_head(&mut data)? {
                return Ok(Progress::More);
            }
        }
        self.take_body(data)
    }

    /// The connection was closed. What was captured, if that was the end.
    pub(super) fn close(self) -> Result<Captured, CandidateError> {
        match self.head {
            Some((capture, Framing::UntilClose)) => Ok(capture.into_answer()),
            _ => Err(CandidateError::Closed),
        }
    }

    /// The answer, once it is whole.
    pub(super) fn into_answer(self) -> Result<Captured, CandidateError> {
        self.head.map(|(capture, _)| capture.into_answer()).ok_or(CandidateError::Closed)
    }

    /// Takes a head, be it interim, from the front of `data`; `false` where it goes on.
    fn take_head(&mut self, data: &mut &[u8]) -> Result<bool, CandidateError> {
        let carried = self.carried.len();
        let Some(end) = head_end(&self.carried, data) else {
            if self.heads + carried + data.len() > MAX_HEADS {
                return Err(CandidateError::EndlessHead { limit: MAX_HEADS });
            }
            self.carried.extend_from_slice(data);
            return Ok(false);
        };
        let (here, rest) = data.split_at(end);
        *data = rest;
        self.heads += carried + end;
        if self.heads > MAX_HEADS {
            return Err(CandidateError::EndlessHead { limit: MAX_HEADS });
        }
        if carried == 0 {
            self.head = self.parse(here)?;
        } else {
            let mut whole = std::mem::take(&mut self.carried);
            whole.extend_from_slice(here);
            self.head = self.parse(&whole)?;
        }
        Ok(true)
    }

    /// Reads a whole head; `None` where it is an interim one.
    fn parse(&mut self, head: &[u8]) -> Result<Option<(Capture, Framing)>, CandidateError> {
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut response = Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            head,
            &mut fields,
        );
        let Ok(Status::Complete(_)) = parsed else { return Err(CandidateError::Malformed) };
        let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(CandidateError::Malformed)?;
        if switches(status) {
            return Err(CandidateError::Switches);
        }
        if status.is_informational() {
            return Ok(None);
        }
        let said = Said::by(response.headers)?;
        self.status = status;
        self.keeps = response.version == Some(1) && !said.closes;
        let mut captured = Captured::with_status(status);
        for field in &*response.headers {
            captured.keep_field(self.capturing.rules, field.name, field.value);
        }
        let bodiless = self.asked_for_head || is_bodiless(status);
        let framing = match (said.chunked, said.length) {
            _ if bodiless => Framing::Sized(0),
            (true, _) => Framing::Chunked(Box::default()),
            (false, Some(length)) => Framing::Sized(length),
            (false, None) => Framing::UntilClose,
        };
        let Capturing { memory, limit, .. } = self.capturing;
        Ok(Some((Capture::new(captured, memory, limit), framing)))
    }

    fn take_body(&mut self, mut data: &[u8]) -> Result<Progress, CandidateError> {
        let Some((capture, framing)) = &mut self.head else { return Ok(Progress::More) };
        match framing {
            Framing::UntilClose => capture.take(data)?,
            Framing::Sized(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
                let (body, surplus) = data.split_at(here);
                capture.take(body)?;
                *left -= here as u64;
                self.keeps &= surplus.is_empty();
                if *left == 0 {
                    return Ok(Progress::Whole);
                }
            }
            Framing::Chunked(chunks) => loop {
                match chunks.next(&mut data)? {
                    Piece::Data(piece) => capture.take(piece)?,
                    Piece::More => break,
                    Piece::End(surplus) => {
                        self.keeps &= surplus == 0;
                        return Ok(Progress::Whole);
                    }
                }
            },
        }
        Ok(Progress::More)
    }
}

/// What a head says of what follows it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    closes: bool,
}

impl Said {
    fn by(fields: &[Header<'_>]) -> Result<Self, CandidateError> {
        let mut said = Self::default();
        let is = |field: &Header<'_>, name: &HeaderName| {
            field.name.len() == name.as_str().len()
                && field.name.eq_ignore_ascii_case(name.as_str())
        };
        for field in fields {
            if is(field, &CONTENT_LENGTH) {
                let length = length(field.value).ok_or(CandidateError::Malformed)?;
                if said.length.is_some_and(|other| other != length) {
                    return Err(CandidateError::Malformed);
                }
                said.length = Some(length);
            } else if is(field, &TRANSFER_ENCODING) {
                // Another coding would be lost on a control's way too.
                if said.chunked || !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(CandidateError::Malformed);
                }
                said.chunked = true;
            } else if is(field, &CONNECTION) {
                let mut options = field.value.split(|b| *b == b',');
                said.closes |= options.any(|it| it.trim_ascii().eq_ignore_ascii_case(b"close"));
            }
        }
        // Both is suspect (RFC 9112 section 6.1): the connection is not trusted any more.
        said.closes |= said.chunked && said.length.is_some();
        Ok(said)
    }
}

fn length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| plain)?.parse().ok()
}

/// Where in `data` a head ends of which `before` has come already: after the first blank line.
fn head_end(before: &[u8], data: &[u8]) -> Option<usize> {
    let byte_at = |at: usize| match at.checked_sub(before.len()) {
        None => before.get(at),
        Some(at) => data.get(at),
    };
    memchr_iter(b'\n', data).map(|at| before.len() + at).find_map(|at| {
        let previous = byte_at(at.checked_sub(1)?)?;
        let line_before = if *previous == b'\r' { at.checked_sub(2)? } else { at - 1 };
        (*byte_at(line_before)? == b'\n').then_some(at + 1 - before.len())
    })
}

#[cfg(test)]
mod tests;
