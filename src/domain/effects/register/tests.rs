//! The rule against a checker that tries every order.

use proptest::prelude::*;

use super::*;

fn value(number: u8) -> Fingerprint {
    Fingerprint::of_text(&number.to_string())
}

fn write(number: u8, begun: u64, ended: u64, known: Known) -> Write {
    let (begun, ended) = (Stamp::alone(begun), Stamp::alone(ended));
    Write { value: Some(value(number)), begun, ended, known, told: false }
}

fn read(begun: u64, ended: u64) -> ReadSpan {
    ReadSpan { begun: Stamp::alone(begun), ended: Stamp::alone(ended) }
}

fn acked(number: u8, begun: u64, ended: u64) -> Write {
    write(number, begun, ended, Known::Acknowledged)
}

fn seen(number: u8, begun: u64, ended: u64) -> Write {
    write(number, begun, ended, Known::Seen)
}

#[test]
fn what_may_show_and_what_else_it_means() {
    let check = |name: &str, writes: &[Write], shown: u8, expected: Judgement| {
        assert_eq!(judge(writes, &read(100, 110), value(shown)), expected, "{name}");
    };
    let one = [seen(0, 0, 1), acked(1, 10, 20)];
    let sequel = [seen(0, 0, 1), acked(1, 10, 20), acked(2, 30, 40)];
    let rivals = [seen(0, 0, 1), acked(1, 10, 30), acked(2, 20, 40)];
    let perhaps = [seen(0, 0, 1), acked(1, 10, 20), write(2, 30, 40, Known::Possible)];
    let late = [seen(0, 0, 1), write(1, 10, 90, Known::Possible), acked(2, 30, 40)];
    let in_flight = [seen(0, 0, 1), acked(1, 10, 20), acked(2, 95, 120)];
    let raced = [seen(0, 0, 30), acked(1, 10, 20)];
    let raced_and_lost = [seen(1, 0, 30), acked(1, 10, 20)];

    check("the update is there", &one, 1, Judgement::Fine);
    check("it fell back to what was there before", &one, 0, Judgement::Lost);
    check("a stranger wrote", &one, 9, Judgement::Unmanaged);
    check("the later one is there", &sequel, 2, Judgement::Fine);
    check("the later one is gone", &sequel, 1, Judgement::Lost);
    check("both are gone", &sequel, 0, Judgement::Lost);
    check("the first of two at once", &rivals, 1, Judgement::Fine);
    check("the second of two at once", &rivals, 2, Judgement::Fine);
    check("neither of two at once", &rivals, 0, Judgement::Lost);
    check("an unknown one happened", &perhaps, 2, Judgement::Fine);
    check("an unknown one did not happen", &perhaps, 1, Judgement::Fine);
    check("an unknown one landed late, after the next", &late, 1, Judgement::Fine);
    check("one in flight has written", &in_flight, 2, Judgement::Fine);
    check("one in flight has not written", &in_flight, 1, Judgement::Fine);
    check("one in flight excuses no fall", &in_flight, 0, Judgement::Lost);
    check(
        "the first look was beside the first write, and came before it",
        &raced,
        0,
        Judgement::Lost,
    );
    check("the first look came too late", &raced_and_lost, 9, Judgement::NoBaseline);
    check("no first look", &[acked(1, 10, 20)], 9, Judgement::NoBaseline);
    check("nothing is certain", &[write(1, 10, 20, Known::Possible)], 9, Judgement::Fine);
    check(
        "nothing certain but what was seen",
        &[seen(0, 0, 1), write(1, 10, 20, Known::Possible)],
        9,
        Judgement::Unmanaged,
    );
}

#[test]
fn a_write_of_an_unknown_value_explains_anything_until_it_is_replaced() {
    let unknown = Write { value: None, ..acked(0, 10, 20) };
    let read = read(100, 110);

    assert_eq!(judge(&[seen(0, 0, 1), unknown], &read, value(9)), Judgement::Fine);
    assert_eq!(
        judge(&[seen(0, 0, 1), unknown, acked(1, 30, 40)], &read, value(0)),
        Judgement::Lost
    );
    assert_eq!(
        judge(&[seen(0, 0, 1), unknown, acked(1, 30, 40)], &read, value(1)),
        Judgement::Fine
    );
}

#[test]
fn a_value_that_was_seen_replaced_may_not_come_back() {
    let told = |write: Write| Write { told: true, ..write };
    let rivals = [told(acked(1, 10, 30)), told(acked(2, 20, 40)), seen(2, 50, 60)];

    assert_eq!(judge(&rivals, &read(100, 110), value(1)), Judgement::Lost);
    assert_eq!(judge(&rivals, &read(100, 110), value(2)), Judgement::Fine);
}

#[test]
fn a_read_that_was_made_before_an_update_was_judged_replaces_nothing() {
    let writes = [acked(1, 10, 20), seen(2, 30, 31)];

    assert_eq!(judge(&writes, &read(40, 41), value(1)), Judgement::Fine);
    let told = [Write { told: true, ..writes[0] }, writes[1]];
    assert_eq!(judge(&told, &read(40, 41), value(1)), Judgement::Lost);
}

#[test]
fn a_loss_that_was_told_is_not_found_again() {
    let lost = [seen(0, 0, 1), acked(1, 10, 20), seen(0, 50, 60)];
    let told = [seen(0, 0, 1), Write { told: true, ..acked(1, 10, 20) }, seen(0, 50, 60)];

    assert_eq!(judge(&lost, &read(100, 110), value(0)), Judgement::Lost, "nobody judged it yet");
    assert_eq!(judge(&told, &read(100, 110), value(0)), Judgement::Fine);
    let again = [&told[..], &[acked(2, 70, 80)]].concat();
    assert_eq!(judge(&again, &read(100, 110), value(0)), Judgement::Lost, "another one is");
}

/// Whether there is an order of a choice of the writes that agrees with real time and in which the read, and each earlier
/// one, shows the latest write before it. Tries them all.
fn explained(writes: &[Write], read: &ReadSpan, shown: Fingerprint, first: Fingerprint) -> bool {
    let optional: Vec<usize> =
        (0..writes.len()).filter(|i| writes[*i].known == Known::Possible).collect();
    (0..1_u32 << optional.len()).any(|choice| {
        let left_out = |i: usize| {
            optional.iter().position(|o| *o == i).is_some_and(|bit| choice >> bit & 1 == 0)
        };
        let mut events: Vec<(Stamp, Stamp, Option<Fingerprint>, bool)> = (0..writes.len())
            .filter(|i| !left_out(*i))
            .map(|i| &writes[i])
            .map(|w| (w.begun, w.ended, w.value, w.known == Known::Seen))
            .collect();
        events.push((read.begun, read.ended, Some(shown), true));
        let all = (1_u32 << events.len()) - 1;
        fits(&events, all, first)
    })
}

fn fits(
    events: &[(Stamp, Stamp, Option<Fingerprint>, bool)],
    left: u32,
    holds: Fingerprint,
) -> bool {
    if left == 0 {
        return true;
    }
    let is_left = |i: usize| left >> i & 1 == 1;
    (0..events.len()).filter(|i| is_left(*i)).any(|next| {
        let (begun, _, value, is_read) = events[next];
        let is_first = (0..events.len()).all(|o| !is_left(o) || !events[o].1.is_before(&begun));
        let fits_here = !is_read || value == Some(holds);
        let then = if is_read { holds } else { value.unwrap_or(holds) };
        is_first && fits_here && fits(events, left & !(1 << next), then)
    })
}

fn stamps() -> impl Strategy<Value = (Stamp, Stamp)> {
    (0..3_u64, 0..40_u64, 0..20_u64, 0..4_u64).prop_map(|(clock, at, length, blur)| {
        // A clock's own zero, and how well it is known.
        let stamp = |t: u64| Stamp {
            clock,
            ticks: t + clock * 7,
            earliest: t.saturating_sub(blur),
            latest: t + blur,
        };
        (stamp(at), stamp(at + length))
    })
}

fn known() -> impl Strategy<Value = Known> {
    prop_oneof![Just(Known::Possible), Just(Known::Acknowledged)]
}

fn updates() -> impl Strategy<Value = Vec<Write>> {
    let one = (stamps(), 1..4_u8, known()).prop_map(|((begun, ended), n, known)| Write {
        value: Some(value(n)),
        begun,
        ended,
        known,
        told: false,
    });
    proptest::collection::vec(one, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// With one look ahead of everything the rule is exact: it calls fine what some order explains, and nothing else.
    #[test]
    fn the_rule_is_what_trying_every_order_says(
        updates in updates(), (begun, ended) in stamps(), shown in 0..5_u8
    ) {
        let far_ahead = Stamp { clock: 9, ticks: 0, earliest: 0, latest: 0 };
        let shift = |mut w: Write| { w.begun = w.begun.plus(10); w.ended = w.ended.plus(10); w };
        let mut writes = vec![Write { value: Some(value(0)), begun: far_ahead, ended: far_ahead, known: Known::Seen, told: false }];
        writes.extend(updates.into_iter().map(shift));
        let read = ReadSpan { begun: begun.plus(10), ended: ended.plus(10) };

        let fine = judge(&writes, &read, value(shown)) == Judgement::Fine;

        prop_assert_eq!(fine, explained(&writes, &read, value(shown), value(0)));
    }

    /// With more looks in between it never raises a false alarm: where some order explains all that was seen, it is fine.
    #[test]
    fn no_false_alarm_however_many_looks(
        updates in updates(), looks in proptest::collection::vec((stamps(), 0..4_u8), 0..3),
        (begun, ended) in stamps(), shown in 0..4_u8, first in 0..2_u8
    ) {
        let mut writes = updates;
        writes.extend(looks.into_iter().map(|((begun, ended), n)| Write { value: Some(value(n)), begun, ended, known: Known::Seen, told: false }));
        let read = ReadSpan { begun, ended };

        if explained(&writes, &read, value(shown), value(first)) {
            let judgement = judge(&writes, &read, value(shown));
            prop_assert!(judgement == Judgement::Fine || judgement == Judgement::NoBaseline, "{judgement:?}");
        }
    }
}
