//! What a turn is clear of, alone and by threads that race.

use std::thread;

use super::*;
use crate::domain::percent::Percent;

const fn at(version: u64, step: u32) -> Turn {
    Turn { version, step }
}

fn state(turn: Turn) -> FlagState {
    let Turn { version, step } = turn;
    FlagState { version, step, ..FlagState::initial(Percent::ZERO, 0) }
}

fn ledger() -> Arc<Ledger> {
    Arc::new(Ledger::new(&[Arc::new(state(at(1, 0)))]))
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_clear_when_the_calls_from_before_have_ended() {
    let ledger = ledger();
    let desk = Desk::new(Arc::clone(&ledger));
    let call = desk.enter(0, at(1, 0)).unwrap();
    assert_eq!(ledger.progress(0).unwrap().clear, at(1, 0));

    ledger.publish(0, &state(at(2, 0)));
    tokio::time::advance(Duration::from_millis(2_100)).await;

    let print = state(at(2, 0)).fingerprint();
    let waiting =
        Progress { applied: at(2, 0), state: print, clear: at(1, 0), calls: 1, oldest_ms: 2_100 };
    assert_eq!(ledger.progress(0), Some(waiting));
    drop(call);
    let clear =
        Progress { applied: at(2, 0), state: print, clear: at(2, 0), calls: 0, oldest_ms: 0 };
    assert_eq!(ledger.progress(0), Some(clear));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_counts_until_its_write_has_landed() {
    const SETTLE: Duration = Duration::from_secs(5);
    let ledger = ledger();
    let desk = Desk::new(Arc::clone(&ledger));
    let call = desk.enter(0, at(1, 0)).unwrap();
    ledger.publish(0, &state(at(1, 1)));

    call.leave_open(SETTLE);
    drop(call);

    assert_eq!(ledger.progress(0).unwrap().clear, at(1, 0));
    tokio::time::advance(SETTLE - Duration::from_millis(1)).await;
    assert_eq!(ledger.progress(0).unwrap().clear, at(1, 0));
    tokio::time::advance(Duration::from_millis(3)).await;
    assert_eq!(ledger.progress(0).unwrap().clear, at(1, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decided_by_a_turn_that_was_passed() {
    let ledger = ledger();
    let desk = Desk::new(Arc::clone(&ledger));
    let before = desk.enter(0, at(1, 0)).unwrap();
    drop(before);
    ledger.publish(0, &state(at(2, 0)));

    assert!(desk.enter(0, at(1, 0)).is_none());

    assert_eq!(ledger.progress(0).unwrap().clear, at(2, 0));
    assert!(desk.enter(0, at(2, 0)).is_some());
}

#[test]
fn turns_keep_their_order_as_numbers() {
    let turns = [at(1, 0), at(1, 1), at(1, 9), at(2, 0), at((1 << 53) - 1, 3)];

    assert!(turns.map(code).is_sorted());
    assert_eq!(turns.map(|it| turn(code(it))), turns);
}

/// What RCU promises, by threads that race: when a turn is clear, no call of an earlier one is under way.
#[test]
fn no_call_slips_past_the_barrier() {
    const VERSIONS: u64 = 3_000;
    let ledger = ledger();
    let (stop, present) = (AtomicBool::new(false), AtomicU64::new(1));
    let running = [const { AtomicU64::new(0) }; 3];
    thread::scope(|scope| {
        for running in &running {
            scope.spawn(|| {
                let desk = Desk::new(Arc::clone(&ledger));
                while !stop.load(SeqCst) {
                    // The snapshot, read before it is counted: it may be old by then.
                    let version = present.load(SeqCst);
                    if let Some(call) = desk.enter(0, at(version, 0)) {
                        running.store(version, SeqCst);
                        std::hint::spin_loop();
                        running.store(0, SeqCst);
                        drop(call);
                    }
                }
            });
        }
        for version in 2..=VERSIONS {
            present.store(version, SeqCst);
            ledger.publish(0, &state(at(version, 0)));
            while ledger.progress(0).unwrap().clear < at(version, 0) {
                thread::yield_now();
            }
            for running in &running {
                let seen = running.load(SeqCst);
                assert!(seen == 0 || seen >= version, "{seen} runs past {version}");
            }
        }
        stop.store(true, SeqCst);
    });
}
