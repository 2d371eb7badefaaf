//! `interlock demo`: what can be asked of it, and its exit code.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{DONE, FAILED, Output, REFUSED, output};
use crate::config::{StoreUrl, StoreUrlFault, mask_url};
use crate::demo::journey::JourneyOptions;
use crate::demo::plan::journey_ids;
use crate::demo::screen::Screen;
use crate::demo::script::{self, DemoError, DemoOptions, Ending, Seeding};
use crate::demo::serve;

/// The longest window of the race: beyond it nobody waits for an answer.
const MAX_WINDOW: Duration = Duration::from_secs(10);

/// Watch updates get lost, and a rollout end that
///
/// Starts a small legacy journey service whose updates race, and a sidecar in front of it, or several of both. On each journey 20 segment
/// updates and one of the journey's own status arrive at once; each is answered with 200. The flag `journey-updates` is
/// stepped 0, 10, 50, 100 and 0 %, and after each step the documents are read: an acknowledged update that isn't there
/// is lost. Everything listens on loopback only.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  interlock demo                       the script, then a load until Ctrl-C: flip the flag by hand
  interlock demo --once                the script, exit code 0 only where it proved its point
  interlock demo --once --replicas 3   why leases in each sidecar protect one replica only
  interlock demo --once --replicas 3 --redis redis://127.0.0.1:6379
                                       the same with leases and flags that all sidecars share
  interlock demo --serve 127.0.0.1:5000 --redis redis://127.0.0.1:6379
                                       only the legacy service, for an `interlock run` in front")]
pub(super) struct DemoArgs {
    /// Keep the journeys in this Redis instead of in this process, and let the sidecars share flags and leases there.
    /// Overwrites the keys journey:J0001 and so on, and deletes its others at the end; with --serve it only adds journeys
    /// that are missing, and deletes nothing.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Run the script once, within 40 s. Exit code 0 only where updates were lost at 0 %, and at 100 % none was lost
    /// and none failed.
    #[arg(long)]
    once: bool,
    /// Journey services, each with a sidecar beside it; all work on the same journeys. 1 to 16. More than one needs --redis
    /// to be protected.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16))]
    replicas: u16,
    /// Journeys to work on, 1 to 100. Each takes up to 84 open files (see `ulimit -n`).
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    journeys: u16,
    /// Rounds of 21 updates on each journey at each step. 1 to 100.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// `json` prints one object when the script ends, and one for each round after it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
    /// Run only the legacy journey service at this address, until Ctrl-C.
    #[arg(long, value_name = "ADDR", value_parser = address, conflicts_with_all = ["once", "replicas", "rounds", "output"])]
    serve: Option<SocketAddr>,
    /// With --serve: how long an update thinks between reading and writing its document, up to 10s.
    #[arg(long, value_name = "TIME", requires = "serve", value_parser = window, default_value = "10ms")]
    window: Duration,
    /// With --serve: every update leaves its X-Update-Id in the Log of the part that it changed.
    #[arg(long, requires = "serve")]
    update_log: bool,
}

/// Why a text is no window.
#[derive(Debug, thiserror::Error)]
enum WindowError {
    /// Not a duration.
    #[error("{0}; write a duration such as 10ms")]
    NotADuration(#[from] humantime::DurationError),
    /// Longer than any call would wait.
    #[error("longer than {} s", MAX_WINDOW.as_secs())]
    TooLong,
}

/// Why a text is no address.
#[derive(Debug, thiserror::Error)]
#[error("write an IP address and a port, such as 127.0.0.1:5000")]
struct AddressError;

fn address(text: &str) -> Result<SocketAddr, AddressError> {
    text.parse().map_err(|_| AddressError)
}

fn window(text: &str) -> Result<Duration, WindowError> {
    let window = humantime::parse_duration(text)?;
    if window > MAX_WINDOW { Err(WindowError::TooLong) } else { Ok(window) }
}

/// Why a text is no Redis.
#[derive(Debug, thiserror::Error)]
#[error("interlock: --redis {url}: {fault}")]
struct RedisError {
    /// As given, what may be a password masked.
    url: String,
    fault: StoreUrlFault,
}

/// Not a parser of the argument: those repeat what they were given, password and all.
fn redis(url: &str) -> Result<StoreUrl, RedisError> {
    url.parse().map_err(|fault| RedisError { url: mask_url(url), fault })
}

/// Runs `interlock demo`.
pub(super) async fn run(args: DemoArgs) -> ExitCode {
    let redis = match args.redis.as_deref().map(redis).transpose() {
        Ok(redis) => redis,
        Err(error) => return output::stderr(error, REFUSED),
    };
    match Box::pin(dispatch(args, redis)).await {
        Ok(Ending::Done) => ExitCode::from(DONE),
        Ok(Ending::NotProved | Ending::CutShort) => ExitCode::from(FAILED),
        Err(error) => output::failed(error),
    }
}

async fn dispatch(args: DemoArgs, redis: Option<StoreUrl>) -> Result<Ending, DemoError> {
    let mut screen = Screen::stdout();
    if let Some(listen) = args.serve {
        let journeys = journey_ids(args.journeys);
        let store = script::open_store(redis.as_ref(), &journeys, Seeding::Missing).await?;
        let options =
            JourneyOptions { listen, store, window: args.window, update_log: args.update_log };
        serve::run(options, &journeys, &mut screen, stop_signal()).await?;
        return Ok(Ending::Done);
    }
    let options = DemoOptions {
        redis,
        replicas: args.replicas,
        journeys: args.journeys,
        rounds: usize::from(args.rounds),
        once: args.once,
        json: args.output == Output::Json,
    };
    script::run(options, &mut screen, stop_signal()).await
}

/// Resolves at Ctrl-C or SIGTERM.
async fn stop_signal() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => terminated.recv().await,
            // Can't be caught, so it ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: DemoArgs,
    }

    fn parse(words: &str) -> Result<DemoArgs, clap::Error> {
        let words = std::iter::once("demo").chain(words.split_whitespace());
        Command::try_parse_from(words).map(|command| command.args)
    }

    #[test]
    fn takes_what_the_help_says() {
        let check = |words: &str| assert!(parse(words).is_ok(), "{words}");

        check("");
        check("--once --replicas 16 --output json");
        check("--redis redis://127.0.0.1:6379");
        check("--serve 127.0.0.1:5000 --redis redis://127.0.0.1:6379 --journeys 3");
        check("--serve 127.0.0.1:5000 --window 50ms --update-log");
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let check = |words: &str| assert!(parse(words).is_err(), "{words}");

        check("--replicas 0");
        check("--replicas 17");
        check("--journeys 101");
        check("--rounds 0");
        check("--serve nowhere");
        check("--serve 127.0.0.1:5000 --once");
        check("--update-log");
        check("--window 1s");
        check("--serve 127.0.0.1:5000 --window 11s");
        check("--serve 127.0.0.1:5000 --window 10");
    }

    #[test]
    fn an_address_without_its_parts_is_refused_with_an_example() {
        let error = parse("--serve 5000").unwrap_err().to_string();

        assert!(error.contains("such as 127.0.0.1:5000"), "{error}");
    }

    #[test]
    fn a_redis_that_is_none_is_named_without_its_password() {
        let check = |url: &str, part: &str| {
            let error = redis(url).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        };

        check("http://127.0.0.1:6379", "such as \"redis://127.0.0.1:6379\"");
        check("redis://app:secret", "redis://app:***: its port");
        check("redis://:sec/secret@r", "redis://:***@r: its user or password");
    }

    #[test]
    fn one_replica_and_ten_journeys_unless_told_otherwise() {
        let args = parse("").unwrap();

        assert_eq!((args.replicas, args.journeys, args.once), (1, 10, false));
    }
}
