//! The two apps behind the sidecars. The legacy one reads an entity's list, waits and writes all of it back, so of two updates
//! at a time one is lost. The fixed one adds to the list in one step. Lists are the apps' own; for entities that have a document in
//! the fleet's store, the legacy app does the same with that.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::dice::Dice;
use super::documents::{self, Change, Hand, PREFIX};
use super::network::Background;
use super::redis::Redis;
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

/// What an update wants of an app.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// One more in the list of an entity, by the legacy app.
    Append(&'static str),
    /// The same by the fixed one.
    AppendFixed(&'static str),
    /// A change of an entity's document.
    Set(&'static str, Change),
}

/// What an app has read.
enum Page {
    List(Vec<UpdateId>),
    /// `None` where there is no document, or no store.
    Document(Option<documents::Values>),
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
    redis: Redis,
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
    pub(super) fn new(dice: Dice, background: Background, redis: Redis) -> Self {
        let (has_trouble, beyond) = (Cell::new(false), Cell::new(Duration::ZERO));
        let (lists, overwritten) = (RefCell::default(), RefCell::default());
        let inner = Inner { lists, overwritten, dice, background, redis, has_trouble, beyond };
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

    /// Makes the documents of these entities that are not there.
    pub(super) fn make_documents(&self, entities: impl Iterator<Item = &'static str>) {
        for entity in entities {
            if self.inner.redis.document(entity).is_none() {
                let text = documents::text(entity, &documents::NEW);
                self.inner.redis.put_document(entity, text, Hand::Maker);
            }
        }
    }

    /// Sends an update; what is given ends without an answer where the connection breaks. The app goes on when nobody waits.
    pub(super) fn send(&self, work: Work, writer: Writer) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        let apps = self.clone();
        let mut fate = self.fate();
        let task = async move {
            let now = apps.read(work);
            let wrote = fate.writes_after.unwrap_or_default();
            if let Some(after) = fate.writes_after.filter(|after| *after <= fate.answers_after) {
                sleep(after).await;
                if !apps.write(work, &writer, &now) {
                    fate.answer = fate.answer.map(|_| Answer::Refused);
                }
            }
            sleep(fate.answers_after.saturating_sub(wrote)).await;
            match fate.answer {
                // Whoever asked may have gone.
                Some(answer) => drop(reply.send(answer)),
                None => drop(reply),
            }
            if let Some(after) = fate.writes_after.filter(|after| *after > fate.answers_after) {
                sleep(after - fate.answers_after).await;
                apps.write(work, &writer, &now);
            }
        };
        // It ends with the simulation.
        self.inner.background.send(Box::pin(task)).ok();
        answer
    }

    fn read(&self, work: Work) -> Page {
        match work {
            Work::Append(entity) | Work::AppendFixed(entity) => Page::List(self.list(entity)),
            Work::Set(entity, _) => {
                debug_assert!(entity.starts_with(PREFIX));
                let stored = self.inner.redis.document(entity);
                Page::Document(stored.and_then(|it| documents::values(entity, &it.bytes)))
            }
        }
    }

    /// Writes all that was read back, with the update in it; false where that can't be done.
    fn write(&self, work: Work, writer: &Writer, read: &Page) -> bool {
        match (work, read) {
            (Work::Append(entity), Page::List(read)) => {
                self.append(entity, writer, Some(read));
                true
            }
            (Work::AppendFixed(entity), _) => {
                self.append(entity, writer, None);
                true
            }
            (Work::Set(entity, change), Page::Document(Some(read))) => {
                let mut values = *read;
                change.places().into_iter().for_each(|place| values[place] = writer.id);
                let text = documents::text(entity, &values);
                self.inner.redis.put_document(entity, text, Hand::App(writer.clone()))
            }
            (Work::Append(_) | Work::Set(..), _) => false,
        }
    }

    /// Adds to a list, after going back to what was `read` of it, if anything was.
    fn append(&self, entity: &str, writer: &Writer, read: Option<&Vec<UpdateId>>) {
        let mut lists = self.inner.lists.borrow_mut();
        let list = lists.entry(entity.to_owned()).or_default();
        if let Some(read) = read {
            let mut overwritten = self.inner.overwritten.borrow_mut();
            // What was read is a beginning of what is there, unless others have written back older lists.
            let kept = list.iter().zip(read).take_while(|(one, other)| one == other).count();
            let gone = list[kept..].iter().filter(|id| !read[kept..].contains(id));
            overwritten.extend(gone.map(|id| (*id, writer.clone())));
            list.clone_from(read);
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
