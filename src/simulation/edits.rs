//! An update of a document: its way through `proxy::keyed` and `paths` themselves, up to the app.

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, Version};
use tokio::time::{sleep, timeout};

use super::app::{UpdateId, Work, Writer};
use super::calls::{self, Caller};
use super::documents::{Asked, Change};
use super::plan::Tampering;
use super::world::World;
use crate::clock::{self, Instant};
use crate::domain::flag::{OnStoreLoss, Protection};
use crate::domain::trace::TraceContext;
use crate::domain::transition::Stage;
use crate::idempotency::key::IDEMPOTENCY_KEY;
use crate::paths::{self, Plan, simulated};
use crate::proxy::body::RequestBody;
use crate::proxy::call::Told;
use crate::proxy::error::ProxyError;
use crate::proxy::keyed;
use crate::proxy::worker::{Decided, RouteOf};
use crate::telemetry::labels::Outcome;
use crate::telemetry::trace::{Incoming, ServerSpan, Value, names};

/// One in so many callers leaves before its answer.
const LEAVES: u64 = 30;

/// One in so many updates has an idempotency key.
const HAS_KEY: u64 = 4;

/// How often the caller of one comes again at most.
const COMES_AGAIN: u32 = 4;

/// A call for an update of a document.
#[derive(Clone, Copy)]
pub(super) struct Order {
    id: UpdateId,
    entity: &'static str,
    change: Change,
    has_key: bool,
    /// How often it came before.
    tries: u32,
    /// When it comes.
    due: Instant,
}

impl Order {
    /// The next call that comes to some sidecar: that of a caller who comes again, or one for a new update.
    pub(super) fn next(world: &World, entity: &'static str) -> Self {
        let mut again = world.again.borrow_mut();
        let due = again.iter().find(|(_, order)| order.due <= clock::now()).map(|(id, _)| *id);
        if let Some(order) = due.and_then(|id| again.remove(&id)) {
            return order;
        }
        let (id, dice) = (world.next_update(), &world.dice);
        let change = Change::any(dice);
        // Without the store an update goes on without its key, if it does.
        let has_key = world.plan.on_store_loss == OnStoreLoss::Reject && dice.one_in(HAS_KEY);
        let keyed_in = has_key.then(|| world.redis.which_run());
        world.asked.borrow_mut().insert(id, Asked { change, keyed_in });
        Self { id, entity, change, has_key, tries: 0, due: clock::now() }
    }

    /// Its caller will come again, unless there is an answer before.
    fn repeat(self, world: &World) {
        if self.has_key && self.tries < COMES_AGAIN {
            let due = clock::now() + world.dice.millis(100..8_000);
            let order = Self { tries: self.tries + 1, due, ..self };
            world.again.borrow_mut().insert(self.id, order);
        }
    }
}

impl Caller {
    /// Makes an update of a document, and tells how it ended.
    pub(super) async fn edit(&self, order: Order, hesitates: Duration) {
        let (Order { id, entity, change, .. }, dice) = (order, &self.world.dice);
        order.repeat(&self.world);
        let patience = dice.one_in(LEAVES).then(|| dice.millis(0..40));
        let mut request = Request::put(change.path(entity, id)).body(RequestBody::none()).unwrap();
        if order.has_key {
            let key = format!("update-{id}").parse().unwrap();
            request.headers_mut().insert(IDEMPOTENCY_KEY, key);
        }
        let shared = &self.worker.shared;
        let (index, _) = shared.router.find(request.method(), request.uri().path()).unwrap();
        let span = self.span(id, request.uri().path());
        let plan = self.plan(shared.route(index).unwrap(), entity, Rc::clone(&span));
        sleep(hesitates).await;
        let stage = plan.decision.stage.as_str();
        let serving = self.serve(&plan, Box::new(request), order);
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
        self.account(order, served, protection);
    }

    async fn serve(
        &self,
        plan: &Plan<'_>,
        mut request: Box<Request<RequestBody>>,
        Order { id, entity, change, .. }: Order,
    ) -> Result<Outcome, ProxyError> {
        let worker = &self.worker;
        let mut told = Told::new(worker.shared.telemetry.clone());
        let recall = async |receipt, request: &mut Request<RequestBody>| {
            paths::recalled(worker, plan, receipt, request).await
        };
        let begun = keyed::begin(worker, &plan.route, &plan.keyed, &mut request, &mut told, recall);
        if let Some(replayed) = begun.await? {
            let is_done = replayed.status().is_success();
            return Ok(if is_done { Outcome::Replayed } else { Outcome::Rejected });
        }
        let stage = plan.decision.stage.as_str();
        let app = |is_exposed| {
            let sidecar = self.id.clone();
            let writer = Writer { id, sidecar, stage, is_exposed, is_after_kill: false };
            calls::outcome(self.world.apps.send(Work::Set(entity, change), writer))
        };
        let connects = self.world.dice.millis(0..2);
        simulated::serve(worker, plan, request, &mut told, (connects, app)).await
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
        Order { id, entity, has_key, .. }: Order,
        served: Result<Outcome, ProxyError>,
        protection: Option<Protection>,
    ) {
        let mut tally = self.world.tally.borrow_mut();
        let outcome = match served {
            Ok(outcome) => outcome,
            Err(ProxyError::EditUnknown { .. }) => Outcome::Unknown,
            Err(ProxyError::Busy(why)) => {
                tally.refused(&why);
                Outcome::Rejected
            }
            // Of an earlier call: it runs, or nobody knows, or its store is gone.
            Err(ProxyError::Keyed(_)) => return,
            Err(other) => panic!("#{id}: {other}"),
        };
        if matches!(outcome, Outcome::Applied | Outcome::Replayed) {
            self.world.again.borrow_mut().remove(&id);
        }
        match outcome {
            // An earlier call of the same update may have made it.
            Outcome::Rejected if has_key => {}
            Outcome::Rejected => tally.denied.entry(entity.to_owned()).or_default().push(id),
            Outcome::Replayed => tally.replayed(entity, id),
            Outcome::Applied | Outcome::Unknown => {
                tally.ended(entity, id, outcome, protection.unwrap_or(Protection::None));
            }
        }
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
