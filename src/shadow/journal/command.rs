//! An exchange as commands: one, or several where it is large.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scripts::OVERFLOW;
use super::{Exchange, JournalKey, MAX_ENTRIES, Settled};
use crate::domain::effects::history::Entry;

/// A journal that nobody adds to is forgotten after so long: longer than updates and checks take, with all that may be in
/// their way.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// How long a claim lasts: a read, with a pause of the store in between. Who crashed holds nobody up for longer.
const CLAIMED_FOR: Duration = Duration::from_secs(15);

/// A sidecar that was not heard of for so long is not waited for. The receipt of what was settled lasts as long.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(60);

/// Once an answer has so many bytes of entries, no more journals come with it.
const ANSWER_BYTES: usize = 256 * 1024;

/// A command with so many bytes of entries and keys gets no more: everybody else waits for the store meanwhile.
const COMMAND_BYTES: usize = 256 * 1024;

/// What one journal is added, or one check keeps, may be larger, as it belongs together; but not larger than this.
const LARGEST_BYTES: usize = 1024 * 1024;

/// The most entities that one command is about.
const MAX_ENTITIES: usize = 256;

/// The most entries that one command brings: less than a journal holds, so that none of them is pushed out by it.
const MAX_BROUGHT: usize = 1000;

const _: () = assert!(MAX_BROUGHT < MAX_ENTRIES && COMMAND_BYTES < LARGEST_BYTES);

/// What is sent.
#[derive(Debug)]
pub(super) struct Command {
    /// For which store it was stamped; `None` where nothing in it is.
    pub(super) store: Option<String>,
    /// The entities, of which the words say the numbers, from 1.
    pub(super) entities: Vec<JournalKey>,
    /// As [`EXCHANGE`](super::scripts::EXCHANGE) wants them, after the sidecar.
    pub(super) words: Vec<Vec<u8>>,
    /// How many entities are settled.
    pub(super) settled: usize,
    /// How many are claimed.
    pub(super) claimed: usize,
}

/// Numbers for commands, of which each is larger than the one before.
#[derive(Debug)]
pub(super) struct Numbers(u64);

impl Numbers {
    /// From there on: larger than any that the same sidecar has used before.
    pub(super) fn from(first: u64) -> Self {
        Self(first)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.saturating_add(1);
        self.0
    }
}

type Text = Vec<u8>;

/// What goes into one command.
#[derive(Default)]
struct Part<'e> {
    settled: Vec<(&'e Settled, Vec<Text>)>,
    appends: Vec<(&'e JournalKey, Vec<Text>)>,
    claims: Vec<&'e JournalKey>,
    entities: BTreeMap<&'e JournalKey, usize>,
    entries: usize,
    bytes: usize,
}

/// The commands so far: those that get no more, and the last one.
#[derive(Default)]
struct Parts<'e> {
    full: Vec<Part<'e>>,
    last: Part<'e>,
}

impl<'e> Parts<'e> {
    /// The part that these entries of an entity go to.
    fn with_room(&mut self, key: &'e JournalKey, texts: &[Text]) -> &mut Part<'e> {
        let bytes = size(texts) + 2 * (key.flag.len() + key.entity.len());
        if !self.last.has_room(texts.len(), bytes) {
            self.full.push(std::mem::take(&mut self.last));
        }
        let part = &mut self.last;
        let next = part.entities.len() + 1;
        part.entities.entry(key).or_insert(next);
        part.entries += texts.len();
        part.bytes += bytes;
        part
    }

    /// Makes all claims in one part, for as many entities as one may be about.
    fn claim(&mut self, claims: &'e [JournalKey]) {
        if self.last.entities.len() + claims.len() > MAX_ENTITIES {
            self.full.push(std::mem::take(&mut self.last));
        }
        for key in claims.iter().take(MAX_ENTITIES) {
            let next = self.last.entities.len() + 1;
            self.last.entities.entry(key).or_insert(next);
            self.last.claims.push(key);
        }
    }
}

impl Command {
    /// An exchange as commands, to be run one after the other. With the last one the mark is set, and all claims are made: what
    /// they show, and how far others have come, are to be of one moment.
    pub(super) fn all_of(exchange: &Exchange, numbers: &mut Numbers) -> Vec<Self> {
        let parts = Part::all_of(exchange);
        let last = parts.len().saturating_sub(1);
        let mark = |at: usize| (at == last).then_some(exchange.mark);
        let parts = parts.iter().enumerate();
        parts.map(|(at, part)| part.command(numbers.next(), mark(at), &exchange.store)).collect()
    }

    /// What is said in the place of an exchange that can't be brought: entries of these journals are gone.
    pub(super) fn all_of_loss(
        keys: &[JournalKey],
        store: &str,
        numbers: &mut Numbers,
    ) -> Vec<Self> {
        let mut parts = Parts::default();
        for key in keys {
            let texts = vec![OVERFLOW.into()];
            parts.with_room(key, &texts).appends.push((key, texts));
        }
        let parts = parts.full.iter().chain([&parts.last]);
        parts.map(|part| part.command(numbers.next(), None, store)).collect()
    }

    /// One that only asks, of any store.
    pub(super) fn question() -> Self {
        Part::default().command(0, None, "")
    }
}

impl<'e> Part<'e> {
    fn all_of(exchange: &'e Exchange) -> Vec<Self> {
        let mut parts = Parts::default();
        for settled in &exchange.settled {
            let texts = bounded(settled.keep.iter().map(text).collect());
            parts.with_room(&settled.key, &texts).settled.push((settled, texts));
        }
        for (key, entries) in &exchange.appends {
            for texts in in_pieces(entries.iter().map(text)) {
                parts.with_room(key, &texts).appends.push((key, texts));
            }
        }
        parts.claim(&exchange.claims);
        parts.full.push(parts.last);
        parts.full
    }

    fn has_room(&self, entries: usize, bytes: usize) -> bool {
        self.entities.is_empty()
            || (self.entities.len() < MAX_ENTITIES
                && self.entries + entries <= MAX_BROUGHT
                && self.bytes + bytes <= COMMAND_BYTES)
    }

    fn command(&self, number: u64, mark: Option<u64>, store: &str) -> Command {
        let mut words = Words::default();
        words.push(number.to_string());
        words.push(mark.map(|mark| mark.to_string()).unwrap_or_default());
        for limit in [whole(MAX_ENTRIES), millis(KEPT_FOR), millis(CLAIMED_FOR)] {
            words.push(limit.to_string());
        }
        for limit in [millis(SILENT_AFTER), whole(ANSWER_BYTES), whole(self.settled.len())] {
            words.push(limit.to_string());
        }
        for (settled, texts) in &self.settled {
            words.push(self.number(&settled.key));
            words.push(settled.ticket.number.to_string());
            // Counted from where the journal began with the claim.
            let taken = whole(settled.taken).saturating_add(settled.ticket.lost);
            words.push(if settled.taken == 0 { 0 } else { taken }.to_string());
            words.texts(texts);
        }
        words.push(self.appends.len().to_string());
        for (key, texts) in &self.appends {
            words.push(self.number(key));
            words.texts(texts);
        }
        words.push(self.claims.len().to_string());
        for key in &self.claims {
            words.push(self.number(key));
        }
        let is_stamped = !self.settled.is_empty()
            || !self.appends.is_empty()
            || mark.is_some_and(|mark| mark > 0);
        let mut entities: Vec<(usize, &JournalKey)> =
            self.entities.iter().map(|(key, number)| (*number, *key)).collect();
        entities.sort_unstable_by_key(|(number, _)| *number);
        Command {
            store: is_stamped.then(|| store.to_owned()),
            entities: entities.into_iter().map(|(_, key)| key.clone()).collect(),
            words: words.0,
            settled: self.settled.len(),
            claimed: self.claims.len(),
        }
    }

    fn number(&self, key: &JournalKey) -> String {
        self.entities.get(key).copied().unwrap_or_default().to_string()
    }
}

#[derive(Default)]
struct Words(Vec<Text>);

impl Words {
    fn push(&mut self, word: impl Into<Text>) {
        self.0.push(word.into());
    }

    fn texts(&mut self, texts: &[Text]) {
        self.push(texts.len().to_string());
        self.0.extend_from_slice(texts);
    }
}

fn text(entry: &Entry) -> Text {
    // Plain fields: it can't fail, and an empty text is one that nobody can read.
    serde_json::to_vec(entry).unwrap_or_default()
}

/// What belongs together; where that is too much, it is said that it is gone.
fn bounded(texts: Vec<Text>) -> Vec<Text> {
    let fits = texts.len() <= MAX_BROUGHT && size(&texts) <= LARGEST_BYTES;
    if fits { texts } else { vec![OVERFLOW.into()] }
}

/// Entries of one journal, as many at once as fit into a command.
fn in_pieces(texts: impl Iterator<Item = Text>) -> Vec<Vec<Text>> {
    let mut pieces: Vec<Vec<Text>> = Vec::new();
    let mut bytes = 0;
    for text in texts {
        let text = if text.len() > LARGEST_BYTES { OVERFLOW.into() } else { text };
        match pieces.last_mut() {
            Some(piece) if piece.len() < MAX_BROUGHT && bytes + text.len() <= COMMAND_BYTES => {
                bytes += text.len();
                piece.push(text);
            }
            _ => {
                bytes = text.len();
                pieces.push(vec![text]);
            }
        }
    }
    pieces
}

fn size(texts: &[Text]) -> usize {
    texts.iter().map(Vec::len).sum()
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
