//! One client's connection to the server.

use crate::watch;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::protocol::take_command;
use super::{Inner, Mode, Subscriber};

/// Takes a client off the list when its connection ends.
struct Listed<'s> {
    inner: &'s Inner,
    number: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.inner.state.connections.borrow_mut().remove(&self.number);
    }
}

/// Answers commands, and passes on what is published.
pub(super) async fn serve(inner: &Inner, mut stream: DuplexStream) {
    let state = &inner.state;
    let number = state.next_connection.get();
    state.next_connection.set(number + 1);
    let (out, mut outgoing) = mpsc::unbounded_channel();
    let subscriber = Subscriber { channels: Vec::new(), out: out.clone() };
    state.connections.borrow_mut().insert(number, subscriber);
    let _listed = Listed { inner, number };
    let mut mode = state.mode.subscribe();
    let mut incoming = Vec::new();
    loop {
        tokio::select! {
            biased;
            () = down(state.mode.subscribe()) => return,
            Some(bytes) = outgoing.recv() => {
                let bytes: Vec<u8> = bytes;
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            read = stream.read_buf(&mut incoming) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                while let Some(words) = take_command(&mut incoming) {
                    if mode.wait_for(|mode| *mode != Mode::Stalled).await.is_err() {
                        return;
                    }
                    if *mode.borrow() == Mode::Down {
                        return;
                    }
                    let mut reply = Vec::new();
                    inner.execute(number, words).write(&mut reply);
                    // Behind what was published before.
                    out.send(reply).ok();
                }
            }
        }
    }
}

async fn down(mut mode: watch::Receiver<Mode>) {
    drop(mode.wait_for(|mode| *mode == Mode::Down).await);
}
