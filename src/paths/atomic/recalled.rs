//! What became of the edit of an earlier call, by its receipt.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use super::{Prepared, made};
use crate::documents::{Ask, Read};
use crate::fleet::gate::Standing;
use crate::paths::Plan;
use crate::proxy::body::RequestBody;
use crate::proxy::worker::Worker;
use crate::telemetry::events::OutcomeFound;
use crate::telemetry::labels::ReceiptFound;

/// The declared answer to an edit of the same call that was sent before, if there is its receipt. Without one nobody knows: it may
/// have been no edit, it may still be on its way, or the store can't be asked.
pub(crate) async fn recalled(
    worker: &Worker,
    plan: &Plan<'_>,
    receipt: Arc<str>,
    request: &mut Request<RequestBody>,
) -> Option<Response<Bytes>> {
    let declared = plan.route.config()?.atomic.as_ref()?;
    let documents = worker.shared.documents.as_ref()?;
    let Standing::Open(era) = &*documents.gate().standing() else { return None };
    let prepared = Prepared::of(worker, &plan.route, request).ok()?;
    let ask = Ask {
        entity: plan.entity.as_deref()?.into(),
        document: Arc::clone(&prepared.document),
        receipt,
        // What the document says is of no interest.
        limit: 0,
        trace: plan.trace,
    };
    let Ok(Read::Done(_)) = documents.read(&era.place, ask).await else { return None };
    let (flag, result) = (plan.route.flag_index, ReceiptFound::Applied);
    OutcomeFound { flag, result }.emit(&worker.shared.telemetry);
    Some(made(&declared.answer, prepared.answer_unseen(declared)))
}
