//! The demo itself: the percentage goes up and back under load, and the losses are counted at each step.

use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::admin::AdminError;
use super::fleet::{FLAG, Fleet, FleetError, Leases};
use super::journey::{DocumentStore, StoreError};
use super::load::{self, BURST, LoadError, LoadPlan, Progress};
use super::plan::{SCRIPT, journey_ids};
use super::report::{LoadReport, Row, StepReport, rows};
use super::screen::{HEADER, Screen, table};
use super::shared;
use super::verdict::{Verdict, verdict};
use crate::config::{RedisConfig, StoreUrl};
use crate::domain::percent::Percent;

/// For the whole script with `--once`, so that starting, running and stopping stay within 40 s.
const ONCE_LIMIT: Duration = Duration::from_secs(32);
/// Between two looks at the progress.
const TICK: Duration = Duration::from_millis(200);
/// Between two rounds of the gentle load.
const GENTLE_PAUSE: Duration = Duration::from_secs(3);

/// What to run.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Where the journey services keep their documents, and the sidecars their flags and leases; in this process without
    /// it.
    pub redis: Option<StoreUrl>,
    /// How many journey services, each with a sidecar beside it.
    pub replicas: u16,
    /// How many journeys.
    pub journeys: u16,
    /// Rounds per journey and step; each is 21 updates at once.
    pub rounds: usize,
    /// End after the script.
    pub once: bool,
    /// Print JSON, one object a line, instead of tables.
    pub json: bool,
}

/// How the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should: the script proved its point, or ran and was then ended by hand.
    Done,
    /// The script ran to its end and did not prove its point.
    NotProved,
    /// Ended by hand, or by its time limit, before the script was through.
    CutShort,
}

/// Why the demo did not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The documents.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The Redis that was asked for.
    #[error(
        "no Redis at {url}: {source}; start one there, or leave out --redis to keep the journeys in this process"
    )]
    NoRedis {
        /// Which one.
        url: StoreUrl,
        /// What went wrong.
        source: StoreError,
    },
    /// The services and sidecars.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// Their flag.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The load.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The output.
    #[error("can't write the output: {0}")]
    Output(#[from] io::Error),
}

/// The result as JSON.
#[derive(Serialize)]
struct JsonReport<'r> {
    replicas: u16,
    journeys: u16,
    documents: &'static str,
    protection: &'static str,
    steps: Vec<JsonStep>,
    proved: bool,
    sentence: &'r str,
}

#[derive(Serialize)]
struct JsonStep {
    percent: f64,
    rows: Vec<Row>,
}

/// What becomes of journeys that the store has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seeding {
    /// All begin anew.
    Anew,
    /// They stay; only those are written that it lacks.
    Missing,
}

/// Opens the store that was chosen and puts the journeys into it.
///
/// # Errors
/// The URL is of another kind of store, or nobody serves there.
pub async fn open_store(
    redis: Option<&StoreUrl>,
    journeys: &[String],
    seeding: Seeding,
) -> Result<DocumentStore, DemoError> {
    let store = redis.map_or_else(|| Ok(DocumentStore::in_process()), DocumentStore::redis)?;
    let documents = store.open();
    let seeded = match seeding {
        Seeding::Anew => documents.seed(journeys).await,
        Seeding::Missing => documents.seed_missing(journeys).await,
    };
    seeded.map_err(|source| match redis {
        Some(url) => DemoError::NoRedis { url: url.clone(), source },
        None => source.into(),
    })?;
    Ok(store)
}

/// Runs the demo until its end, or until `stop`.
pub async fn run<W: Write>(
    options: DemoOptions,
    screen: &mut Screen<W>,
    stop: impl Future<Output = ()>,
) -> Result<Ending, DemoError> {
    let journeys = journey_ids(options.journeys);
    let store = open_store(options.redis.as_ref(), &journeys, Seeding::Anew).await?;
    let shared = options.redis.clone().map(shared::config);
    let fleet = Fleet::start(options.replicas, &store, shared.as_ref()).await?;
    let demo = Demo { options, store, shared, journeys, fleet, progress: Arc::default() };
    let ending = demo.play(screen, stop).await;
    let ended = demo.end(screen).await;
    let ending = ending?;
    ended?;
    Ok(ending)
}

struct Demo {
    options: DemoOptions,
    store: DocumentStore,
    shared: Option<RedisConfig>,
    journeys: Vec<String>,
    fleet: Fleet,
    progress: Arc<Progress>,
}

impl Demo {
    async fn play<W: Write>(
        &self,
        screen: &mut Screen<W>,
        stop: impl Future<Output = ()>,
    ) -> Result<Ending, DemoError> {
        let mut stop = std::pin::pin!(stop);
        let limit = if self.options.once { ONCE_LIMIT } else { Duration::MAX };
        let verdict = tokio::select! {
            biased;
            () = &mut stop => None,
            script = tokio::time::timeout(limit, self.script(screen)) => match script {
                Ok(verdict) => Some(verdict?),
                Err(_) => None,
            },
        };
        let Some(verdict) = verdict else {
            let sentence = "The script was cut short: it proves nothing.";
            let json = serde_json::json!({ "proved": false, "sentence": sentence }).to_string();
            screen.line(if self.options.json { &json } else { sentence })?;
            return Ok(Ending::CutShort);
        };
        if self.options.once {
            return Ok(if verdict.proved { Ending::Done } else { Ending::NotProved });
        }
        tokio::select! {
            biased;
            () = stop => Ok(Ending::Done),
            ended = self.keep_running(screen) => ended,
        }
    }

    /// All steps, and what they proved.
    async fn script<W: Write>(&self, screen: &mut Screen<W>) -> Result<Verdict, DemoError> {
        if !self.options.json {
            self.introduce(screen)?;
            screen.line(HEADER)?;
        }
        self.fleet.admin().together().await?;
        let mut steps = Vec::with_capacity(SCRIPT.len());
        for (index, percent) in SCRIPT.into_iter().filter_map(Percent::from_hundredths).enumerate()
        {
            self.fleet.admin().flip(percent, "a step of the demo's script").await?;
            let label = format!("step {} of {} at {percent}", index + 1, SCRIPT.len());
            let load = self.load(self.options.rounds, &label, screen).await?;
            if !self.options.json {
                table(&percent.to_string(), &load).iter().try_for_each(|row| screen.line(row))?;
            }
            steps.push(StepReport { percent, load });
        }
        let verdict = verdict(&steps, self.options.replicas, self.fleet.leases());
        match self.options.json {
            true => screen.line(&self.json(&steps, &verdict)?)?,
            false => screen.line(&format!("\n{}", verdict.sentence))?,
        }
        Ok(verdict)
    }

    /// Runs the load in its own thread and shows how far it is.
    async fn load<W: Write>(
        &self,
        rounds: usize,
        label: &str,
        screen: &mut Screen<W>,
    ) -> Result<LoadReport, DemoError> {
        let plan = LoadPlan {
            servers: self.fleet.listen_addrs(),
            journeys: self.journeys.clone(),
            rounds,
            store: self.store.clone(),
        };
        let updates = plan.updates();
        let before = self.progress.done.load(Ordering::Relaxed);
        let mut load = load::spawn(plan, Arc::clone(&self.progress));
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                biased;
                report = &mut load => return Ok(report.map_err(|_| LoadError::Thread)??),
                _ = tick.tick() => if !self.options.json {
                    let done = self.progress.done.load(Ordering::Relaxed) - before;
                    screen.progress(&format!("{label}: {done} of {updates} updates"))?;
                },
            }
        }
    }

    /// A round every few seconds, at whatever percentage the flag has been given by hand; never ends by itself.
    async fn keep_running<W: Write>(&self, screen: &mut Screen<W>) -> Result<Ending, DemoError> {
        if !self.options.json {
            self.invite(screen)?;
            screen.line(HEADER)?;
        }
        loop {
            let percents = self.fleet.admin().percents().await?;
            let load = self.load(1, "a round", screen).await?;
            if self.options.json {
                let line = serde_json::json!({ "percents": percents, "rows": rows(&load) });
                screen.line(&line.to_string())?;
            } else {
                let shown = shown_percent(&percents);
                table(&shown, &load).iter().try_for_each(|row| screen.line(row))?;
            }
            tokio::time::sleep(GENTLE_PAUSE).await;
        }
    }

    fn introduce<W: Write>(&self, screen: &mut Screen<W>) -> io::Result<()> {
        let DemoOptions { replicas, journeys, rounds, .. } = self.options;
        let services = match replicas {
            1 => "1 journey service, a sidecar in front of it.".to_owned(),
            _ => format!("{replicas} journey services, a sidecar in front of each."),
        };
        let kept = match &self.shared {
            Some(RedisConfig { url, prefix, .. }) => {
                format!(
                    "Documents, flags and leases are in Redis at {url}; this run's prefix is {prefix}."
                )
            }
            None => "Documents are in this process, flags and leases in each sidecar.".to_owned(),
        };
        screen.line(&format!(
            "{services}\n{kept}\n\
             Per step: {journeys} journeys x {rounds} rounds x {BURST} updates at once (20 segments and the journey's \
             own status).\n\
             A lost update was answered with success and is not in the document afterwards.\n"
        ))
    }

    /// What to try by hand.
    fn invite<W: Write>(&self, screen: &mut Screen<W>) -> io::Result<()> {
        let journey = self.journeys.first().map_or("", String::as_str);
        let admin = self.fleet.admin();
        screen.line("\nStill running, with a round every few seconds; Ctrl-C ends it. In another terminal:\n")?;
        for (listen, admin) in self.fleet.listen_addrs().iter().zip(admin.addrs()) {
            screen.line(&format!(
                "  curl http://{listen}/api/journeys/{journey}\n  \
                   curl -i -X PUT http://{listen}/api/journeys/{journey}/segments/S01/status -d '{{\"status\":\"Departed\"}}'\n  \
                   curl http://{admin}/api/v1/flags/{FLAG}"
            ))?;
        }
        for admin in admin.to_change() {
            screen.line(&format!(
                "  interlock flag set {FLAG} 100% --reason \"try it\" --admin http://{admin}\n  \
                   interlock flag kill {FLAG} --reason \"stop it\" --admin http://{admin}"
            ))?;
        }
        screen.line("")
    }

    /// Stops everything, and takes out of a shared store what this run put there.
    async fn end<W: Write>(self, screen: &mut Screen<W>) -> io::Result<()> {
        self.fleet.stop().await;
        let Some(shared) = &self.shared else { return Ok(()) };
        match shared::clear(shared).await {
            Err(error) if !self.options.json => {
                let (prefix, url) = (&shared.prefix, &shared.url);
                screen.line(&format!("Keys with the prefix {prefix} may be left at {url}: {error}"))
            }
            _ => Ok(()),
        }
    }

    fn json(&self, steps: &[StepReport], verdict: &Verdict) -> io::Result<String> {
        let steps = steps
            .iter()
            .map(|step| JsonStep { percent: step.percent.as_f64(), rows: rows(&step.load) });
        let report = JsonReport {
            replicas: self.options.replicas,
            journeys: self.options.journeys,
            documents: if self.options.redis.is_some() { "redis" } else { "in_process" },
            protection: match self.fleet.leases() {
                Leases::OfEach => "local",
                Leases::Shared => "protected",
            },
            steps: steps.collect(),
            proved: verdict.proved,
            sentence: &verdict.sentence,
        };
        Ok(serde_json::to_string(&report)?)
    }
}

/// One percentage, or `mixed` where the sidecars have been given different ones.
fn shown_percent(percents: &[f64]) -> String {
    match percents {
        [first, rest @ ..] if rest.iter().all(|percent| percent == first) => format!("{first}%"),
        _ => "mixed".to_owned(),
    }
}

#[cfg(test)]
mod tests;
