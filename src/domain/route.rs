//! Routes: which calls a flag is about.
//!
//! A route must not be slipped past by another spelling of the same path. Templates are therefore matched against the
//! path's segments percent-decoded once, with empty and `.` segments dropped, `..` applied and letter case of literals
//! ignored, as lenient servers do. The path that goes upstream is never changed by this. Whether that spelling is also the
//! template's own is a question apart ([`PathTemplate::is_spelled`]): who acts on a call in the app's place must know.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use http::Method;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use smallvec::SmallVec;

use super::entity::is_placeholder_name;

/// What a literal must not show as it is, or it would read back as something else.
const NOT_IN_A_LITERAL: &AsciiSet =
    &CONTROLS.add(b' ').add(b'/').add(b'%').add(b'?').add(b'#').add(b'{').add(b'}');

/// What a value must not show as it is inside one segment of a path: all but what RFC 3986 calls unreserved.
const NOT_IN_A_VALUE: &AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path template, such as `/api/journeys/{journeyId}/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Placeholder(String),
}

/// Why a text is not a [`PathTemplate`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathTemplateError {
    /// It doesn't start with a slash.
    #[error("must start with /")]
    NoLeadingSlash,
    /// A segment that could never match a normalised path.
    #[error("has an empty, \".\" or \"..\" segment, which no request is matched by")]
    DeadSegment,
    /// A query or a fragment.
    #[error("has a ? or #: a path only; use query:NAME to take a value from the query")]
    NotAPath,
    /// A placeholder that is not a whole segment, or has a bad name.
    #[error(
        "\"{segment}\" mixes text and braces: a placeholder is a whole segment, such as {{id}}"
    )]
    BadPlaceholder {
        /// The segment as written.
        segment: String,
    },
    /// One name for two segments.
    #[error("names {{{name}}} twice")]
    Repeated {
        /// The name.
        name: String,
    },
}

impl PathTemplate {
    /// The names of the placeholders, in the order of the path.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Placeholder(name) => Some(name.as_str()),
        })
    }

    /// The path with values in place of its placeholders, percent-encoded. `None` where one is missing.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        let mut path = String::with_capacity(64);
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.extend(utf8_percent_encode(text, NOT_IN_A_LITERAL)),
                Segment::Placeholder(name) => {
                    path.extend(utf8_percent_encode(value(name)?, NOT_IN_A_VALUE))
                }
            }
        }
        Some(path)
    }

    /// Whether the two match exactly the same paths.
    pub fn same_shape(&self, other: &Self) -> bool {
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|pair| match pair {
                (Segment::Literal(a), Segment::Literal(b)) => a.eq_ignore_ascii_case(b),
                (Segment::Placeholder(_), Segment::Placeholder(_)) => true,
                _ => false,
            })
    }

    /// Whether a path is written as the template is: the same segments, literals in the same letters, and for each placeholder one
    /// segment of UTF-8 that is neither empty nor `.` or `..` and holds no encoded slash. [`Router::find`] takes more than these, of
    /// which an app may think otherwise.
    pub fn is_spelled(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut written = path.split('/').map(|raw| percent_decode_str(raw).decode_utf8());
        let all = self.segments.iter().all(|segment| match (segment, written.next()) {
            (Segment::Literal(literal), Some(Ok(text))) => *literal == text,
            (Segment::Placeholder(_), Some(Ok(text))) => {
                !matches!(text.as_ref(), "" | "." | "..") && !text.contains('/')
            }
            (_, Some(Err(_)) | None) => false,
        });
        all && written.next().is_none()
    }

    fn captures<'p>(&self, path: &PathSegments<'p>) -> Option<Captures<'p>> {
        if self.segments.len() != path.0.len() {
            return None;
        }
        let mut captures = Captures::new();
        for (segment, value) in self.segments.iter().zip(&path.0) {
            match segment {
                Segment::Literal(text) if text.eq_ignore_ascii_case(value) => {}
                Segment::Literal(_) => return None,
                Segment::Placeholder(_) => captures.push(value.clone()),
            }
        }
        Some(captures)
    }

    /// Literal before placeholder, from the left: of two templates that match one path, the smaller is more specific.
    fn specificity(&self) -> impl Iterator<Item = u8> {
        self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Placeholder(_) => 1,
        })
    }
}

impl FromStr for PathTemplate {
    type Err = PathTemplateError;

    fn from_str(text: &str) -> Result<Self, PathTemplateError> {
        let path = text.strip_prefix('/').ok_or(PathTemplateError::NoLeadingSlash)?;
        if path.contains(['?', '#']) {
            return Err(PathTemplateError::NotAPath);
        }
        let mut template = Self { segments: Vec::new() };
        for segment in path.split('/') {
            if matches!(segment, "" | "." | "..") {
                return Err(PathTemplateError::DeadSegment);
            }
            let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
            match name {
                Some(name) if is_placeholder_name(name) => {
                    if template.placeholders().any(|known| known == name) {
                        return Err(PathTemplateError::Repeated { name: name.to_owned() });
                    }
                    template.segments.push(Segment::Placeholder(name.to_owned()));
                }
                None if !segment.contains(['{', '}']) => {
                    let literal = percent_decode_str(segment).decode_utf8_lossy().into_owned();
                    template.segments.push(Segment::Literal(literal));
                }
                _ => {
                    return Err(PathTemplateError::BadPlaceholder { segment: segment.to_owned() });
                }
            }
        }
        Ok(template)
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => {
                    write!(f, "/{}", utf8_percent_encode(text, NOT_IN_A_LITERAL))?;
                }
                Segment::Placeholder(name) => write!(f, "/{{{name}}}")?,
            }
        }
        Ok(())
    }
}

/// What the placeholders of a path matched, decoded, in the order of the path.
pub type Captures<'p> = SmallVec<[Cow<'p, str>; 4]>;

/// A request's path as the segments that templates are matched against.
struct PathSegments<'p>(SmallVec<[Cow<'p, str>; 12]>);

impl<'p> PathSegments<'p> {
    fn of(path: &'p str) -> Self {
        let mut segments = Self(SmallVec::new());
        let mut rest = path;
        while let Some((raw, after)) = memchr::memchr(b'/', rest.as_bytes())
            .and_then(|slash| Some((rest.get(..slash)?, rest.get(slash + 1..)?)))
        {
            segments.add(raw);
            rest = after;
        }
        segments.add(rest);
        segments
    }

    fn add(&mut self, raw: &'p str) {
        let segment = match memchr::memchr(b'%', raw.as_bytes()) {
            Some(_) => percent_decode_str(raw).decode_utf8_lossy(),
            None => Cow::Borrowed(raw),
        };
        match segment.as_ref() {
            "" | "." => {}
            ".." => {
                self.0.pop();
            }
            _ => self.0.push(segment),
        }
    }
}

/// One route of a flag, as the router needs it.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Which methods it is about.
    pub methods: Vec<Method>,
    /// Which paths.
    pub path: PathTemplate,
}

/// All routes of all flags; finds the one that a call belongs to.
#[derive(Debug, Default)]
pub struct Router {
    routes: Vec<RouteSpec>,
    /// Indices into `routes`, the more specific first.
    order: Vec<usize>,
}

impl Router {
    /// The index of a route in `routes` is what [`Self::find`] answers.
    pub fn new(routes: Vec<RouteSpec>) -> Self {
        let mut order: Vec<usize> = (0..routes.len()).collect();
        order.sort_by(|&a, &b| {
            let path = |index: usize| routes.get(index).map(|route| &route.path);
            let specificity = |index| path(index).into_iter().flat_map(PathTemplate::specificity);
            specificity(a).cmp(specificity(b))
        });
        Self { routes, order }
    }

    /// The route that a call belongs to, with what its placeholders matched. `path` is the request target's path, as
    /// it came, without the query.
    pub fn find<'p>(&self, method: &Method, path: &'p str) -> Option<(usize, Captures<'p>)> {
        if !self.routes.iter().any(|route| route.methods.contains(method)) {
            return None;
        }
        let segments = PathSegments::of(path);
        self.order.iter().find_map(|&index| {
            let route = self.routes.get(index).filter(|route| route.methods.contains(method))?;
            Some((index, route.path.captures(&segments)?))
        })
    }
}

#[cfg(test)]
mod tests;
