//! An entity under check, over and over: an honest app never raises an alarm, and a racy one is caught exactly.

mod withheld;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::domain::effects::EffectPointer;

/// How many fields the entity has.
const FIELDS: usize = 3;

fn pointers() -> Vec<EffectPointer> {
    vec!["/fields/{n}".parse().unwrap()]
}

fn field(number: usize) -> String {
    format!("/fields/{number}")
}

fn read_of(values: &[u64], begun: Stamp, ended: Stamp) -> Read {
    Read { begun, ended, fields: Fields::of(&json!({ "fields": values }), &pointers()) }
}

/// Takes in what a read says, whatever it is.
fn conclude(history: &mut History, read: Read, open: &Stamp) -> Vec<Concluded> {
    let findings = history.check(&read);
    history.conclude(read, &findings, open)
}

fn fingerprint(value: u64) -> Fingerprint {
    Fingerprint::of(&json!(value))
}

fn update(number: u64, at: usize, value: u64, sent: Stamp, ended: Stamp) -> Update {
    Update {
        id: UpdateId { clock: sent.clock, number },
        field: field(at),
        value: Some(fingerprint(value)),
        shown: None,
        sent,
        ended,
        settles: 0,
        ending: Ending::Acknowledged,
        path: Path::Legacy,
        route: 0,
        sidecar: String::new(),
        trace_id: String::new(),
        span_id: String::new(),
        sampled: false,
        counted: false,
        doubtful: false,
    }
}

fn alone(ticks: u64) -> Stamp {
    Stamp::alone(ticks)
}

/// Everything that was sent before this has ended and is in.
fn open(ticks: u64) -> Stamp {
    Stamp { clock: u64::MAX, ticks, earliest: ticks, latest: ticks }
}

/// Small random numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        // xorshift64 (Marsaglia, 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// An update as it really was.
#[derive(Clone, Copy)]
struct Truth {
    field: usize,
    value: u64,
    sent: u64,
    /// When it took effect; `None` for never.
    written: Option<u64>,
    ended: u64,
    settles: u64,
    ending: Ending,
    /// When it was in the journal.
    told: u64,
    clock: u64,
}

/// A stamp of true time `at` by a sidecar whose clock runs from elsewhere and which knows the common one to within `blur`.
fn stamp(clock: u64, at: u64, blur: u64) -> Stamp {
    Stamp { clock, ticks: at + clock * 1_000, earliest: at.saturating_sub(blur), latest: at + blur }
}

/// Updates of an app whose writes are atomic, each somewhere between its sending and its end.
fn honest(dice: &mut Dice, count: u64) -> Vec<Truth> {
    let one = |dice: &mut Dice| {
        let sent = 20 + dice.roll(400);
        let length = 1 + dice.roll(40);
        let ending = match dice.roll(8) {
            0 => Ending::Unknown,
            1 => Ending::Rejected,
            _ => Ending::Acknowledged,
        };
        let settles = if ending == Ending::Unknown { 30 } else { 0 };
        let ended = sent + length;
        let happened = ending == Ending::Acknowledged || dice.roll(2) == 0;
        let written = happened.then(|| sent + dice.roll(length + settles + 1));
        let told = ended + dice.roll(25);
        let (field, value) = (usize::try_from(dice.roll(FIELDS as u64)).unwrap(), dice.roll(4));
        Truth { field, value, sent, written, ended, settles, ending, told, clock: dice.roll(3) }
    };
    (0..count).map(|_| one(dice)).collect()
}

/// What the entity holds at a moment.
fn state_at(truths: &[Truth], moment: u64) -> Vec<u64> {
    let mut writes: Vec<(u64, usize, u64)> = truths
        .iter()
        .filter_map(|truth| {
            Some((truth.written.filter(|at| *at <= moment)?, truth.field, truth.value))
        })
        .collect();
    writes.sort_by_key(|(at, ..)| *at);
    let mut state = vec![0; FIELDS];
    writes.into_iter().for_each(|(_, field, value)| state[field] = value);
    state
}

fn told_by(truths: &[Truth], moment: u64, blur: u64) -> impl Iterator<Item = Entry> {
    let told = truths.iter().enumerate().filter(move |(_, truth)| truth.told <= moment);
    told.map(move |(number, truth)| {
        let stamp = |at| stamp(truth.clock, at, blur);
        let (sent, ended) = (stamp(truth.sent), stamp(truth.ended));
        let update = update(number as u64, truth.field, truth.value, sent, ended);
        Entry::Update(Update { settles: truth.settles, ending: truth.ending, ..update })
    })
}

/// Checks it as the detector does: some reads at any moment, those that look fine concluded at once, the others when all has been
/// told. Gives every alarm.
fn watch(truths: &[Truth], dice: &mut Dice, blur: u64) -> Vec<Finding> {
    let mut history = History::default();
    let (first, second) = (stamp(7, 1, blur), stamp(7, 9, blur));
    history.extend([Entry::Read(read_of(&[0; FIELDS], first, second))]);
    let mut alarms = Vec::new();
    let mut settled: BTreeSet<UpdateId> = BTreeSet::new();
    let mut now = 30;
    while now < 600 {
        let (begun, ended) = (now, now + dice.roll(20));
        let seen = state_at(truths, begun + dice.roll(ended - begun + 1));
        let read = read_of(&seen, stamp(8, begun, blur), stamp(8, ended, blur));
        let new = |history: &History, moment: u64, settled: &BTreeSet<UpdateId>| {
            let known: BTreeSet<UpdateId> = history.updates.iter().map(|u| u.id).collect();
            let is_new = |entry: &Entry| match entry {
                Entry::Update(update) => {
                    !known.contains(&update.id) && !settled.contains(&update.id)
                }
                _ => true,
            };
            told_by(truths, moment, blur).filter(is_new).collect::<Vec<_>>()
        };
        let entries = new(&history, begun, &settled);
        history.extend(entries);
        let mut concluded_at = ended;
        if !history.check(&read).is_empty() {
            let unheard = truths.iter().filter(|truth| truth.sent <= ended + 2 * blur);
            concluded_at = unheard.map(|truth| truth.told).max().unwrap_or(0).max(ended);
            let entries = new(&history, concluded_at, &settled);
            history.extend(entries);
            alarms.extend(history.check(&read));
        }
        let before: BTreeSet<UpdateId> = history.updates.iter().map(|update| update.id).collect();
        let untold = truths.iter().filter(|truth| truth.told > begun.min(concluded_at));
        let mark = untold.map(|truth| truth.sent).min().unwrap_or(u64::MAX).min(begun);
        conclude(&mut history, read, &open(mark.saturating_sub(blur)));
        let after: BTreeSet<UpdateId> = history.updates.iter().map(|update| update.id).collect();
        settled.extend(before.difference(&after));
        now = concluded_at + 1 + dice.roll(60);
    }
    alarms
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn an_honest_app_never_raises_an_alarm(seed in 1..u64::MAX, count in 0..24_u64, blur in 0..6_u64) {
        let mut dice = Dice(seed);
        let truths = honest(&mut dice, count);

        let alarms = watch(&truths, &mut dice, blur);

        let alarm = alarms.iter().find(|finding| matches!(finding.said, Said::Lost | Said::Unmanaged));
        prop_assert!(alarm.is_none(), "{alarms:?}");
    }

    /// A racy app reads all fields, waits, and writes all of them back. Each field has one writer in a round; when a round is over,
    /// as many are lost as a reader finds missing.
    #[test]
    fn a_racy_app_is_caught_exactly(seed in 1..u64::MAX, rounds in 1..6_u64) {
        let mut dice = Dice(seed);
        let mut history = History::default();
        let mut document = vec![0_u64; FIELDS];
        history.extend([Entry::Read(read_of(&document, alone(1), alone(2)))]);
        let (mut expected, mut found, mut verified) = (0, 0, 0);
        for round in 0..rounds {
            let start = 100 + round * 200;
            let mut steps = Vec::new();
            for writer in 0..FIELDS {
                let sent = start + dice.roll(30);
                let reads = sent + dice.roll(10);
                let writes = reads + 1 + dice.roll(30);
                let ended = writes + dice.roll(10);
                let value = 1_000 * (round + 1) + writer as u64;
                let number = round * 10 + writer as u64;
                steps.push((reads, false, writer, value));
                steps.push((writes, true, writer, value));
                history.extend([Entry::Update(update(number, writer, value, alone(sent), alone(ended)))]);
            }
            steps.sort_unstable();
            let mut copies = vec![Vec::new(); FIELDS];
            for (_, writes, writer, value) in steps {
                if writes {
                    let mut copy = std::mem::take(&mut copies[writer]);
                    copy[writer] = value;
                    document = copy;
                } else {
                    copies[writer].clone_from(&document);
                }
            }
            expected += (0..FIELDS).filter(|w| document[*w] != 1_000 * (round + 1) + *w as u64).count();

            let (begun, ended) = (alone(start + 150), alone(start + 155));
            let read = read_of(&document, begun, ended);
            let findings = history.check(&read);
            prop_assert!(findings.iter().all(|finding| finding.said == Said::Lost), "{findings:?}");
            found += findings.len();
            verified += conclude(&mut history, read, &open(start + 160)).len();
        }

        prop_assert_eq!(found, expected);
        prop_assert_eq!(verified, usize::try_from(rounds).unwrap() * FIELDS);
        prop_assert!(history.updates.is_empty(), "what is settled is forgotten");
    }
}

#[test]
fn an_update_that_was_fine_is_lost_when_one_beside_it_undoes_it_later() {
    let mut history = History::default();
    history.extend([Entry::Read(read_of(&[0, 0, 0], alone(1), alone(2)))]);
    history.extend([Entry::Update(update(1, 0, 5, alone(10), alone(20)))]);

    let fine = read_of(&[5, 0, 0], alone(30), alone(31));
    assert_eq!(history.check(&fine), []);
    assert_eq!(conclude(&mut history, fine, &open(12)).len(), 1, "it was verified");
    // Sent before the first had written, it puts back what it had read.
    history.extend([Entry::Update(update(2, 1, 6, alone(12), alone(40)))]);
    let undone = read_of(&[0, 6, 0], alone(50), alone(51));
    let findings = history.check(&undone);

    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].field.as_str(), findings[0].said), ("/fields/0", Said::Lost));
    assert_eq!(findings[0].updates, [UpdateId { clock: 0, number: 1 }]);
    assert_eq!(
        conclude(&mut history, undone.clone(), &open(60)).len(),
        1,
        "the second one, and it alone"
    );
    assert_eq!(history.check(&read_of(&[0, 6, 0], alone(70), alone(71))), [], "it is lost once");
}

#[test]
fn a_loss_is_counted_once_however_often_it_is_looked_at_while_others_are_under_way() {
    let mut history = History::default();
    history.extend([Entry::Read(read_of(&[0, 0, 0], alone(1), alone(2)))]);
    history.extend([Entry::Update(update(1, 0, 5, alone(10), alone(20)))]);
    let mut losses = 0;

    for round in 0..5 {
        let at = 100 + round * 20;
        let read = read_of(&[0, 0, 0], alone(at), alone(at + 1));
        losses += history.check(&read).len();
        // Somebody is still at work who was sent before the first one had ended.
        conclude(&mut history, read, &open(15));
    }

    assert_eq!(losses, 1);
    assert_eq!(history.updates.len(), 1, "it may still be undone");
}

#[test]
fn another_sidecars_first_look_hides_no_loss() {
    let mut history = History::default();
    history.extend([
        Entry::Read(read_of(&[0, 0, 0], alone(1), alone(2))),
        Entry::Update(update(1, 0, 5, alone(10), alone(20))),
        Entry::Read(read_of(&[0, 0, 0], alone(30), alone(31))),
    ]);

    let findings = history.check(&read_of(&[0, 0, 0], alone(50), alone(51)));

    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].said, Said::Lost);
}

#[test]
fn a_value_that_nobody_here_wrote_is_a_strangers_and_a_place_that_is_not_there_is_no_loss() {
    let mut history = History::default();
    history.extend([Entry::Read(read_of(&[0, 0, 0], alone(1), alone(2)))]);
    history.extend([
        Entry::Update(update(1, 0, 5, alone(10), alone(20))),
        Entry::Update(update(2, 9, 5, alone(10), alone(20))),
    ]);

    let findings = history.check(&read_of(&[77, 0, 0], alone(30), alone(31)));

    let said: Vec<(&str, Said)> = findings.iter().map(|f| (f.field.as_str(), f.said)).collect();
    assert_eq!(said, [("/fields/0", Said::Unmanaged), ("/fields/9", Said::NoPlace)]);
}

#[test]
fn an_update_is_not_verified_by_a_read_that_says_nothing_of_its_field() {
    let mut history = History::default();
    history.extend([
        Entry::Update(update(1, 0, 5, alone(10), alone(20))),
        Entry::Update(update(2, 9, 5, alone(10), alone(20))),
        Entry::Update(update(3, 1, 5, alone(10), alone(20))),
    ]);

    // Nobody knows what stood in the first field before, there is no tenth, and the second is as it should be.
    let read = read_of(&[77, 5, 0], alone(30), alone(31));
    let said: Vec<Said> = history.check(&read).into_iter().map(|finding| finding.said).collect();
    let verified = conclude(&mut history, read, &open(40)).into_iter();
    let conclusions: Vec<Conclusion> = verified.map(|told| told.conclusion).collect();

    assert_eq!(said, [Said::NoBaseline, Said::NoPlace]);
    // That the third is there says little: nobody could have told that it was lost.
    assert_eq!(conclusions, [Conclusion::Told, Conclusion::Told, Conclusion::NoBaseline]);
}

#[test]
fn of_two_at_once_one_is_lost_where_neither_is_there() {
    let mut history = History::default();
    history.extend([Entry::Read(read_of(&[0, 0, 0], alone(1), alone(2)))]);
    history.extend([
        Entry::Update(update(1, 0, 5, alone(10), alone(30))),
        Entry::Update(update(2, 0, 6, alone(20), alone(40))),
        Entry::Update(update(3, 0, 4, alone(4), alone(5))),
    ]);

    let findings = history.check(&read_of(&[0, 0, 0], alone(50), alone(51)));

    let ids = [UpdateId { clock: 0, number: 1 }, UpdateId { clock: 0, number: 2 }];
    assert_eq!(findings[0].updates, ids, "the first one was replaced by either");
}

#[test]
fn a_loss_is_told_once_however_often_it_is_seen() {
    // Another one is in flight all the time, so that nothing is forgotten.
    let check = |history: &mut History, values: &[u64], begun: u64| {
        let read = read_of(values, alone(begun), alone(begun + 1));
        let findings = history.check(&read);
        history.conclude(read, &findings, &open(0));
        findings.into_iter().map(|finding| (finding.said, finding.updates)).collect::<Vec<_>>()
    };
    let id = |number| UpdateId { clock: 0, number };
    let mut history = History::default();
    conclude(&mut history, read_of(&[0, 0], alone(0), alone(1)), &open(0));
    history.extend([Entry::Update(update(1, 0, 7, alone(10), alone(11)))]);

    assert_eq!(check(&mut history, &[0, 0], 20), [(Said::Lost, vec![id(1)])]);
    assert_eq!(check(&mut history, &[0, 0], 30), [], "it is still gone");

    history.extend([Entry::Update(update(2, 0, 8, alone(40), alone(41)))]);
    assert_eq!(check(&mut history, &[8, 0], 50), []);
    assert_eq!(check(&mut history, &[0, 0], 60), [(Said::Lost, vec![id(2)])], "so is this now");
    assert_eq!(check(&mut history, &[0, 0], 70), []);

    assert_eq!(check(&mut history, &[9, 0], 80), [(Said::Unmanaged, vec![])]);
    assert_eq!(check(&mut history, &[9, 0], 90), [], "a stranger's value that stays is no loss");
}
