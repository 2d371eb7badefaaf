//! What a declared edit would write, beside what the app wrote: nothing is sent, and nothing written.
//!
//! The document is looked at just ahead of the app's call, and once more when its answer has passed. The edit is planned on the
//! first look and compared with the second. The app may be faster than the first look: what is planned is there already then,
//! and nothing can be learnt from it.

use std::rc::Rc;
use std::task::{Context, Waker};

use http::StatusCode;
use tokio::task::JoinHandle;

use super::{Plan, Shadows};
use crate::documents::{Ask, Documents, Read};
use crate::domain::edit::{Planned as Planning, apply};
use crate::fleet::gate::Standing;
use crate::paths::atomic::Prepared;
use crate::proxy::memory::HeldMemory;
use crate::shadow::Captured;
use crate::telemetry::labels::ShadowSkip;

/// An edit that is planned and not made.
pub(super) struct Planned {
    prepared: Prepared,
    documents: Documents,
    ask: Ask,
    before: JoinHandle<Result<Looked, ShadowSkip>>,
}

/// A document as it was found; `None` where there is none.
struct Looked {
    document: Option<bytes::Bytes>,
    memory: HeldMemory,
}

/// Both documents.
pub(super) struct Documented {
    /// As the app left it.
    pub(super) control: Captured,
    /// As the edit would have.
    pub(super) candidate: Captured,
    /// Whether the app's has the new values where the edit would write them.
    pub(super) has_values: bool,
    _memory: [HeldMemory; 2],
}

impl Planned {
    /// Sends the first look, ahead of the app's call.
    pub(super) fn begin(
        shadows: &Rc<Shadows>,
        plan: &Plan<'_>,
        (documents, entity): (&Documents, &str),
        prepared: Prepared,
    ) -> Self {
        let ask = Ask {
            entity: entity.into(),
            document: std::sync::Arc::clone(&prepared.document),
            receipt: documents.new_receipt(),
            limit: plan.route.flag.max_document,
            trace: plan.trace,
        };
        let mut look = Box::pin(look(documents.clone(), ask.clone(), shadows.memory.hold()));
        // It is on its way to the store's thread right here, ahead of the call.
        let polled = look.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let before = match polled {
            std::task::Poll::Ready(looked) => tokio::task::spawn_local(async move { looked }),
            std::task::Poll::Pending => tokio::task::spawn_local(look),
        };
        Self { prepared, documents: documents.clone(), ask, before }
    }

    /// Looks once more, and plans.
    pub(super) async fn documents(self, memory: HeldMemory) -> Result<Documented, ShadowSkip> {
        let Self { prepared, documents, ask, before } = self;
        let before = before.await.map_err(|_| ShadowSkip::StoreFailed)??;
        let planned = match &before.document {
            None => None,
            Some(document) => match prepared.plan(document) {
                Err(_) => return Err(ShadowSkip::PlanRefused),
                Ok(Planning::Missing) => Some(document.to_vec()),
                Ok(Planning::Splices { splices, .. }) => {
                    let planned = apply(document, &splices).map_err(|_| ShadowSkip::PlanRefused)?;
                    if planned == *document {
                        return Err(ShadowSkip::AlreadyThere);
                    }
                    Some(planned)
                }
            },
        };
        let after = look(documents, ask, memory).await?;
        let has_values = after.document.as_ref().is_some_and(|document| {
            let planned = prepared.plan(document);
            planned.is_ok_and(|planned| match planned {
                Planning::Missing => true,
                Planning::Splices { splices, .. } => {
                    apply(document, &splices).is_ok_and(|edited| edited == *document)
                }
            })
        });
        Ok(Documented {
            control: captured(after.document.as_deref()),
            candidate: captured(planned.as_deref()),
            has_values,
            _memory: [before.memory, after.memory],
        })
    }
}

/// One look at a document.
async fn look(
    documents: Documents,
    ask: Ask,
    mut memory: HeldMemory,
) -> Result<Looked, ShadowSkip> {
    let standing = documents.gate().standing();
    let Standing::Open(era) = &*standing else { return Err(ShadowSkip::StoreFailed) };
    let document = match documents.read(&era.place, ask).await {
        Ok(Read::Document { bytes, .. }) => Some(bytes),
        Ok(Read::Missing { .. }) => None,
        Ok(Read::WrongType | Read::OtherSlot | Read::TooLarge) => {
            return Err(ShadowSkip::PlanRefused);
        }
        Ok(Read::Done(_) | Read::Replaced) | Err(_) => return Err(ShadowSkip::StoreFailed),
    };
    let length = document.as_ref().map_or(0, bytes::Bytes::len);
    memory.grow_to(length).map_err(|_| ShadowSkip::BodyTooLarge)?;
    Ok(Looked { document, memory })
}

/// A document as it is compared; one that is not there is `null`.
fn captured(document: Option<&[u8]>) -> Captured {
    let mut captured = Captured::with_status(StatusCode::default());
    captured.push(document.unwrap_or(b"null"));
    captured
}
