//! The table of keys, those of flags: every key below `flags.NAME`, once, with its bounds, default and meaning.

use std::time::Duration;

use super::keys::Kind::{
    Answer, Choice, Entity, HeaderNames, Integer, Methods, Name, Path, Patterns, Percent, Pointer,
    Ratio, Size, Source, Upstream,
};
use super::keys::Presence::{Default, Optional, Required};
use super::keys::{Key, Kind};
use super::table::{MAX_TIMEOUT, TIMEOUT};

/// Each is a client connection that is held open.
const MAX_WAITERS: u64 = 1_000_000;
/// Each read costs the app about as much as a call.
const MAX_READS: u64 = 10_000;
/// Each shadow that runs holds a connection and two bodies.
const MAX_SHADOWS: u64 = 10_000;
/// Each shadow that waits holds two bodies.
const MAX_SHADOW_QUEUE: u64 = 100_000;

/// Each record takes memory of the store for so long.
const MAX_KEEP: Duration = Duration::from_secs(30 * 24 * 3_600);
/// A worker holds so much of an answer before it goes on, and the store keeps it.
const MAX_KEPT_BODY: u64 = 1024 * 1024;

const PAUSE: Kind = Kind::Duration { min: Duration::ZERO, max: MAX_TIMEOUT };

/// An edit scans the whole document, and sends what it replaces.
const MAX_DOCUMENT: u64 = 16 << 20;

/// In the order of the reference page.
pub(super) static KEYS: &[Key] = &[
    Key::new(
        "flags.*.entity",
        Entity,
        Required("\"journey:{journeyId}\""),
        "What an update mutates; every route of the flag must fill its placeholders.",
    ),
    Key::new(
        "flags.*.percent",
        Percent,
        Default("0"),
        "The share of entities on the fixed path to start from, when no flip is remembered.",
    ),
    Key::new(
        "flags.*.on_store_loss",
        Choice(&["legacy", "reject"]),
        Default("\"legacy\""),
        "What a call that needs the store does while it is gone: take the legacy path, or 503.",
    ),
    Key::new(
        "flags.*.store_patience",
        PAUSE,
        Default("\"0s\""),
        "How long such a call is held first, to ride out a failover; it counts into lease.wait, so at most that.",
    ),
    Key::new(
        "flags.*.lease.wait",
        TIMEOUT,
        Default("\"5s\""),
        "The longest wait for an entity's lease; past it 503. Better longer than legacy.settle_after_timeout, for which a call \
         with an unknown outcome keeps its entity.",
    ),
    Key::new(
        "flags.*.lease.max_waiters",
        Integer { min: 1, max: MAX_WAITERS },
        Default("1000"),
        "The most calls that wait for one entity in one sidecar; past it 503.",
    ),
    Key::new(
        "flags.*.idempotency.keep",
        Kind::Duration { min: Duration::ZERO, max: MAX_KEEP },
        Default("\"24h\""),
        "How long it is remembered what became of an update with an `Idempotency-Key`, to be told to whoever sends it again; \
         `0s`: the header means nothing here. Never shorter than a call may run.",
    ),
    Key::new(
        "flags.*.idempotency.max_body",
        Size { min: 0, max: MAX_KEPT_BODY },
        Default("\"64KiB\""),
        "The longest body of an answer that is kept for that; of a longer one only the head is.",
    ),
    Key::new(
        "flags.*.fixed.strategy",
        Choice(&["serialize", "upstream", "atomic"]),
        Default("\"serialize\""),
        "How the fixed path works: the app under the entity's lease (`serialize`), a fixed app at `url` (`upstream`), or \
         the edit that a route declares in `atomic`, made in the store itself. Routes of an `atomic` flag that declare none \
         are served as by `serialize`.",
    ),
    Key::new(
        "flags.*.fixed.url",
        Upstream,
        Optional("\"http://127.0.0.1:5001\""),
        "Where the fixed app listens, for the strategy `upstream`.",
    ),
    Key::new(
        "flags.*.fixed.refused",
        Choice(&["serialize", "reject"]),
        Default("\"serialize\""),
        "What becomes of a call whose edit can't be made safely, for the strategy `atomic`: the app is called under the \
         entity's lease, or it is answered 422. Nothing of the edit was written then.",
    ),
    Key::new(
        "flags.*.fixed.max_document",
        Size { min: 64, max: MAX_DOCUMENT },
        Default("\"256KiB\""),
        "The largest document that is edited, or planned; a larger one is refused.",
    ),
    Key::new(
        "flags.*.verify.read",
        Path,
        Required("\"/api/journeys/{journeyId}\""),
        "Where the lost-update detector reads an entity: by `GET`, from the app as it is. Without this table nothing is \
         verified; with it every route that updates needs an `effect`.",
    ),
    Key::new(
        "flags.*.verify.sample",
        Percent,
        Default("\"100%\""),
        "The share of entities that are verified; the same ones on every sidecar.",
    ),
    Key::new(
        "flags.*.verify.settle",
        TIMEOUT,
        Default("\"200ms\""),
        "How long an entity is quiet before it is read.",
    ),
    Key::new(
        "flags.*.verify.interval",
        TIMEOUT,
        Default("\"1s\""),
        "The longest that an entity which never falls quiet goes unread.",
    ),
    Key::new(
        "flags.*.verify.max_reads",
        Integer { min: 1, max: MAX_READS },
        Default("50"),
        "The most reads a second, of each sidecar for this flag; past it entities wait for theirs.",
    ),
    Key::new(
        "flags.*.shadow.mode",
        Choice(&["off", "plan", "dry_run", "isolated"]),
        Default("\"off\""),
        "How the other path is run beside the one that serves, to compare what they answer. A call with an unsafe method \
         is sent to a candidate in no other way than these: `dry_run` is the candidate's promise not to commit what \
         carries `Interlock-Shadow: 1`; `isolated` is a candidate with a store of its own, at `url`. `plan` sends \
         nothing: what a route's `atomic` edit would write is compared with what the app wrote.",
    ),
    Key::new(
        "flags.*.shadow.sample",
        Percent,
        Default("\"100%\""),
        "The share of updates that are shadowed.",
    ),
    Key::new(
        "flags.*.shadow.noise",
        Percent,
        Default("0"),
        "The share of those that are sent to the app as it is once more, under `dry_run` only: what differs then differs \
         by itself, and is marked as noise.",
    ),
    Key::new(
        "flags.*.shadow.url",
        Upstream,
        Optional("\"http://127.0.0.1:5002\""),
        "Where the candidate listens; left out, it is the other path's app.",
    ),
    Key::new(
        "flags.*.shadow.timeout",
        TIMEOUT,
        Default("\"5s\""),
        "The longest that a shadow may wait and run.",
    ),
    Key::new(
        "flags.*.shadow.max_inflight",
        Integer { min: 1, max: MAX_SHADOWS },
        Default("64"),
        "The most shadows that run at once, per thread of the data plane.",
    ),
    Key::new(
        "flags.*.shadow.queue",
        Integer { min: 1, max: MAX_SHADOW_QUEUE },
        Default("256"),
        "The most shadows that wait, per thread of the data plane; past it they are skipped, and counted.",
    ),
    Key::new(
        "flags.*.shadow.compare.status",
        Choice(&["exact", "class"]),
        Default("\"exact\""),
        "How status codes are compared: by their number, or by their first digit.",
    ),
    Key::new(
        "flags.*.shadow.compare.headers",
        HeaderNames,
        Default("[]"),
        "The headers of the answers that are compared.",
    ),
    Key::new(
        "flags.*.shadow.compare.ignore",
        Patterns,
        Default("[]"),
        "Places in the answers that may differ, with all below them.",
    ),
    Key::new(
        "flags.*.shadow.compare.unordered",
        Patterns,
        Default("[]"),
        "Arrays in the answers whose order says nothing.",
    ),
    Key::new(
        "flags.*.shadow.compare.tolerance",
        Ratio,
        Default("0"),
        "How far two numbers may lie apart, as a share of the greater one.",
    ),
    Key::new(
        "flags.*.shadow.compare.decimal_text",
        Choice(&["exact", "by_value"]),
        Default("\"exact\""),
        "Whether 850.50 and 850.5 differ, as they do by their text, or are the same by their value.",
    ),
    Key::new(
        "flags.*.reveal",
        Patterns,
        Default("[]"),
        "Places whose values divergence records may show; all others are redacted.",
    ),
    Key::new(
        "flags.*.routes[].name",
        Name,
        Required("\"segment-status\""),
        "The route's name in metrics, unique over all flags.",
    ),
    Key::new("flags.*.routes[].methods", Methods, Required("[\"PUT\"]"), "Its methods."),
    Key::new(
        "flags.*.routes[].path",
        Path,
        Required("\"/api/journeys/{journeyId}/segments/{segmentId}/status\""),
        "Its path; a placeholder is a whole segment.",
    ),
    Key::new(
        "flags.*.routes[].placeholders.*",
        Source,
        Optional("\"query:id\""),
        "Where a placeholder of the entity stands that the path doesn't have: `path:NAME`, `query:NAME`, \
         `header:NAME` or `body:/POINTER`.",
    ),
    Key::new(
        "flags.*.routes[].effect.pointer",
        Pointer,
        Required("\"/segments/[segmentId={segmentId}]/status\""),
        "The field that the route's updates write, for the detector: a JSON Pointer into what `verify.read` answers, whose \
         tokens may be a `{placeholder}` of the path or of the entity, or `[NAME={placeholder}]` for the element of an array \
         whose member NAME has that value. Needed by every route of a verified flag but those with safe methods only.",
    ),
    Key::new(
        "flags.*.routes[].effect.value",
        Source,
        Required("\"body:/status\""),
        "Where in the call the new value stands: `path:NAME`, `query:NAME`, `header:NAME` or `body:/POINTER`.",
    ),
    Key::new(
        "flags.*.routes[].atomic.document",
        Entity,
        Required("\"journey:{journeyId}\""),
        "The key of the JSON document in the store that the route's updates edit: a string, as `SET` writes it. Its \
         placeholders are the path's or the entity's; in a cluster it is the same text as `entity`.",
    ),
    Key::new(
        "flags.*.routes[].atomic.pointer",
        Pointer,
        Optional("\"/Segments/[SegmentId={segmentId}]/Status\""),
        "The field that is written, with `value`: a JSON Pointer into the document, as `effect.pointer`. Where one call \
         writes several, `edits` names them.",
    ),
    Key::new(
        "flags.*.routes[].atomic.value",
        Source,
        Optional("\"body:/status\""),
        "Where in the call the new value stands: `body:/POINTER` is taken as it is written; what comes from `path:NAME`, \
         `query:NAME` or `header:NAME` becomes what the field is, a string, a number or a boolean.",
    ),
    Key::new(
        "flags.*.routes[].atomic.edits[].pointer",
        Pointer,
        Required("\"/Status\""),
        "One of several fields that are written, all or none; at most 8.",
    ),
    Key::new(
        "flags.*.routes[].atomic.edits[].value",
        Source,
        Required("\"body:/status\""),
        "Where its new value stands.",
    ),
    Key::new(
        "flags.*.routes[].atomic.answer",
        Answer,
        Optional("'{\"status\":\"{value}\"}'"),
        "What the caller is answered, `{}` if left out: JSON in which `{placeholder}` inside a string stands for what the path or the entity \
         has, and a string that is `{value}` alone for the new value, as JSON (`{value.2}`: of the second edit).",
    ),
    Key::new(
        "flags.*.routes[].atomic.status",
        Integer { min: 200, max: 299 },
        Optional("202"),
        "Its status code, 200 if left out. An answer with 204 or 205 has no body, so that `answer` is left out too.",
    ),
    Key::new(
        "flags.*.routes[].atomic.missing",
        Answer,
        Optional("'{\"error\":\"no such journey\"}'"),
        "What the caller is answered where there is no such document, or no such element in it; \
         `{\"error\":\"not found\"}` if left out.",
    ),
    Key::new(
        "flags.*.routes[].atomic.missing_status",
        Integer { min: 400, max: 499 },
        Optional("410"),
        "Its status code, 404 if left out.",
    ),
];
