//! A replay of updates on a document, read by read and write by write. It knows nothing of the formulas that it checks.

/// Numbers that are uniform from 0 to just below 1, from a seeded source.
pub type Uniform<'u> = &'u mut dyn FnMut() -> f64;

/// An update of a document, by its moments in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// When it reads the document.
    pub read: f64,
    /// When it writes it back.
    pub write: f64,
}

/// What becomes of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// Some document that was written after it doesn't hold it.
    pub overwritten: bool,
    /// The last document doesn't hold it.
    pub lost: bool,
}

/// What happens at a moment; reads come first where several things happen at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Read,
    Write,
}

/// Replays updates of one entity, each of a field of its own. The fates are in the calls' order.
///
/// A document is known by the update that wrote it, and holds what the document that this one had read holds, and that update.
pub fn replay(calls: &[Call]) -> Vec<Fate> {
    let mut fates = vec![Fate { overwritten: false, lost: true }; calls.len()];
    // Of each update: who wrote the document that it read. None of them, at first.
    let mut read_from = vec![None; calls.len()];
    let mut document = None;
    let mut in_flight = 0_usize;
    for (event, place) in in_order(calls) {
        match event {
            Event::Read => {
                in_flight += 1;
                read_from.iter_mut().skip(place).take(1).for_each(|from| *from = document);
            }
            Event::Write => {
                in_flight = in_flight.saturating_sub(1);
                // Whoever has read by now will write without it.
                let is_beside = in_flight > 0;
                fates.iter_mut().skip(place).take(1).for_each(|fate| fate.overwritten = is_beside);
                document = Some(place);
            }
        }
    }
    while let Some(place) = document {
        fates.iter_mut().skip(place).take(1).for_each(|fate| fate.lost = false);
        document = read_from.get(place).copied().flatten();
    }
    fates
}

fn in_order(calls: &[Call]) -> Vec<(Event, usize)> {
    let events = calls.iter().enumerate().flat_map(|(place, call)| {
        [(call.read, Event::Read, place), (call.write, Event::Write, place)]
    });
    let mut events: Vec<_> = events.collect();
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    events.into_iter().map(|(_, event, place)| (event, place)).collect()
}

/// Replays calls on entities that don't touch each other, and tells the fate of each with its place among all.
pub(super) fn tally(calls: Vec<(usize, Call)>, mut told: impl FnMut(usize, Fate)) {
    let mut calls: Vec<_> = calls
        .into_iter()
        .enumerate()
        .map(|(place, (entity, call))| (entity, place, call))
        .collect();
    calls.sort_by_key(|(entity, place, _)| (*entity, *place));
    for group in calls.chunk_by(|one, other| one.0 == other.0) {
        let of_entity: Vec<Call> = group.iter().map(|(_, _, call)| *call).collect();
        let fates = replay(&of_entity);
        group.iter().zip(fates).for_each(|((_, place, _), fate)| told(*place, fate));
    }
}

/// A mean of drawn values, and how far it may be off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    count: u32,
    mean: f64,
    /// The sum of the squared distances from the mean.
    squares: f64,
}

impl Estimate {
    /// Takes one more value in.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / f64::from(self.count);
        self.squares += before * (value - self.mean);
    }

    /// The mean of the values; 0 of none.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The standard error of the mean; 0 where there are less than two values.
    pub fn error(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        (self.squares / f64::from(self.count - 1) / f64::from(self.count)).sqrt()
    }
}
