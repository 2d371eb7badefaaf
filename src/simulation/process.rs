//! A process: tasks that stand still together, and die together.

use crate::watch;
use tokio::task::LocalSet;

/// What becomes of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    /// None of its tasks runs, and its clock goes on.
    Frozen,
    /// Its tasks are gone, without a word.
    Killed,
}

/// Runs a process's tasks until they have ended or it is killed.
pub(super) async fn run(mut tasks: LocalSet, mut life: watch::Receiver<Life>) {
    loop {
        let now = *life.borrow_and_update();
        match now {
            Life::Killed => return,
            Life::Frozen => {
                if life.changed().await.is_err() {
                    return;
                }
            }
            Life::Running => tokio::select! {
                biased;
                changed = life.changed() => if changed.is_err() { return },
                () = &mut tasks => return,
            },
        }
    }
}
