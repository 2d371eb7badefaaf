//! An update of a document: its way through `paths` itself, up to the app.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Version};
use tokio::time::{sleep, timeout};

use super::app::{UpdateId, Work, Writer};
use super::calls::{self, Caller};
use super::documents::Change;
use super::plan::Tampering;
use crate::clock;
use crate::domain::flag::Protection;
use crate::domain::trace::TraceContext;
use crate::domain::transition::Stage;
use crate::paths::{Plan, simulated};
use crate::proxy::body::RequestBody;
use crate::proxy::call::Told;
use crate::proxy::error::ProxyError;
use crate::proxy::worker::{Decided, RouteOf};
use crate::telemetry::labels::Outcome;
use crate::telemetry::trace::{Incoming, ServerSpan, Value, names};

/// One in so many callers leaves before its answer.
const LEAVES: u64 = 30;

impl Caller {
    /// Makes an update of a document, and tells how it ended.
    pub(super) async fn edit(&self, entity: &'static str, hesitates: Duration) {
        let (id, dice) = (self.world.next_update(), &self.world.dice);
        let change = Change::any(dice);
        self.world.changes.borrow_mut().insert(id, change);
        let patience = dice.one_in(LEAVES).then(|| dice.millis(0..40));
        let request = Request::put(change.path(entity, id)).body(RequestBody::none()).unwrap();
        let shared = &self.worker.shared;
        let (index, _) = shared.router.find(request.method(), request.uri().path()).unwrap();
        let span = self.span(id, request.uri().path());
        let plan = self.plan(shared.route(index).unwrap(), entity, Rc::clone(&span));
        sleep(hesitates).await;
        let mut told = Told::new(shared.telemetry.clone());
        let stage = plan.decision.stage.as_str();
        let app = (dice.millis(0..2), |is_exposed| {
            let sidecar = self.id.clone();
            let writer = Writer { id, sidecar, stage, is_exposed, is_after_kill: false };
            let work = Work::Set(entity, change);
            calls::outcome(self.world.apps.send(work, writer))
        });
        let serving = simulated::serve(&self.worker, &plan, Box::new(request), &mut told, app);
        let history = &self.world.history;
        let served = match patience {
            None => serving.await,
            Some(patience) => match timeout(patience, serving).await {
                Ok(served) => served,
                Err(_) => return history.note(format_args!("{} #{id} is left", self.id)),
            },
        };
        let protection = said_protection(&span);
        let who = format_args!("{} #{id} {entity} {change:?} in {stage}", self.id);
        history.note(format_args!("{who}: {} {protection:?}", told_as(&served)));
        self.account(entity, id, served, protection);
    }

    fn plan<'s>(&self, route: RouteOf<'s>, entity: &str, span: Rc<ServerSpan>) -> Plan<'s> {
        let Decided { mut decision, version, underway, .. } =
            self.worker.decide(&route, Some(entity));
        if self.world.plan.tampering == Some(Tampering::DirectFlip) {
            let state = &self.store.snapshot().states[route.flag_place];
            decision.path = state.path_at_rest(&route.flag.name, entity);
            decision.stage = Stage::at_rest(decision.path);
        }
        Plan {
            route,
            decision,
            version,
            entity: Some(entity.to_owned()),
            trace: TraceContext::NONE,
            watched: Cell::new(None),
            keyed: Cell::new(None),
            underway: Cell::new(underway),
            span: Some(span),
        }
    }

    /// What the update is said to have been protected by is told to its span.
    fn span(&self, id: UpdateId, path: &str) -> Rc<ServerSpan> {
        let place = TraceContext { trace_id: id.into(), span_id: id.into(), sampled: true };
        let incoming = Incoming {
            method: &Method::PUT,
            path,
            version: Version::HTTP_11,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user_agent: None,
            started: clock::now(),
        };
        self.worker.shared.telemetry.tracer().serve(place, None, incoming).unwrap()
    }

    fn account(
        &self,
        entity: &str,
        id: UpdateId,
        served: Result<Outcome, ProxyError>,
        protection: Option<Protection>,
    ) {
        let mut tally = self.world.tally.borrow_mut();
        let outcome = match served {
            Ok(outcome) => outcome,
            Err(ProxyError::EditUnknown { .. }) => Outcome::Unknown,
            Err(error) => {
                match error {
                    ProxyError::Busy(why) => tally.refused(&why),
                    other => panic!("#{id}: {other}"),
                }
                Outcome::Rejected
            }
        };
        if outcome == Outcome::Rejected {
            tally.denied.entry(entity.to_owned()).or_default().push(id);
        }
        tally.ended(entity, id, outcome, protection.unwrap_or(Protection::None));
    }
}

fn said_protection(span: &ServerSpan) -> Option<Protection> {
    let Some(Value::Text(word)) = span.says(names::PROTECTION) else { return None };
    Protection::ALL.into_iter().find(|it| it.as_str() == word)
}

fn told_as(served: &Result<Outcome, ProxyError>) -> String {
    match served {
        Ok(outcome) => calls::outcome_word(*outcome).to_owned(),
        Err(error) => error.to_string(),
    }
}
