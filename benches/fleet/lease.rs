//! The price of a lease that nobody else wants: the same update, of many entities, without one and with it.

use std::error::Error;
use std::iter::zip;
use std::time::Duration;

use crate::Settings;
use crate::app::App;
use crate::calls::{CallError, Caller, Updates};
use crate::figures::{middle, show};
use crate::layout::lay_out;
use crate::locker::{EAGER, Locker};
use crate::sidecar::{Fixed, Plan, Sidecar, Site};
use crate::store::{Counted, Redis};
use crate::subject::{Place, Sample, Subject};

/// How many callers there are, one table each.
const CALLERS: [usize; 2] = [1, 32];
/// How many entities each caller goes round: no two share one.
const ENTITIES_PER_CALLER: usize = 1000;
const HEADINGS: [&str; 9] = [
    "update",
    "p50 us",
    "p99 us",
    "p50 adds us",
    "to",
    "updates/s",
    "store calls",
    "sidecar cpu us",
    "store cpu us",
];

/// The rows, in their order, each with the place of what its price is added to.
const ROWS: [(&str, usize); 5] = [
    ("a direct", 0),
    ("b sidecar, 0 %", 0),
    ("c sidecar, leases in Redis", 1),
    ("d sidecar, leases in process", 1),
    ("e direct, polled lock in Redis", 0),
];

/// Measures and prints.
pub(crate) fn measure(settings: &Settings, site: &Site) -> Result<(), Box<dyn Error>> {
    let app = App::start(Duration::ZERO)?;
    let redis = Redis::start(&settings.redis_server, &site.scratch)?;
    let plan = |percent, store, fleet| Plan { percent, fixed: Fixed::Serialize, store, fleet };
    let sidecars = [
        site.start(&app, &plan(0, Some(redis.url()), "legacy"))?,
        site.start(&app, &plan(100, Some(redis.url()), "leases"))?,
        site.start(&app, &plan(100, None, "none"))?,
    ];
    for callers in CALLERS {
        let mut subjects = subjects(&app, &redis, &sidecars, callers)?;
        let place = Place { app: &app, redis: &redis };
        place.measure(&mut subjects, settings.rounds, settings.run)?;
        println!("\nlease, {callers} callers, per update:\n{}", table(&subjects));
    }
    Ok(())
}

fn subjects(
    app: &App,
    redis: &Redis,
    sidecars: &[Sidecar; 3],
    count: usize,
) -> Result<Vec<Subject>, Box<dyn Error>> {
    let callers = |address| {
        let entities = |caller| Updates::of(caller * ENTITIES_PER_CALLER, ENTITIES_PER_CALLER);
        let callers = (0..count).map(|caller| Caller::new(address, entities(caller)));
        callers.collect::<Result<Vec<_>, CallError>>()
    };
    let locking = |caller: Caller| Ok(caller.locking(Locker::new(redis, &EAGER)?, None));
    let locked =
        callers(app.address)?.into_iter().map(locking).collect::<Result<_, CallError>>()?;

    let [legacy, leases, local] = sidecars;
    let through = |row: usize, sidecar: &Sidecar| {
        let callers = callers(sidecar.address())?;
        Ok::<_, CallError>(Subject { sidecars: vec![sidecar.id()], ..named(row, callers) })
    };
    Ok(vec![
        named(0, callers(app.address)?),
        through(1, legacy)?,
        Subject { counted: Some(Counted::Scripts), ..through(2, leases)? },
        through(3, local)?,
        Subject { counted: Some(Counted::ScriptsAndSets), ..named(4, locked) },
    ])
}

fn named(row: usize, callers: Vec<Caller>) -> Subject {
    Subject::new(ROWS[row].0, callers)
}

fn table(subjects: &[Subject]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    for (subject, (_, base)) in zip(subjects, ROWS) {
        let base = &subjects[base];
        let samples = || subject.samples.iter();
        // Round by round: what disturbs a whole round disturbs both of the pair.
        let pairs = || zip(&subject.samples, &base.samples);
        let added = pairs().map(|(it, base)| it.p50_us() - base.p50_us());
        let is_base = subject.name == base.name;
        let unless = |without: bool, text: String| if without { "-".to_owned() } else { text };
        lines.push([
            subject.name.to_owned(),
            show(samples().map(Sample::p50_us), 0),
            show(samples().map(Sample::p99_us), 0),
            unless(is_base, show(added, 0)),
            unless(is_base, base.name.chars().take(1).collect()),
            show(samples().map(Sample::rate), 0),
            unless(subject.counted.is_none(), show(samples().map(Sample::store_calls), 2)),
            unless(
                subject.sidecars.is_empty(),
                format!("{:.1}", middle(samples().map(Sample::sidecar_us))),
            ),
            unless(
                subject.counted.is_none(),
                format!("{:.1}", middle(samples().map(Sample::store_us))),
            ),
        ]);
    }
    lay_out(&lines)
}
