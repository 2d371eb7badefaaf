//! The spans of a check: the read, and what it found. What found something is exported whatever share of calls is traced, and so
//! are the updates that are lost: their own spans are made up for where nobody recorded them.

use super::checked::Checked;
use super::clocks::Clock;
use crate::clock::Instant;
use crate::domain::divergence::Cause;
use crate::domain::effects::history::{Said, Update};
use crate::domain::trace::TraceContext;
use crate::telemetry::Telemetry;
use crate::telemetry::labels::{LabelValue, Outcome, Role};
use crate::telemetry::trace::{Kind, SpanRecord, Value, entity_hash, names};

/// The most updates whose spans are made up for after one check.
const MAX_MADE_UP: usize = 20;

impl Checked<'_> {
    /// Records its spans; the entity was read between the two moments. Gives the place of the check's own, which begins a trace: nothing where it is not exported.
    pub(super) fn record(
        &self,
        (begun, ended): (Instant, Instant),
        telemetry: &Telemetry,
        clock: &Clock,
    ) -> TraceContext {
        let tracer = telemetry.tracer();
        let found =
            |said: Said| self.findings.iter().filter(|finding| finding.said == said).count();
        let (lost, unmanaged) = (found(Said::Lost), found(Said::Unmanaged));
        let is_found = lost + unmanaged > 0;
        let context = if is_found && tracer.is_on() { tracer.root() } else { tracer.begin(None) };
        if !context.sampled {
            return TraceContext::NONE;
        }
        let mut span = SpanRecord::root(context, Kind::Internal, names::VERIFY, begun);
        span.set(names::FLAG_KEY, self.flag_name());
        span.set(names::FLAG_CONTEXT, entity_hash(self.entity));
        let causes = [(Cause::LostUpdate, lost), (Cause::UnmanagedWriter, unmanaged)];
        for (cause, count) in causes.into_iter().filter(|(_, count)| *count > 0) {
            let attributes: [(&'static str, Value); 2] =
                [(names::CAUSE, cause.as_str().into()), (names::COUNT, (count as u64).into())];
            span.add_event(names::DIVERGENCE, ended, attributes);
        }
        let read = tracer.child(context);
        let mut read = SpanRecord::child(read, context, Kind::Client, "GET", begun);
        read.set(names::HTTP_REQUEST_METHOD, "GET");
        read.set(names::ROLE, Role::Verify.word());
        read.end(ended);
        tracer.record(read);
        for update in self.lost() {
            span.link(place_of(update));
            if !update.sampled {
                self.make_up_for(telemetry, clock, update);
            }
        }
        tracer.record(span);
        context
    }

    /// The updates that are lost, as far as they have a trace.
    fn lost(&self) -> impl Iterator<Item = &Update> {
        let lost = self.findings.iter().filter(|finding| finding.said == Said::Lost);
        let ids = lost.filter_map(|finding| finding.updates.last());
        ids.filter_map(|id| self.update(*id))
            .filter(|update| !update.trace_id.is_empty())
            .take(MAX_MADE_UP)
    }

    fn make_up_for(&self, telemetry: &Telemetry, clock: &Clock, update: &Update) {
        let route = self.flags.routes.get(usize::from(update.route));
        let name = route.map(|route| route.span.clone()).unwrap_or_default();
        let place = TraceContext { sampled: true, ..place_of(update) };
        let mut span = SpanRecord::root(place, Kind::Server, name, clock.moment(&update.sent));
        span.set(names::FLAG_KEY, self.flag_name());
        span.set(names::FLAG_CONTEXT, entity_hash(self.entity));
        span.set(names::PATH, update.path.as_str());
        span.set(names::OUTCOME, Outcome::Applied.word());
        span.set(names::CAUSE, Cause::LostUpdate.as_str());
        span.end(clock.moment(&update.ended));
        telemetry.tracer().record(span);
    }
}

fn place_of(update: &Update) -> TraceContext {
    let trace_id = u128::from_str_radix(&update.trace_id, 16).unwrap_or(0);
    let span_id = u64::from_str_radix(&update.span_id, 16).unwrap_or(0);
    TraceContext { trace_id, span_id, sampled: update.sampled }
}
