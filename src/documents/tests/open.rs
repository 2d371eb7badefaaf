//! Values that may have become others since the edit was planned.

use super::*;
use Anchor::{Element, Prefix, Suffix};

#[test]
fn a_value_that_is_left_open_is_replaced_whatever_it_became() {
    on_each_server(async |trial| {
        for became in ["\"\"", "\"\\\"},\\\\\"", "\"\u{e9}%1\""] {
            trial.set(JOURNEY, DOCUMENT).await;
            let edit = left_open(trial, Element, S1_STATUS, b"}", b"\"Off\"").await;
            let edit = Edit { ask: ask(became), ..edit };
            trial.set(JOURNEY, &with(S1, &[S1_STATUS, became.as_bytes(), b"}"].concat())).await;

            assert_eq!(trial.edit(&edit).await, Edited::Applied, "{became}");
            assert_eq!(trial.get(JOURNEY).await.unwrap(), with(S1, S1_OFF), "{became}");
        }
    });
}

/// It may have been given up, and its field set by others since.
#[test]
fn a_late_edit_is_made_on_the_value_that_it_was_planned_on_or_not_at_all() {
    let newer = with(S1, &[S1_STATUS, b"\"Newer\"}"].concat());
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        let edit = left_open(trial, Element, S1_STATUS, b"}", b"\"Off\"").await;
        let Fence { lease, .. } = edit.fence.clone();
        let late = Edit { fence: Fence { lease, read_ms: 1, known: clock::now() }, ..edit };

        trial.set(JOURNEY, &newer).await;
        let changed = trial.edit(&late).await;
        let kept = trial.get(JOURNEY).await.unwrap();
        trial.set(JOURNEY, DOCUMENT).await;
        let made = trial.edit(&late).await;

        assert!(matches!(changed, Edited::Changed(_)), "{changed:?}");
        assert_eq!((kept, made), (newer.clone(), Edited::Applied));
        assert_eq!(trial.get(JOURNEY).await.unwrap(), with(S1, S1_OFF));
    });
}

#[test]
fn a_value_that_is_left_open_and_in_doubt_is_not_replaced() {
    let in_doubt: [(&str, Anchor, &[u8], &[u8]); 8] = [
        ("of another kind", Element, b"\"Price\":", b"}"),
        ("another byte behind", Element, b"\"S1\",\"Status\":", b"]"),
        ("nothing ahead", Element, b"", b""),
        ("twice", Element, b"\"Status\":", b"}"),
        ("not at the beginning", Prefix, b"\"S1\",\"Status\":", b"}"),
        ("not at the end", Suffix, b"\"S1\",\"Status\":", b"}"),
        ("more behind than there is", Suffix, b"],\"Status\":", b"}}"),
        ("no value", Element, b"850.50}]", b""),
    ];
    on_each_server(async |trial| {
        trial.set(JOURNEY, DOCUMENT).await;
        for (case, anchor, head, tail) in in_doubt {
            let edit = left_open(trial, anchor, head, tail, b"\"Off\"").await;

            assert!(matches!(trial.edit(&edit).await, Edited::Changed(_)), "{case}");
            assert_eq!(trial.get(JOURNEY).await.unwrap(), DOCUMENT, "{case}");
        }
    });
}
