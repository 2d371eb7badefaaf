//! A sidecar's part in the fleet: its beats, and its way back after the store was lost.
//!
//! [`Session::run`] is one loop on the store's thread. While all is well it beats every second, and at once when somebody
//! calls the roll. When the connections break, or the store turns out to be another one, it shuts the gate; when the store
//! is back it joins again, lets the calls from before end, and opens the gate as soon as
//! [`recovery`](crate::domain::recovery) allows.

mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::gate::{Era, Gate, Keeper, Place, Standing};
use super::ledger::Progress;
use super::registry::{self, FORGOTTEN_AFTER_MS, MAX_REGISTERED, Register};
use super::view::FleetView;
use super::{Contact, Keys};
use crate::clock;
use crate::domain::recovery::{self, Before, Phase, Return, Verdict, Why};
use crate::remote::{Connected, Lane, Remote, Script};
use crate::telemetry::Telemetry;
use crate::telemetry::events::FleetCounted;
use crate::telemetry::labels::LeaseGate;
use crate::watch;

/// Between two beats while all is well.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// Between two looks at one's own calls while they are waited for, and everybody else's calls wait.
const DRAINED_WITHIN: Duration = Duration::from_millis(5);

/// Between two looks at the register while others are waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

// Whoever waits for a new store to be found must wait for more than a beat.
const _: () = assert!(BEAT_EVERY.as_millis() < recovery::SETTLING_IN_MS as u128);

/// After a beat that failed.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Without a beat for so long, flags may be old: two beats may fail.
const LIVE_FOR: Duration = Duration::from_secs(3);

/// How long a start waits for a store that can't be reached before it goes on without.
const START_PATIENCE: Duration = Duration::from_millis(750);

/// Which sidecar this is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Unique in the fleet; without blanks or slashes.
    pub(crate) id: String,
    /// In milliseconds since the Unix epoch.
    pub(crate) started_ms: u64,
}

/// What a session needs.
pub(crate) struct Session {
    pub(crate) me: Identity,
    pub(crate) remote: Remote,
    pub(crate) keys: Keys,
    pub(crate) gate: Gate,
    /// How long a call from before the store was lost may go on and still write.
    pub(crate) quarantine: Duration,
    /// How far this sidecar's updates of each flag are, and by which turn they are decided.
    pub(crate) updates: Box<dyn Fn() -> BTreeMap<String, Progress>>,
    /// For how long, in milliseconds, something of what is under way may still write.
    pub(crate) open_for: Box<dyn Fn() -> u64>,
    pub(crate) contact: watch::Sender<Contact>,
    pub(crate) fleet: Arc<ArcSwap<FleetView>>,
    pub(crate) telemetry: Telemetry,
}

/// What asks for a beat before its time.
pub(crate) struct Calls {
    /// Somebody calls the roll, flags were applied, or a lease was refused as the store is another one.
    pub(crate) beat: mpsc::UnboundedReceiver<()>,
    /// Leave, and tell when that is done.
    pub(crate) leave: oneshot::Receiver<oneshot::Sender<()>>,
}

/// Where a session stands; the gate shows as much of it as concerns others.
enum Stage {
    /// No store was found yet.
    Starting { since: Instant },
    /// In.
    In { generation: u64, epoch: String },
    /// The store is gone.
    Out,
    /// The store is back.
    Back(Back),
}

/// On the way back.
#[derive(Clone)]
struct Back {
    connected: Connected,
    epoch: String,
    /// Since then, by the store's clock.
    returned_ms: u64,
    /// And by ours.
    since: Instant,
    phase: Phase,
}

/// Who was there.
struct Remembered {
    epoch: String,
    /// Heard of lately: they lost the store when we did.
    lately: BTreeSet<String>,
    /// Their calls may go on.
    all: BTreeSet<String>,
}

struct Running {
    session: Session,
    keeper: Keeper,
    stage: Stage,
    /// Who was there when the store was there last; `None` before the first time.
    remembered: Option<Remembered>,
    last_beat: Option<Instant>,
    /// The longest that a call of anybody may go on and still write, as far as was heard.
    quarantine_ms: u64,
    /// What was last told to be waited for.
    told: Option<Why>,
    /// Whether the others know that our calls from before are over.
    announced: bool,
}

impl Session {
    /// Takes part until told to leave.
    pub(crate) async fn run(self, mut calls: Calls) {
        let mut status = self.remote.status();
        let keeper = Keeper::new(self.gate.clone());
        let stage = Stage::Starting { since: clock::now() };
        let quarantine_ms = whole_ms(self.quarantine);
        let mut running = Running {
            session: self,
            keeper,
            stage,
            remembered: None,
            last_beat: None,
            quarantine_ms,
            told: None,
            announced: false,
        };
        loop {
            let connected = status.borrow_and_update().connected.clone();
            let next = running.step(connected).await;
            tokio::select! {
                biased;
                told = &mut calls.leave => {
                    running.leave().await;
                    if let Ok(told) = told {
                        told.send(()).ok();
                    }
                    return;
                }
                changed = status.changed() => if changed.is_err() { return },
                // Whoever is out has just tried to join, which makes others call.
                Some(()) = calls.beat.recv(), if !matches!(running.stage, Stage::Out) => {
                    while calls.beat.try_recv().is_ok() {}
                }
                () = sleep_until(next) => {}
            }
        }
    }
}

impl Running {
    /// Does what is to be done now; gives when to look again.
    async fn step(&mut self, connected: Option<Connected>) -> Instant {
        let Some(connected) = connected else {
            self.without_store();
            return clock::now() + RETRY_AFTER;
        };
        let here = match &self.stage {
            Stage::In { generation, .. } => *generation == connected.generation,
            Stage::Back(back) => back.connected == connected,
            Stage::Starting { .. } | Stage::Out => false,
        };
        if !here {
            self.fall_back("the store's connections were made anew");
            return self.join(connected).await;
        }
        if self.only_drains() {
            return clock::now() + DRAINED_WITHIN;
        }
        let Some(register) = self.beat().await else {
            self.tell_failed_contact(LIVE_FOR);
            return clock::now() + RETRY_AFTER;
        };
        self.heard(register)
    }

    /// Whether its own calls are all that is waited for at present, and the others have heard of it lately.
    fn only_drains(&mut self) -> bool {
        let Stage::Back(Back { phase: Phase::Draining, .. }) = &self.stage else {
            return false;
        };
        let heard = self.last_beat.is_some_and(|at| clock::now() - at < LOOK_EVERY);
        heard && !self.keeper.is_drained()
    }

    fn without_store(&mut self) {
        match self.stage {
            Stage::Starting { since } if clock::now() - since < START_PATIENCE => {}
            _ => self.lose("the store can't be reached"),
        }
        self.tell_failed_contact(Duration::ZERO);
    }

    /// The store is gone.
    fn lose(&mut self, why: &str) {
        self.stage = Stage::Out;
        if !matches!(*self.keeper.standing(), Standing::Lost(_)) {
            self.keeper.turn(Standing::Lost(Arc::new(Era::nowhere())));
            self.tell_gate(LeaseGate::Lost, why);
        }
    }

    /// The store is there, but not as it was.
    fn fall_back(&mut self, why: &str) {
        self.stage = Stage::Out;
        if matches!(*self.keeper.standing(), Standing::Open(_) | Standing::Draining) {
            self.keeper.turn(Standing::Rallying(Arc::new(Era::nowhere())));
            self.tell_gate(LeaseGate::Recovering, why);
        }
    }

    /// Registers, and learns which store this is.
    async fn join(&mut self, connected: Connected) -> Instant {
        let digest = Sha256::digest(connected.identity.as_bytes());
        let identity: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let new_epoch = format!("{:016x}", fastrand::u64(..));
        let roll_call = self.session.keys.roll_call();
        let forgotten = FORGOTTEN_AFTER_MS.max(self.quarantine_ms.saturating_mul(2)).to_string();
        let most = MAX_REGISTERED.to_string();
        let before = self.remembered.as_ref().map_or("", |known| known.epoch.as_str());
        let known = self.session.fleet.load_full();
        let others = known.sidecars.iter().filter(|it| !it.this && !before.is_empty());
        let mut arguments =
            vec![identity.as_str(), &new_epoch, &forgotten, &roll_call, &most, before];
        arguments.extend(others.map(|sidecar| sidecar.id.as_str()));
        let said = self.say("", false);
        let generation = Some(connected.generation);
        let Some(register) = self.ask(&registry::JOIN, &said, &arguments, generation).await else {
            self.lose("the store does not answer");
            return clock::now() + RETRY_AFTER;
        };
        let (epoch, returned_ms) = (register.epoch.clone(), register.now_ms);
        let phase = Phase::Rallying;
        let since = clock::now();
        self.stage = Stage::Back(Back { connected, epoch, returned_ms, since, phase });
        if !matches!(*self.keeper.standing(), Standing::Rallying(_)) {
            self.keeper.turn(Standing::Rallying(Arc::new(Era::nowhere())));
            self.tell_gate(LeaseGate::Recovering, "the store is back");
        }
        (self.told, self.announced) = (None, false);
        self.tell_contact(register.revision);
        clock::now()
    }

    async fn beat(&mut self) -> Option<Register> {
        let (epoch, drained) = match &self.stage {
            Stage::In { epoch, .. } => (epoch.clone(), true),
            Stage::Back(back) => {
                let (epoch, drains) = (back.epoch.clone(), back.phase == Phase::Draining);
                (epoch, drains && self.keeper.is_drained())
            }
            Stage::Starting { .. } | Stage::Out => (String::new(), false),
        };
        let said = self.say(&epoch, drained);
        let announces = drained && !self.announced;
        let channel = if announces { self.session.keys.roll_call() } else { String::new() };
        let register = self.ask(&registry::BEAT, &said, &[&channel], None).await?;
        self.announced |= announces;
        Some(register)
    }

    async fn ask(
        &self,
        script: &Script,
        said: &str,
        more: &[&str],
        generation: Option<u64>,
    ) -> Option<Register> {
        let Session { me, remote, keys, .. } = &self.session;
        let keys = [keys.sidecars(), keys.epoch(), keys.revision()];
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let texts = [me.id.as_str(), said].into_iter().chain(more.iter().copied());
        let arguments: Vec<&[u8]> = texts.map(str::as_bytes).collect();
        let answer = remote.run_or_tell(Lane::Control, script, &keys, &arguments, generation).await;
        Register::read(answer.ok()?).inspect_err(|error| remote.tell_of_answer(script, error)).ok()
    }

    /// A sidecar that ends holds up nobody.
    async fn leave(&self) {
        let Session { me, remote, keys, .. } = &self.session;
        let said = match (self.session.open_for)() {
            0 => String::new(),
            open_ms => self.say_last(open_ms),
        };
        let (key, arguments) = (keys.sidecars(), [me.id.as_bytes(), said.as_bytes()]);
        let (part, keys) = (&registry::PART, [&*key]);
        let parted = remote.run_or_tell(Lane::Control, part, &keys, &arguments, None).await;
        if let Err(error) = parted
            && self.remembered.is_some()
        {
            tracing::warn!(
                event = "leave_failed",
                id = me.id,
                %error,
                "still on the fleet's register: flips wait for this sidecar until it is forgotten (interlock fleet forget)"
            );
        }
    }

    /// Looks at what a beat has learned.
    fn heard(&mut self, register: Register) -> Instant {
        let wall = clock::wall_ms();
        let view = register.view(&self.session.me.id, wall);
        FleetCounted { sidecars: view.sidecars.len() }.emit(&self.session.telemetry);
        self.session.fleet.store(Arc::new(view));
        // After the view: whoever hears of the contact looks at it.
        self.tell_contact(register.revision);
        let known = match &self.stage {
            Stage::In { epoch, .. } | Stage::Back(Back { epoch, .. }) => epoch,
            Stage::Starting { .. } | Stage::Out => return clock::now(),
        };
        if *known != register.epoch {
            self.fall_back("the store was replaced or emptied");
            return clock::now();
        }
        match &self.stage {
            Stage::Back(back) => self.go_on(back.clone(), &register),
            _ => {
                self.remember(&register);
                clock::now() + BEAT_EVERY
            }
        }
    }

    /// On the way back: goes on to the next phase, or tells what is waited for.
    fn go_on(&mut self, mut back: Back, register: &Register) -> Instant {
        let members = register.members();
        let before = match &self.remembered {
            None => Before::Nothing,
            Some(known) if known.epoch == back.epoch => Before::SameStore(&known.lately),
            Some(known) => Before::AnotherStore(&known.all),
        };
        let verdict = recovery::decide(&Return {
            phase: back.phase,
            me: &self.session.me.id,
            epoch: &back.epoch,
            before,
            founded_ms: register.founded_ms(),
            returned_ms: back.returned_ms,
            now_ms: register.now_ms,
            drained: self.keeper.is_drained(),
            back_for_ms: whole_ms(clock::now() - back.since),
            members: &members,
            quarantine_ms: self.quarantine_ms.max(register.quarantine_ms()),
        });
        match (verdict, back.phase) {
            (Verdict::Wait(why), _) => {
                self.tell_waiting(&why);
                clock::now() + LOOK_EVERY
            }
            (Verdict::Go, Phase::Rallying) => {
                back.phase = Phase::Draining;
                self.stage = Stage::Back(back);
                self.keeper.turn(Standing::Draining);
                clock::now()
            }
            (Verdict::Go, Phase::Draining) => {
                let Connected { generation, cluster, .. } = back.connected;
                let epoch = back.epoch.clone();
                let era = Arc::new(Era::at(Place { generation, epoch: back.epoch, cluster }));
                self.keeper.turn(Standing::Open(era));
                self.stage = Stage::In { generation, epoch };
                self.remember(register);
                self.tell_gate(LeaseGate::Open, "every call from before has ended");
                clock::now()
            }
        }
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
