//! The log: one line an event on stderr, as JSON or for people.
//!
//! The log is the process's, not a sidecar's: the first [`init`] sets it up, later ones only check their filter.

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;

use super::sink;

/// The target of every line of ours, for filters.
pub const TARGET: &str = "interlock";

/// The target of the audit trail. It is written at any level of the log, unless a filter names it.
pub const AUDIT_TARGET: &str = "interlock::audit";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line: `timestamp`, `level`, `target`, `message`, `event` and the event's facts.
    #[default]
    Json,
    /// For people; coloured on a terminal.
    Text,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A word of the filter is neither a level nor a target.
    #[error(
        "log filter {filter:?}: {word:?} is no level; write off, error, warn, info, debug or trace, or target=level"
    )]
    NotALevel {
        /// The whole filter.
        filter: String,
        /// The word.
        word: String,
    },
    /// The filter does not parse.
    #[error(
        "log filter {filter:?} does not parse; write a level, such as info, or target=level, separated by commas"
    )]
    Filter {
        /// The whole filter.
        filter: String,
        /// What the parser said.
        source: ParseError,
    },
    /// The thread that writes the log did not start.
    #[error("the thread that writes the log did not start")]
    Thread(#[source] std::io::Error),
}

/// Sets up the log of this process, unless that was done before.
///
/// # Errors
/// For a filter that makes no sense, also where the log was set up before; where a thread can't be started.
pub fn init(filter: &str, format: LogFormat) -> Result<(), LogError> {
    let filter = parse(filter)?;
    let sink = sink::stderr().map_err(LogError::Thread)?;
    let colour = std::io::stderr().is_terminal();
    // It fails where the log was set up before: that one goes on.
    set_global_default(subscriber(filter, format, sink, colour)).ok();
    Ok(())
}

/// Waits, for about a second at most, until every line so far is written. For the end of the process.
pub fn flush() {
    sink::flush();
}

/// A bare word other than a level would name a target and silence everything else: more likely it is a misspelt level.
fn parse(text: &str) -> Result<EnvFilter, LogError> {
    let is_fine = |word: &str| {
        word.contains(['=', '[', ':']) || word == TARGET || word.parse::<LevelFilter>().is_ok()
    };
    if !text.contains('[')
        && let Some(word) =
            text.split(',').map(str::trim).find(|word| word.is_empty() || !is_fine(word))
    {
        return Err(LogError::NotALevel { filter: text.to_owned(), word: word.to_owned() });
    }
    let with_audit = match text.contains(AUDIT_TARGET) {
        true => text.to_owned(),
        false => format!("{text},{AUDIT_TARGET}=info"),
    };
    EnvFilter::try_new(with_audit)
        .map_err(|source| LogError::Filter { filter: text.to_owned(), source })
}

fn subscriber<W>(
    filter: EnvFilter,
    format: LogFormat,
    writer: W,
    colour: bool,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colour);
    match format {
        LogFormat::Json => {
            let json = builder.json().flatten_event(true);
            Box::new(json.with_current_span(false).with_span_list(false).finish())
        }
        LogFormat::Text => Box::new(builder.finish()),
    }
}

#[cfg(test)]
pub(crate) mod capture {
    //! Runs code with its log kept.

    use super::*;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `run` writes under a filter.
    pub(crate) fn lines(filter: &str, format: LogFormat, run: impl FnOnce()) -> Vec<String> {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = subscriber(parse(filter).unwrap(), format, move || writer.clone(), false);
        tracing::subscriber::with_default(subscriber, run);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_line_is_flat_and_has_time_level_target_message_and_fields() {
        let lines = capture::lines("info", LogFormat::Json, || {
            tracing::warn!(target: TARGET, event = "tried", count = 3, said = "a\n\"b\"", "a trial");
        });

        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(lines.len(), 1);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["target"], "interlock");
        assert_eq!(line["message"], "a trial");
        assert_eq!((&line["event"], &line["count"]), (&"tried".into(), &3.into()));
        assert_eq!(line["said"], "a\n\"b\"");
    }

    #[test]
    fn a_text_line_stays_one_line_whatever_is_in_it() {
        let lines = capture::lines("info", LogFormat::Text, || {
            tracing::info!(target: TARGET, said = "a\nb\u{1b}[2J", "a trial");
        });

        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("a trial") && !lines[0].contains('\u{1b}'), "{}", lines[0]);
    }

    #[test]
    fn the_filter_decides_what_is_written() {
        let emit = || {
            tracing::info!(target: TARGET, "ours");
            tracing::info!(target: "other", "theirs");
        };

        assert_eq!(capture::lines("warn", LogFormat::Text, emit).len(), 0);
        assert_eq!(capture::lines("warn,interlock=info", LogFormat::Text, emit).len(), 1);
        assert_eq!(capture::lines("info", LogFormat::Text, emit).len(), 2);
    }

    #[test]
    fn the_audit_trail_is_written_at_any_level_unless_a_filter_names_it() {
        let emit = || {
            tracing::info!(target: AUDIT_TARGET, "audit");
            tracing::info!(target: TARGET, "ours");
        };
        let count = |filter| capture::lines(filter, LogFormat::Json, emit).len();

        for filter in ["off", "error", "interlock=warn", "warn,other=debug"] {
            assert_eq!(count(filter), 1, "{filter}");
        }
        assert_eq!(count("info"), 2);
        assert_eq!(count("info,interlock::audit=off"), 1);
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_named() {
        for filter in ["inof", "", "info,", "interlock=loud", "info,dbug", "interlock::x=,"] {
            let error = parse(filter).unwrap_err().to_string();

            assert!(error.contains(&format!("{filter:?}")), "{error}");
        }
    }

    #[test]
    fn the_log_can_be_set_up_twice_and_still_refuses_a_bad_filter() {
        assert!(init("off", LogFormat::Text).is_ok());
        assert!(init("error", LogFormat::Json).is_ok());
        assert!(init("inof", LogFormat::Json).is_err());

        flush();
    }
}
