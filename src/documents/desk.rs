//! The store thread's side: runs the scripts, each on its own, as many at once as calls ask.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use tokio::sync::mpsc;
use tokio::task::spawn_local;

use super::scripts::{EDIT, READ};
use super::{Ask, Edit, Failed, Read, Request, Splice, Written};
use crate::domain::edit::Anchor;
use crate::fleet::Keys;
use crate::fleet::gate::Place;
use crate::remote::{CallError, Lane, Remote, Script};
use crate::telemetry::Telemetry;
use crate::telemetry::events::StoreFault;

/// Runs what workers ask for.
#[derive(Clone)]
pub(crate) struct DocumentDesk {
    inner: Rc<Inner>,
}

struct Inner {
    remote: Remote,
    keys: Keys,
    telemetry: Telemetry,
}

impl DocumentDesk {
    pub(crate) fn new(remote: Remote, keys: Keys, telemetry: Telemetry) -> Self {
        Self { inner: Rc::new(Inner { remote, keys, telemetry }) }
    }

    /// Never ends, whether anybody still asks or not. Whoever asks bounds how many run: each is a call, and each command ends
    /// within `store.timeout`.
    pub(crate) async fn run(self, mut requests: mpsc::UnboundedReceiver<Request>) {
        while let Some(request) = requests.recv().await {
            let inner = Rc::clone(&self.inner);
            spawn_local(async move {
                let trace = request.trace();
                let running = pin!(inner.serve(request));
                inner.telemetry.tracer().within(trace, running).await;
            });
        }
        pending().await
    }
}

impl Inner {
    async fn serve(&self, request: Request) {
        match request {
            // Whoever asked may have gone.
            Request::Read { place, ask, reply } => drop(reply.send(self.read(&place, &ask).await)),
            Request::Edit { place, edit, reply } => {
                drop(reply.send(self.edit(&place, &edit).await));
            }
        }
    }

    async fn read(&self, place: &Arc<Place>, ask: &Ask) -> Result<Read, Failed> {
        let value = self.run(&READ, place, ask, &[]).await?;
        Read::of(value).map_err(|error| self.tell(&error))
    }

    async fn edit(&self, place: &Arc<Place>, edit: &Edit) -> Result<Written, Failed> {
        let keep = millis(edit.keep);
        let owner = edit.owner.as_deref().unwrap_or_default();
        let mut words: Vec<&[u8]> = vec![owner.as_bytes(), &edit.fence, keep.as_bytes()];
        for Splice { anchor, old, new } in &edit.splices {
            words.extend([letter(*anchor), old, new]);
        }
        let value = self.run(&EDIT, place, &edit.ask, &words).await?;
        Written::of(value).map_err(|error| self.tell(&error))
    }

    async fn run(
        &self,
        script: &Script,
        place: &Arc<Place>,
        ask: &Ask,
        more: &[&[u8]],
    ) -> Result<Value, Failed> {
        let lease = self.keys.lease(&ask.entity);
        let [holder, fence] = ["holder", "fence"].map(|name| format!("{lease}{name}"));
        let receipt = self.keys.receipt(&ask.entity, &ask.receipt);
        let epoch = self.keys.epoch();
        let mut names = vec![&*ask.document, &holder, &fence, &receipt];
        // A script of a cluster reaches one slot alone.
        if !place.cluster {
            names.push(&epoch);
        }
        let limit = ask.limit.to_string();
        let mut words: Vec<&[u8]> = vec![place.epoch.as_bytes(), limit.as_bytes()];
        words.extend(more);
        let generation = Some(place.generation);
        let answer = self.remote.run(Lane::Documents, script, &names, &words, generation).await;
        answer.map_err(|error| {
            StoreFault { error: &error, refused: error.is_refusal() }.emit(&self.telemetry);
            match error {
                CallError::NotExecuted(_) => Failed::NotExecuted,
                CallError::Unknown(_) => Failed::Unknown,
            }
        })
    }

    /// It may have done anything.
    fn tell(&self, error: &(dyn std::error::Error + 'static)) -> Failed {
        StoreFault { error, refused: true }.emit(&self.telemetry);
        Failed::Unknown
    }
}

fn letter(anchor: Anchor) -> &'static [u8] {
    match anchor {
        Anchor::Element => b"E",
        Anchor::Prefix => b"P",
        Anchor::Suffix => b"S",
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}
