//! What a session notes, and tells the rest of the sidecar and people.

use std::sync::Arc;
use std::time::Duration;

use super::{LIVE_FOR, Remembered, Running, Stage, whole_ms};
use crate::clock;
use crate::domain::recovery::Why;
use crate::fleet::registry::{Register, Said};
use crate::fleet::{Contact, FleetView};
use crate::telemetry::VERSION;
use crate::telemetry::events::LeaseGateChanged;
use crate::telemetry::labels::{LabelValue, LeaseGate};

impl Running {
    /// What this sidecar says of itself.
    pub(super) fn say(&self, epoch: &str, drained: bool) -> String {
        self.said(epoch, drained, None)
    }

    /// What it says of itself when it leaves, and something of it may still write for so long.
    pub(super) fn say_last(&self, open_ms: u64) -> String {
        let epoch = match &self.stage {
            Stage::In { epoch, .. } => epoch.as_str(),
            _ => "",
        };
        self.said(epoch, true, Some(open_ms))
    }

    fn said(&self, epoch: &str, drained: bool, left_ms: Option<u64>) -> String {
        let updates = (self.session.updates)();
        let leases = match self.stage {
            Stage::In { .. } => LeaseGate::Open,
            Stage::Back(_) => LeaseGate::Recovering,
            Stage::Starting { .. } | Stage::Out => LeaseGate::Lost,
        };
        let said = Said {
            build: VERSION.to_owned(),
            started_ms: self.session.me.started_ms,
            epoch: epoch.to_owned(),
            drained,
            quarantine_ms: whole_ms(self.session.quarantine),
            leases: leases.word().to_owned(),
            flags: updates.iter().map(|(flag, it)| (flag.clone(), it.applied.version)).collect(),
            updates,
            left_ms,
        };
        // Plain fields: it can't fail, and an empty text would only hide this sidecar.
        serde_json::to_string(&said).unwrap_or_default()
    }

    /// Notes who was there, should the store be lost now.
    pub(super) fn remember(&mut self, register: &Register) {
        self.quarantine_ms = register.quarantine_ms().max(whole_ms(self.session.quarantine));
        let heard_within = |time: u64| {
            let members = register.members().into_iter();
            let heard =
                members.filter(|member| member.heard_ms.saturating_add(time) > register.now_ms);
            let ids = heard.map(|member| member.id);
            ids.filter(|id| *id != self.session.me.id).collect()
        };
        self.remembered = Some(Remembered {
            epoch: register.epoch.clone(),
            lately: heard_within(whole_ms(LIVE_FOR)),
            all: heard_within(self.quarantine_ms),
        });
    }

    pub(super) fn tell_contact(&mut self, revision: u64) {
        self.last_beat = Some(clock::now());
        self.session.contact.send_replace(Contact { live: true, revision: Some(revision) });
    }

    /// The flags are not live any more, unless the last good beat is younger than `grace`.
    pub(super) fn tell_failed_contact(&self, grace: Duration) {
        let lately = self.last_beat.is_some_and(|at| clock::now() - at < grace);
        self.session.contact.send_if_modified(|contact| {
            let turned = contact.live && !lately;
            contact.live &= lately;
            turned
        });
    }

    /// Tells how the gate stands, in what this sidecar shows of itself as well: without the store no beat does.
    pub(super) fn tell_gate(&self, state: LeaseGate, why: &str) {
        LeaseGateChanged { state, why }.emit(&self.session.telemetry);
        let mut view = FleetView::clone(&self.session.fleet.load());
        for own in view.sidecars.iter_mut().filter(|sidecar| sidecar.this) {
            own.leases = state;
        }
        self.session.fleet.store(Arc::new(view));
    }

    /// Tells what is waited for, once.
    pub(super) fn tell_waiting(&mut self, why: &Why) {
        let same = self
            .told
            .as_ref()
            .is_some_and(|told| std::mem::discriminant(told) == std::mem::discriminant(why));
        if same {
            return;
        }
        self.told = Some(why.clone());
        let text = match why {
            Why::OwnCalls => "calls of this sidecar from before have not ended".to_owned(),
            Why::NewStore => "the store is new: other sidecars get the time to find it".to_owned(),
            Why::Others(ids) => {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                format!("calls from before may go on at {}", ids.join(", "))
            }
        };
        self.tell_gate(LeaseGate::Recovering, &text);
    }
}
