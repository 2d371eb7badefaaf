//! Exchanging with the journals: what is told, what is asked, and how far everybody has come.

use std::time::Duration;

use super::check::LONGEST_WAIT;
use super::entity::{Draft, Stage};
use super::outcome::Settlement;
use super::{Detector, Ended, EntityReader, Journals};
use crate::clock::{self, Instant};
use crate::domain::effects::Stamp;
use crate::domain::effects::history::Entry;
use crate::shadow::journal::{Exchange, Exchanged, JournalError, JournalKey, Mark};
use crate::telemetry::labels::{DetectorState, Inconclusive};

/// The longest that a sidecar goes without telling how far it has come: others wait for it.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What was noted waits so long at most, so that many updates go in one command.
const GATHER: Duration = Duration::from_millis(250);

/// While a finding waits for others, or to be settled, the store is asked this often.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// After the store did not answer it is tried again after this.
const STORE_PAUSE: Duration = Duration::from_millis(250);

/// The most entities, and entries, in one exchange.
const MAX_KEYS: usize = 64;
const MAX_APPENDED: usize = 512;

/// A sidecar that missed updates leaves its mark where it is for so long beyond [`LONGEST_WAIT`] and the longest call: so that
/// every other one sees that it stands still.
const SEEN_BY_ALL: Duration = Duration::from_secs(15);

/// After the store was replaced: until then every sidecar has noticed.
const ALL_ARE_BACK: Duration = Duration::from_secs(5);

/// One that was there before the store was replaced is waited for as long as one that falls silent.
const MISSED_FOR: Duration = Duration::from_secs(60);

/// Who hears nothing of the store for so long is not waited for much longer: what it has not told by then may explain what others see,
/// and accuses nobody.
const OUT_OF_TOUCH: Duration = Duration::from_secs(50);

/// After so long without an answer a sidecar asks how late it is before it stamps anything.
const ASK_FIRST_AFTER: Duration = Duration::from_millis(2_500);

/// Local journals are looked through for such as are old after this.
const PRUNE_EVERY: Duration = Duration::from_secs(10);

/// The exchange with the journals.
#[derive(Default)]
pub(super) struct Shared {
    /// What was asked, while there is no answer.
    pub(super) asked: Option<Asked>,
    /// What the journals have not taken yet.
    pub(super) settled: Vec<Settlement>,
    /// How far every other sidecar has come, the slowest of them; `None` where there are none.
    pub(super) others: Option<u64>,
    marks: Vec<Mark>,
    /// Those that were there before the store was replaced or forgot, and have not come back.
    missing: Vec<Missing>,
    last: Option<Instant>,
    /// What was sent before is doubtful.
    out_of_touch_until: Option<Instant>,
    not_before: Option<Instant>,
    /// Which store it is; empty before that is known.
    store: String,
    /// This sidecar's mark stays there until then.
    frozen: Option<(Instant, Stamp)>,
}

/// One that has not come to the store that took the place of another one.
struct Missing {
    sidecar: String,
    /// It is waited for until then.
    until: Instant,
    /// On the common clock: what it had under way then has ended by this moment, told or not.
    over_by: u64,
}

/// An exchange under way.
pub(super) struct Asked {
    pub(super) exchange: Exchange,
    /// What it appends, to be tried again where it fails.
    drafts: Vec<(JournalKey, Vec<Draft>)>,
    /// What it settles, in the same order.
    settlements: Vec<Settlement>,
}

impl<R: EntityReader + 'static> Detector<R> {
    /// Exchanges with this process's own journals.
    pub(super) fn exchange_here(&mut self, now: Instant) {
        let claims = self.claims(now);
        if self.drafts > 0 || !claims.is_empty() || !self.shared.settled.is_empty() {
            let asked = self.gather(claims, usize::MAX, usize::MAX, now);
            let answer = self.local.exchange(asked.exchange.clone());
            self.take_settled(asked.settlements, &answer.settled);
            self.take_claims(asked.exchange.claims, answer);
        }
        if self.shared.last.is_none_or(|last| now >= last + PRUNE_EVERY) {
            self.shared.last = Some(now);
            self.local.prune();
        }
    }

    /// Exchanges with the fleet's journals, if it is time.
    pub(super) fn exchange_there(&mut self, now: Instant) {
        if self.shared.asked.is_none() && self.shared.not_before.is_none_or(|then| now >= then) {
            let since = self.shared.last.map(|last| now.saturating_duration_since(last));
            let is_due = |after: Duration| since.is_none_or(|since| since >= after);
            let waits = self.shared.settled.iter().any(Settlement::finds)
                || self.entities.values().any(|entity| matches!(entity.stage, Stage::Waiting(_)));
            let oldest = self.entities.values().flat_map(|entity| &entity.drafts).map(Draft::begun);
            let full = self.drafts >= MAX_APPENDED
                || self.shared.settled.len() >= MAX_KEYS
                || (self.drafts > 0 && oldest.min().is_some_and(|begun| now >= begun + GATHER));
            let claims = if self.shared.last.is_some() { self.claims(now) } else { Vec::new() };
            let fresh = claims.iter().any(|key| self.is_claiming(key));
            if is_due(TELL_EVERY) || full || fresh || (waits && is_due(ASK_EVERY)) {
                self.ask_for(claims, now);
            }
        }
    }

    /// The last exchange: everything that was noted.
    pub(super) fn ask(&mut self, now: Instant) {
        self.ask_for(Vec::new(), now);
    }

    fn is_claiming(&self, key: &JournalKey) -> bool {
        self.entities.get(key).is_some_and(|entity| matches!(entity.stage, Stage::Claiming))
    }

    /// What is to be claimed: what is due, and what waits, so that it stays claimed.
    fn claims(&mut self, now: Instant) -> Vec<JournalKey> {
        let waits = |stage: &Stage| matches!(stage, Stage::Waiting(_) | Stage::Claiming);
        let waiting = self.entities.iter().filter(|(_, entity)| waits(&entity.stage));
        let mut claims: Vec<JournalKey> =
            waiting.map(|(key, _)| key.clone()).take(MAX_KEYS).collect();
        let room = MAX_KEYS - claims.len();
        claims.extend(self.claim_due(now, room));
        claims
    }

    fn ask_for(&mut self, claims: Vec<JournalKey>, now: Instant) {
        let Journals::Fleet(journal) = &self.parts.journals else { return };
        let journal = journal.clone();
        let asked = match self.shared.last {
            Some(last) if now >= last + ASK_FIRST_AFTER => Asked::only(&self.shared.store),
            _ => self.gather(claims, MAX_KEYS, MAX_APPENDED, now),
        };
        let (tell, exchange) = (self.tell.clone(), asked.exchange.clone());
        self.shared.asked = Some(asked);
        tokio::task::spawn_local(async move {
            tell.send(Ended::Exchange(journal.exchange(exchange).await)).ok();
        });
    }

    /// Puts an exchange together.
    fn gather(
        &mut self,
        claims: Vec<JournalKey>,
        most_keys: usize,
        most_entries: usize,
        now: Instant,
    ) -> Asked {
        let store = self.shared.store.clone();
        let mut exchange = Exchange { store, claims, ..Exchange::default() };
        let mut drafts: Vec<(JournalKey, Vec<Draft>)> = Vec::new();
        let mut room = most_entries;
        // What is claimed first: a check must see what was noted here.
        let claimed: Vec<JournalKey> = exchange.claims.clone();
        let others = self.entities.keys().filter(|key| !claimed.contains(key)).cloned();
        let keys: Vec<JournalKey> = claimed.iter().cloned().chain(others).collect();
        for key in keys {
            if drafts.len() >= most_keys || room == 0 {
                break;
            }
            let Some(entity) = self.entities.get_mut(&key) else { continue };
            let taken = entity.drafts.len().min(room);
            if taken == 0 {
                continue;
            }
            let stamped: Vec<Entry> = entity
                .drafts
                .iter()
                .take(taken)
                .map_while(|draft| {
                    let is_doubtful = self.shared.out_of_touch_until >= Some(draft.begun());
                    draft.entry(is_doubtful, |moment| self.clock.stamp(moment))
                })
                .collect();
            if stamped.len() < taken {
                // The clock is not known before the first answer.
                break;
            }
            room -= taken;
            drafts.push((key.clone(), entity.drafts.drain(..taken).collect()));
            exchange.appends.push((key, stamped));
        }
        let appended = exchange.appends.iter().map(|(_, entries)| entries.len()).sum::<usize>();
        self.drafts = self.drafts.saturating_sub(appended);
        let settled = self.shared.settled.len().min(most_keys);
        let settlements: Vec<Settlement> = self.shared.settled.drain(..settled).collect();
        exchange.settled = settlements.iter().map(|it| it.settled.clone()).collect();
        exchange.mark = self.mark(now).map_or(0, |stamp| stamp.earliest);
        Asked { exchange, drafts, settlements }
    }

    /// A moment before which all updates that were sent here have ended and were appended, the exchange that is being put together
    /// included. `now` is from before the notes were taken up.
    pub(super) fn mark(&self, now: Instant) -> Option<Stamp> {
        let in_flight = self.sent.values().map(|sent| sent.at);
        let waiting = self.entities.values().flat_map(|entity| &entity.drafts).map(Draft::begun);
        let failed = self.shared.asked.iter().flat_map(|asked| &asked.drafts);
        let failed = failed.flat_map(|(_, drafts)| drafts).map(Draft::begun);
        let told = in_flight.chain(waiting).chain(failed).min().map_or(now, |first| first.min(now));
        let mark = self.clock.stamp(told)?;
        match &self.shared.frozen {
            Some((until, at)) if now < *until && at.earliest < mark.earliest => Some(*at),
            _ => Some(mark),
        }
    }

    /// Whether this sidecar's mark stays where it is.
    pub(super) fn is_frozen(&self, now: Instant) -> bool {
        self.shared.frozen.is_some_and(|(until, _)| now < until)
    }

    /// This sidecar's mark stays where it is.
    pub(super) fn freeze(&mut self, now: Instant) {
        if let Some(mark) = self.mark(now) {
            let at =
                self.shared.frozen.filter(|(until, _)| now < *until).map_or(mark, |(_, at)| at);
            let until = now + LONGEST_WAIT + self.flags.longest + SEEN_BY_ALL;
            self.shared.frozen = Some((until, at));
        }
    }

    /// The store has answered, or not.
    pub(super) fn take_answer(&mut self, answer: Result<Exchanged, JournalError>) {
        let Some(asked) = self.shared.asked.take() else { return };
        let now = clock::now();
        let answer = match answer {
            Ok(answer) => answer,
            Err(JournalError::OtherStore(answer)) => {
                self.undo(asked, now);
                self.meet(&answer);
                return self.start_over();
            }
            Err(error) => {
                tracing::debug!(%error, "the journals could not be exchanged");
                return self.undo(asked, now);
            }
        };
        if self.shared.last.is_some_and(|last| now >= last + OUT_OF_TOUCH) {
            self.shared.out_of_touch_until = Some(now);
        }
        self.shared.last = Some(now);
        self.shared.not_before = None;
        self.enter(DetectorState::Shared);
        let asked_for = asked.settlements.len();
        self.shared.settled.splice(0..0, asked.settlements);
        if self.meet(&answer) {
            let settlements = self.shared.settled.drain(..asked_for).collect();
            self.take_settled(settlements, &answer.settled);
        } else {
            self.start_over();
        }
        self.look_for_silent(&answer, now);
        let slowest = answer.marks.iter().map(|mark| mark.until).min().unwrap_or(u64::MAX);
        self.shared.others = Some(if self.shared.missing.is_empty() { slowest } else { 0 });
        self.take_claims(asked.exchange.claims, answer);
    }

    /// What a sidecar that fell silent has not told of nobody will tell: all that waits for it comes to no conclusion. The same goes for one that
    /// has missed updates, and for one that did not come back after the store was replaced.
    fn look_for_silent(&mut self, answer: &Exchanged, now: Instant) {
        let longest = micros(self.flags.longest);
        let stands_still = micros(LONGEST_WAIT).saturating_add(longest);
        let lags =
            |mark: &&Mark| mark.until > 0 && mark.written.saturating_sub(mark.until) > stands_still;
        let missed = answer.marks.iter().filter(lags).map(|mark| mark.written).max();
        let heard = missed.max(answer.last_heard).map(|heard| heard.saturating_add(longest));
        let is_back = |it: &Missing| answer.marks.iter().any(|mark| mark.sidecar == it.sidecar);
        self.shared.missing.retain(|it| !is_back(it));
        let (gone, missing): (Vec<Missing>, Vec<Missing>) =
            std::mem::take(&mut self.shared.missing).into_iter().partition(|it| now >= it.until);
        self.shared.missing = missing;
        self.shared.marks.clone_from(&answer.marks);
        let gap = gone.iter().map(|it| it.over_by).chain(heard).max().unwrap_or(0);
        if gap > self.gap || !gone.is_empty() {
            self.gap = self.gap.max(gap);
            let waits = |stage: &Stage| matches!(stage, Stage::Waiting(_));
            for key in self.keys_where(waits) {
                self.give_up(&key, Inconclusive::SilentSidecar);
            }
        }
    }

    fn keys_where(&self, is_at: impl Fn(&Stage) -> bool) -> Vec<JournalKey> {
        let found = self.entities.iter().filter(|(_, entity)| is_at(&entity.stage));
        found.map(|(key, _)| key.clone()).collect()
    }

    /// What happens up to this moment is not all known.
    pub(super) fn widen_gap(&mut self, until: Instant) {
        if let Some(until) = self.clock.stamp(until) {
            self.gap = self.gap.max(until.latest);
        }
    }

    /// Learns which store it is and what its clock shows; whether both are as before.
    fn meet(&mut self, answer: &Exchanged) -> bool {
        let same_store = self.shared.store == answer.identity || self.shared.store.is_empty();
        if !same_store {
            // By the clock that it was found by.
            self.tell_all();
            self.clock.forget();
        }
        self.shared.store.clone_from(&answer.identity);
        self.clock.learn(answer) && same_store
    }

    fn take_claims(&mut self, claims: Vec<JournalKey>, answer: Exchanged) {
        // It looks at all that is under way: once for all of them.
        let open = self.open();
        for (key, claimed) in claims.iter().zip(answer.claimed) {
            self.take_claim(key, claimed, open);
        }
    }

    /// An exchange failed: all of it is tried again. It may have been carried out; entries that stand there twice count once.
    fn undo(&mut self, asked: Asked, now: Instant) {
        self.shared.not_before = Some(now + STORE_PAUSE);
        if self.state != DetectorState::Suspended {
            self.enter(DetectorState::Suspended);
            // What is updated meanwhile needs a first look of its own: the journals may be gone as well.
            self.parts.notebook.forget_sights();
        }
        for (key, drafts) in asked.drafts {
            let Some(entity) = self.entities.get_mut(&key) else { continue };
            self.drafts += drafts.len();
            entity.drafts.splice(0..0, drafts);
        }
        self.shared.settled.splice(0..0, asked.settlements);
    }

    /// The journals may be gone, or their clock was set: what is under check comes to no conclusion.
    fn start_over(&mut self) {
        self.tell_all();
        self.miss(clock::now());
        // The clock may be another one as well.
        self.gap = 0;
        self.widen_gap(clock::now() + self.flags.settles.max(ALL_ARE_BACK));
        let is_checked = |stage: &Stage| matches!(stage, Stage::Reading(_) | Stage::Waiting(_));
        for key in self.keys_where(is_checked) {
            self.give_up(&key, Inconclusive::JournalLost);
        }
        self.shared.settled.clear();
        self.parts.notebook.forget_sights();
    }

    /// Those that were there are waited for until they have found out as well.
    fn miss(&mut self, now: Instant) {
        let over_by = self.clock.stamp(now + self.flags.longest).map_or(0, |over| over.latest);
        for Mark { sidecar, .. } in std::mem::take(&mut self.shared.marks) {
            self.shared.missing.retain(|it| it.sidecar != sidecar);
            self.shared.missing.push(Missing { sidecar, until: now + MISSED_FOR, over_by });
        }
    }
}

impl Asked {
    /// Only asks what the store has to say.
    fn only(store: &str) -> Self {
        let exchange = Exchange { store: store.to_owned(), ..Exchange::default() };
        Self { exchange, drafts: Vec::new(), settlements: Vec::new() }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
