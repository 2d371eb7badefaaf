//! Where log lines go: a bounded queue, and a thread that writes it to stderr.
//!
//! Writing stderr directly would stop a request whenever whoever reads it (a collector, a terminal) stops reading. Here
//! a line costs a copy; when the queue is full the line is dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written: under a megabyte, and some seconds of a noisy log.
const MAX_LINES: usize = 1024;
/// How long [`flush`] waits at most.
const FLUSH: Duration = Duration::from_secs(1);
/// How long [`flush`] waits for room before it asks again.
const FLUSH_RETRY: Duration = Duration::from_millis(10);

static STDERR: OnceLock<Sink> = OnceLock::new();

enum Message {
    Line(Vec<u8>),
    /// Answered once everything before it is written.
    Flush(SyncSender<()>),
}

/// The entrance of the queue.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    queue: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

/// Lines of this process that did not get to stderr.
pub(super) fn dropped() -> u64 {
    STDERR.get().map_or(0, Sink::dropped)
}

/// The sink for stderr, started if it does not run yet.
pub(super) fn stderr() -> io::Result<Sink> {
    if let Some(sink) = STDERR.get() {
        return Ok(sink.clone());
    }
    let sink = Sink::start(io::stderr())?;
    Ok(STDERR.get_or_init(|| sink).clone())
}

/// Waits, for a second at most, until every line so far is written. For the end of the process.
pub(super) fn flush() {
    if let Some(sink) = STDERR.get() {
        sink.flush();
    }
}

impl Sink {
    fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = sync_channel(MAX_LINES);
        let thread = std::thread::Builder::new().name("interlock-log".to_owned());
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        thread.spawn(move || write_all(&lines, output, &lost))?;
        Ok(Self { queue, dropped })
    }

    fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether everything is written.
    fn flush(&self) -> bool {
        let (done, written) = sync_channel(1);
        for _ in 0..FLUSH.as_millis() / FLUSH_RETRY.as_millis() {
            match self.queue.try_send(Message::Flush(done.clone())) {
                Ok(()) => return written.recv_timeout(FLUSH).is_ok(),
                Err(TrySendError::Full(_)) => std::thread::sleep(FLUSH_RETRY),
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        false
    }
}

/// Ends when the last sink is gone. An output that fails takes no harm from further tries.
fn write_all(lines: &Receiver<Message>, mut output: impl Write, lost: &AtomicU64) {
    while let Ok(message) = lines.recv() {
        match message {
            Message::Line(line) => {
                if output.write_all(&line).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Message::Flush(done) => {
                // Who asked may have given up.
                done.try_send(()).ok();
            }
        }
    }
}

impl Write for Sink {
    /// Takes one whole line, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    struct Pages(Sender<Vec<u8>>);

    impl Write for Pages {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flush_waits_for_every_line_before_it() {
        let (pages, written) = channel();
        let mut sink = Sink::start(Pages(pages)).unwrap();

        for n in 0..100 {
            sink.write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        assert!(sink.flush());

        assert_eq!(written.try_iter().count(), 100);
    }

    #[test]
    fn a_reader_that_is_stuck_stops_nobody_and_what_is_lost_is_counted() {
        let (unblock, blocked) = channel();
        let mut sink = Sink::start(Stuck(blocked)).unwrap();

        for _ in 0..2 * MAX_LINES {
            sink.write_all(b"line\n").unwrap();
        }

        assert!(sink.dropped() >= MAX_LINES as u64 - 1, "one may be in the writer's hands");
        drop(unblock);
    }
}
