//! The two apps behind the sidecars. The legacy one reads an entity's list, waits and writes all of it back, so of two updates
//! at a time one is lost. The fixed one adds to the list in one step.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::dice::Dice;
use super::network::Background;
use super::settings::{CALL, SETTLE};

/// Names an update in the lists.
pub(super) type UpdateId = u32;

/// Who sends an update, as the sidecar has it when it sends.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) id: UpdateId,
    pub(super) sidecar: String,
    pub(super) stage: &'static str,
    /// Whether it goes on without the store, and says so.
    pub(super) is_exposed: bool,
    /// Whether a kill left out F', so that calls which others have at the fixed app may be undone.
    pub(super) is_after_kill: bool,
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, sidecar, stage, .. } = self;
        write!(f, "#{id} of {sidecar} in {stage}")
    }
}

/// How an app answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// It was refused, and nothing was changed.
    Refused,
}

/// The apps, and what they share. Clones are the same ones.
#[derive(Clone)]
pub(super) struct Apps {
    inner: Rc<Inner>,
}

struct Inner {
    lists: RefCell<BTreeMap<String, Vec<UpdateId>>>,
    /// By update: who wrote a list without it last.
    overwritten: RefCell<BTreeMap<UpdateId, Writer>>,
    dice: Dice,
    background: Background,
    /// Whether some calls take longer than anybody waits, or break off.
    has_trouble: Cell<bool>,
    /// How much longer than it may a write lands that was given up: a negative test.
    beyond: Cell<Duration>,
}

/// What becomes of a call.
struct Fate {
    /// From its sending.
    writes_after: Option<Duration>,
    /// `None` for a connection that breaks.
    answer: Option<Answer>,
    answers_after: Duration,
}

impl Apps {
    pub(super) fn new(dice: Dice, background: Background) -> Self {
        let (has_trouble, beyond) = (Cell::new(false), Cell::new(Duration::ZERO));
        let (lists, overwritten) = (RefCell::default(), RefCell::default());
        let inner = Inner { lists, overwritten, dice, background, has_trouble, beyond };
        Self { inner: Rc::new(inner) }
    }

    pub(super) fn set_trouble(&self, has_trouble: bool) {
        self.inner.has_trouble.set(has_trouble);
    }

    /// From here on a write may land so much later than it may.
    pub(super) fn write_beyond(&self, time: Duration) {
        self.inner.beyond.set(time);
    }

    /// What an entity's list holds.
    pub(super) fn list(&self, entity: &str) -> Vec<UpdateId> {
        self.inner.lists.borrow().get(entity).cloned().unwrap_or_default()
    }

    /// Who overwrote an update that is missing.
    pub(super) fn overwriter(&self, id: UpdateId) -> Option<Writer> {
        self.inner.overwritten.borrow().get(&id).cloned()
    }

    /// Sends an update; what is given ends without an answer where the connection breaks. The app goes on when nobody waits.
    pub(super) fn send(
        &self,
        fixed: bool,
        entity: &str,
        writer: Writer,
    ) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let (apps, entity) = (self.clone(), entity.to_owned());
        let fate = self.fate();
        let task = async move {
            let now = apps.list(&entity);
            let wrote = fate.writes_after.unwrap_or_default();
            if let Some(after) = fate.writes_after.filter(|after| *after <= fate.answers_after) {
                sleep(after).await;
                apps.write(fixed, &entity, &writer, &now);
            }
            sleep(fate.answers_after.saturating_sub(wrote)).await;
            match fate.answer {
                // Whoever asked may have gone.
                Some(answer) => drop(reply.send(answer)),
                None => drop(reply),
            }
            if let Some(after) = fate.writes_after.filter(|after| *after > fate.answers_after) {
                sleep(after - fate.answers_after).await;
                apps.write(fixed, &entity, &writer, &now);
            }
        };
        // It ends with the simulation.
        self.inner.background.send(Box::pin(task)).ok();
        answer
    }

    fn write(&self, fixed: bool, entity: &str, writer: &Writer, read: &[UpdateId]) {
        let mut lists = self.inner.lists.borrow_mut();
        let list = lists.entry(entity.to_owned()).or_default();
        if !fixed {
            let mut overwritten = self.inner.overwritten.borrow_mut();
            // What was read is a beginning of what is there, unless others have written back older lists.
            let kept = list.iter().zip(read).take_while(|(one, other)| one == other).count();
            let gone = list[kept..].iter().filter(|id| !read[kept..].contains(id));
            overwritten.extend(gone.map(|id| (*id, writer.clone())));
            *list = read.to_vec();
        }
        list.push(writer.id);
    }

    fn fate(&self) -> Fate {
        let Inner { dice, has_trouble, beyond, .. } = &*self.inner;
        let takes = dice.millis(3..25);
        let plain = |takes| Fate {
            writes_after: Some(takes),
            answer: Some(Answer::Done),
            answers_after: takes,
        };
        if !has_trouble.get() {
            return plain(takes);
        }
        match dice.number(0..100) {
            0 => Fate { writes_after: None, answer: Some(Answer::Refused), answers_after: takes },
            1 => plain(dice.millis(50..399)),
            // It is given up, and writes before D is over, or never.
            2 | 3 => {
                let last = CALL + SETTLE - Duration::from_millis(5) + beyond.get();
                let late = dice.millis(100..u64::try_from(last.as_millis()).unwrap());
                let writes_after = (!dice.one_in(3)).then_some(late);
                Fate { writes_after, answer: Some(Answer::Done), answers_after: CALL * 50 }
            }
            // Its connection breaks, and it writes all the same.
            4 => {
                let last = SETTLE - Duration::from_millis(5) + beyond.get();
                let late = dice.millis(0..u64::try_from(last.as_millis()).unwrap());
                let writes_after = (!dice.one_in(3)).then_some(takes + late);
                Fate { writes_after, answer: None, answers_after: takes }
            }
            _ => plain(takes),
        }
    }
}
