//! When a sidecar that lost the store may take leases again.
//!
//! While the store was away, calls may have run without a lease, or under one that a new store knows nothing of. Such a call
//! may still write. A lease that is granted meanwhile promises what it can't keep. So whoever comes back first waits for the
//! others to come back too (*rallying*), then lets its own such calls end and begins no others (*draining*), says so in its
//! beats, and waits until everybody has said the same; each wait lasts no longer than what may have been under way anywhere:
//! the quarantine. NFS calls it the grace period of a lock server (RFC 8881 section 8.4.2); Chubby and Consul have the
//! lock-delay for the same reason.

use std::collections::BTreeSet;

/// An epoch younger than this, in milliseconds, is not trusted by somebody who knows of no other sidecar: others may not have
/// found it yet. Longer than the time between two beats.
pub const SETTLING_IN_MS: u64 = 1_500;

/// A sidecar as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// When it was heard of last, in milliseconds of the store's clock.
    pub heard_ms: u64,
    /// Which store it took itself to be in then.
    pub epoch: String,
    /// Whether all its calls that had no lease of this epoch had ended by then.
    pub drained: bool,
}

/// How far somebody who has come back has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The others are waited for.
    Rallying,
    /// Calls from before are waited for.
    Draining,
}

/// What somebody who has come back remembers.
#[derive(Clone, Copy, Debug)]
pub enum Before<'a> {
    /// Nothing: it has only just started.
    Nothing,
    /// It was in this store, when these others were there too. Whoever had fallen silent by then did not lose the store now.
    SameStore(&'a BTreeSet<String>),
    /// It was in another store, in which these others may have had leases.
    AnotherStore(&'a BTreeSet<String>),
}

/// What somebody who has come back knows. Times are in milliseconds, instants of the store's clock.
#[derive(Clone, Debug)]
pub struct Return<'a> {
    /// How far it has got.
    pub phase: Phase,
    /// Its own id.
    pub me: &'a str,
    /// Which store it is in.
    pub epoch: &'a str,
    /// What it remembers.
    pub before: Before<'a>,
    /// When this store began.
    pub founded_ms: u64,
    /// When the sidecar came back to it.
    pub returned_ms: u64,
    /// Now.
    pub now_ms: u64,
    /// How long it has been back, by its own clock: the store's may be set.
    pub back_for_ms: u64,
    /// Whether its own calls from before have ended.
    pub drained: bool,
    /// Who is registered.
    pub members: &'a [Member],
    /// How long a call from before may go on and still write.
    pub quarantine_ms: u64,
}

/// Whether to go on: from rallying to draining, from draining to granting leases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Go,
    /// Not yet.
    Wait(Why),
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Calls of this sidecar itself.
    OwnCalls,
    /// The store is new, and whoever else there is has to find it.
    NewStore,
    /// These sidecars.
    Others(BTreeSet<String>),
}

/// Decides. The wait for others ends with the quarantine; the wait for one's own calls doesn't, as those are known.
pub fn decide(at: &Return<'_>) -> Verdict {
    if at.phase == Phase::Draining && !at.drained {
        return Verdict::Wait(Why::OwnCalls);
    }
    if at.back_for_ms >= at.quarantine_ms {
        return Verdict::Go;
    }
    let is_new = at.now_ms < at.founded_ms.saturating_add(SETTLING_IN_MS);
    if is_new && matches!(at.before, Before::Nothing) {
        return Verdict::Wait(Why::NewStore);
    }
    let others = waiting_for(at);
    if others.is_empty() { Verdict::Go } else { Verdict::Wait(Why::Others(others)) }
}

fn waiting_for(at: &Return<'_>) -> BTreeSet<String> {
    let remembered = match at.before {
        Before::Nothing => None,
        Before::SameStore(ids) | Before::AnotherStore(ids) => Some(ids),
    };
    let registered = at.members.iter().map(|member| &member.id);
    registered
        .chain(remembered.into_iter().flatten())
        .filter(|id| *id != at.me && is_waited_for(at, id))
        .cloned()
        .collect()
}

fn is_waited_for(at: &Return<'_>, id: &String) -> bool {
    let remembered = match at.before {
        Before::Nothing => false,
        Before::SameStore(ids) | Before::AnotherStore(ids) => ids.contains(id),
    };
    let Some(member) = at.members.iter().find(|member| member.id == *id) else {
        return remembered;
    };
    let is_here = member.epoch == at.epoch;
    let is_back = is_here && member.heard_ms >= at.returned_ms;
    if is_back && (member.drained || at.phase == Phase::Rallying) {
        return false;
    }
    // Whoever was silent for that long has nothing under way. But what is left from before this store may be old: one that took
    // over, or was restored, has forgotten when others were heard of last.
    let heard_ms = match at.before {
        _ if is_here => member.heard_ms,
        Before::AnotherStore(_) if remembered => return true,
        // It was silent for that long when we were there.
        Before::AnotherStore(_) => member.heard_ms,
        Before::Nothing | Before::SameStore(_) => member.heard_ms.max(at.founded_ms),
    };
    if heard_ms.saturating_add(at.quarantine_ms) <= at.now_ms {
        return false;
    }
    match at.before {
        Before::AnotherStore(_) => true,
        // What it said last holds unless it lost the store since, as the others did that were there.
        Before::Nothing | Before::SameStore(_) => remembered || !is_here || !member.drained,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUARANTINE: u64 = 10_000;

    fn member(id: &str, heard_ms: u64, epoch: &str, drained: bool) -> Member {
        Member { id: id.to_owned(), heard_ms, epoch: epoch.to_owned(), drained }
    }

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn others(names: &[&str]) -> Verdict {
        Verdict::Wait(Why::Others(ids(names)))
    }

    /// `a` came back at 100,000 to the store `e`, which is old, and has no calls of its own under way.
    fn returned<'a>(before: Before<'a>, members: &'a [Member], now_ms: u64) -> Return<'a> {
        Return {
            phase: Phase::Draining,
            me: "a",
            epoch: "e",
            before,
            founded_ms: 50_000,
            returned_ms: 100_000,
            now_ms,
            back_for_ms: now_ms - 100_000,
            drained: true,
            members,
            quarantine_ms: QUARANTINE,
        }
    }

    #[test]
    fn goes_on_when_everybody_has_said_that_its_calls_are_over() {
        let known = ids(&["b", "c"]);
        let check = |b: Member, expected: Verdict| {
            let members = [member("a", 100_050, "e", true), b, member("c", 100_010, "e", true)];
            for before in [Before::SameStore(&known), Before::AnotherStore(&known)] {
                assert_eq!(decide(&returned(before, &members, 100_100)), expected, "{before:?}");
            }
        };

        check(member("b", 100_020, "e", true), Verdict::Go);
        check(member("b", 100_020, "e", false), others(&["b"]));
        check(member("b", 99_999, "e", true), others(&["b"]));
        check(member("b", 100_020, "older", true), others(&["b"]));
    }

    #[test]
    fn others_rally_before_anybody_drains() {
        let known = ids(&["b"]);
        let check = |b: Member, expected: Verdict| {
            let members = [member("a", 100_050, "e", false), b];
            let at = returned(Before::SameStore(&known), &members, 100_100);
            let at = Return { phase: Phase::Rallying, drained: false, ..at };
            assert_eq!(decide(&at), expected);
        };

        check(member("b", 100_020, "e", false), Verdict::Go);
        check(member("b", 99_999, "e", true), others(&["b"]));
        check(member("b", 100_020, "older", true), others(&["b"]));
    }

    #[test]
    fn one_that_is_remembered_and_has_not_come_back_is_waited_for_until_the_quarantine_ends() {
        let (known, members) = (ids(&["b"]), [member("a", 100_050, "e", true)]);
        let at = |now| decide(&returned(Before::AnotherStore(&known), &members, now));

        assert_eq!(at(109_999), others(&["b"]));
        assert_eq!(at(110_000), Verdict::Go);
    }

    #[test]
    fn one_that_had_died_before_is_waited_for_only_where_its_leases_are_forgotten() {
        let (nobody, known) = (BTreeSet::new(), ids(&["b"]));
        let dead = [member("b", 95_000, "e", true)];
        let long_dead = [member("b", 80_000, "older", false)];

        assert_eq!(decide(&returned(Before::Nothing, &dead, 100_001)), Verdict::Go);
        assert_eq!(decide(&returned(Before::SameStore(&nobody), &dead, 100_001)), Verdict::Go);
        let forgotten = [member("b", 95_000, "older", true)];
        let at = returned(Before::AnotherStore(&known), &forgotten, 100_001);
        assert_eq!(decide(&at), others(&["b"]));
        let at = returned(Before::AnotherStore(&nobody), &long_dead, 100_001);
        assert_eq!(decide(&at), Verdict::Go);
    }

    #[test]
    fn a_store_that_was_restored_does_not_know_who_was_heard_of_since() {
        let (nobody, known) = (BTreeSet::new(), ids(&["b"]));
        let members = [member("b", 20_000, "older", true)];
        let founded_ms = 98_000;
        for before in [Before::AnotherStore(&known), Before::Nothing, Before::SameStore(&nobody)] {
            let at = |now_ms| decide(&Return { founded_ms, ..returned(before, &members, now_ms) });

            assert_eq!(at(100_001), others(&["b"]), "{before:?}");
            assert_eq!(at(110_000), Verdict::Go, "{before:?}");
        }
    }

    #[test]
    fn one_that_is_on_its_way_back_is_waited_for_by_newcomers_too() {
        let members = [member("b", 99_990, "e", false)];

        assert_eq!(decide(&returned(Before::Nothing, &members, 100_001)), others(&["b"]));
    }

    #[test]
    fn own_calls_are_waited_for_even_past_the_quarantine() {
        let at = Return { drained: false, ..returned(Before::Nothing, &[], 900_000) };

        assert_eq!(decide(&at), Verdict::Wait(Why::OwnCalls));
    }

    #[test]
    fn a_newcomer_gives_others_the_time_to_find_a_new_store() {
        let new = Return { founded_ms: 100_000, ..returned(Before::Nothing, &[], 100_000) };
        assert_eq!(decide(&new), Verdict::Wait(Why::NewStore));
        assert_eq!(decide(&Return { now_ms: 101_500, ..new.clone() }), Verdict::Go);

        let nobody = BTreeSet::new();
        let alone = Return { before: Before::AnotherStore(&nobody), ..new };
        assert_eq!(decide(&alone), Verdict::Go, "it knows that there was nobody else");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nobody_wait_for_ever() {
        let known = ids(&["b"]);
        let at = Return {
            now_ms: 5_000,
            back_for_ms: QUARANTINE,
            ..returned(Before::AnotherStore(&known), &[], 100_000)
        };

        assert_eq!(decide(&at), Verdict::Go);
    }

    proptest! {
        /// Nobody's call from before can still write when another one is granted a lease.
        #[test]
        fn no_lease_while_a_call_from_before_may_write(
            heard in 90_000u64..111_000, now in 100_000u64..115_000, drained in any::<bool>(), same in any::<bool>(),
        ) {
            let known = ids(&["b"]);
            let members = [member("b", heard, if same { "e" } else { "older" }, drained)];

            let verdict = decide(&returned(Before::AnotherStore(&known), &members, now));

            if verdict == Verdict::Go {
                let said_so = drained && same && heard >= 100_000;
                let over = now >= 110_000 || same && heard + QUARANTINE <= now;
                prop_assert!(said_so || over);
            }
        }

        #[test]
        fn what_may_go_on_may_go_on_later(heard in 90_000u64..111_000, now in 100_000u64..115_000, later in 0u64..20_000) {
            let (known, members) = (ids(&["b"]), [member("b", heard, "e", true)]);
            let at = |now| decide(&returned(Before::SameStore(&known), &members, now));

            if at(now) == Verdict::Go {
                prop_assert_eq!(at(now + later), Verdict::Go);
            }
        }
    }
}
