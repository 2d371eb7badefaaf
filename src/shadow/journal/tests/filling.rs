//! Journals that get more than they hold.

use super::*;

over_every_store! {
    a_full_journal_keeps_the_latest_and_says_so
    what_was_seen_before_it_was_pushed_out_is_settled
    a_claim_that_is_made_again_counts_from_either_answer
    what_was_pushed_out_unseen_is_missed_by_the_next_check
    a_full_journal_can_be_begun_anew_while_it_fills
}

const FULL: u64 = MAX_ENTRIES as u64;

/// Appends so many updates, from that one on.
async fn fill(sidecar: &Sidecar, from: u64, count: u64) {
    sidecar.append(&key("a"), updates(from..from + count)).await;
}

async fn a_full_journal_keeps_the_latest_and_says_so(store: &impl Store) {
    let sidecar = Sidecar::at(store, "one").await;
    fill(&sidecar, 0, FULL).await;
    let full = sidecar.claim(&key("a")).await.unwrap();
    assert_eq!((full.count, full.overflowed), (MAX_ENTRIES, false), "so much it holds");

    fill(&sidecar, FULL, 1).await;
    fill(&sidecar, FULL + 1, 2000).await;

    let claimed = sidecar.claim(&key("a")).await.unwrap();
    assert_eq!((claimed.count, claimed.overflowed), (MAX_ENTRIES, true));
    assert_eq!(numbers_of(&claimed.entries), (2002..FULL + 2001).collect::<Vec<_>>());
    assert!(sidecar.settle(&key("a"), &claimed, vec![update(1)]).await);
    let after = sidecar.claim(&key("a")).await.unwrap();
    assert_eq!((after.count, after.overflowed), (1, false), "a check begins it anew");
}

async fn what_was_seen_before_it_was_pushed_out_is_settled(store: &impl Store) {
    for more in [1, 2, 500, FULL - 2] {
        let sidecar = Sidecar::at(store, &format!("by-{more}")).await;
        fill(&sidecar, 0, FULL).await;
        let claimed = sidecar.claim(&key("a")).await.unwrap();

        // In two steps, as it is then pushed out twice.
        fill(&sidecar, FULL, more / 2).await;
        fill(&sidecar, FULL + more / 2, more - more / 2).await;
        assert!(sidecar.settle(&key("a"), &claimed, Vec::new()).await);

        let after = sidecar.claim(&key("a")).await.unwrap();
        assert_eq!(numbers_of(&after.entries), (FULL..FULL + more).collect::<Vec<_>>());
        assert!(!after.overflowed, "by {more}");
        assert!(sidecar.settle(&key("a"), &after, Vec::new()).await);
    }
}

async fn a_claim_that_is_made_again_counts_from_either_answer(store: &impl Store) {
    for by_the_first in [true, false] {
        let sidecar = Sidecar::at(store, &format!("{by_the_first}")).await;
        fill(&sidecar, 0, FULL).await;
        let first = sidecar.claim(&key("a")).await.unwrap();
        fill(&sidecar, FULL, 10).await;
        let second = sidecar.claim(&key("a")).await.unwrap();
        fill(&sidecar, FULL + 10, 10).await;

        let claimed = if by_the_first { &first } else { &second };
        assert!(sidecar.settle(&key("a"), claimed, Vec::new()).await);

        let after = sidecar.claim(&key("a")).await.unwrap();
        let left = if by_the_first { FULL } else { FULL + 10 };
        assert_eq!(numbers_of(&after.entries), (left..FULL + 20).collect::<Vec<_>>());
        assert!(!after.overflowed);
        assert!(sidecar.settle(&key("a"), &after, Vec::new()).await);
    }
}

async fn what_was_pushed_out_unseen_is_missed_by_the_next_check(store: &impl Store) {
    let sidecar = Sidecar::at(store, "one").await;
    fill(&sidecar, 0, 10).await;
    let claimed = sidecar.claim(&key("a")).await.unwrap();

    fill(&sidecar, 10, FULL).await;
    assert!(sidecar.settle(&key("a"), &claimed, Vec::new()).await);

    // The first ten were seen; of the others the first one had to go for the word of it.
    let after = sidecar.claim(&key("a")).await.unwrap();
    assert_eq!(numbers_of(&after.entries), (11..FULL + 10).collect::<Vec<_>>());
    assert!(after.overflowed);
}

async fn a_full_journal_can_be_begun_anew_while_it_fills(store: &impl Store) {
    let sidecar = Sidecar::at(store, "one").await;
    fill(&sidecar, 0, 3 * FULL).await;
    let claimed = sidecar.claim(&key("a")).await.unwrap();
    assert!(claimed.overflowed);

    fill(&sidecar, 3 * FULL, 3).await;
    assert!(sidecar.settle(&key("a"), &claimed, Vec::new()).await);

    let after = sidecar.claim(&key("a")).await.unwrap();
    assert_eq!(numbers_of(&after.entries), [3 * FULL, 3 * FULL + 1, 3 * FULL + 2]);
    assert!(!after.overflowed);
}
