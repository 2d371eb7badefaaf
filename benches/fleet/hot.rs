//! One entity that all callers want: how near the fleet comes to the app's own pace, and at what price.

use std::error::Error;
use std::iter::zip;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::Settings;
use crate::app::App;
use crate::calls::{CallError, Caller, Updates};
use crate::figures::show;
use crate::layout::lay_out;
use crate::locker::{EAGER, Locker, PATIENT};
use crate::sidecar::{Fixed, Plan, Sidecar, Site};
use crate::store::{Counted, Redis};
use crate::subject::{Place, Sample, Subject};

/// How long the app takes for an update.
const THINK: Duration = Duration::from_millis(2);
/// How many callers there are at once.
const CALLERS: usize = 32;
/// How many sidecars, or processes of the peer.
const GROUPS: usize = 3;
/// The one that all callers update.
const ENTITY: usize = 7;
const HEADINGS: [&str; 9] = [
    "32 callers, one entity",
    "updates/s",
    "of the ceiling",
    "p50 ms",
    "p99 ms",
    "longest ms",
    "store calls/update",
    "least/most served",
    "overlaps",
];

/// Measures and prints.
pub(crate) fn measure(settings: &Settings, site: &Site) -> Result<(), Box<dyn Error>> {
    let app = App::start(THINK)?;
    let redis = Redis::start(&settings.redis_server, &site.scratch)?;
    let plan = |fleet| {
        let (fixed, store) = (Fixed::Serialize, Some(redis.url()));
        Plan { percent: 100, fixed, store, fleet }
    };
    let alone = site.start(&app, &plan("one"))?;
    let fleet =
        (0..GROUPS).map(|_| site.start(&app, &plan("three"))).collect::<Result<Vec<_>, _>>();
    let fleet = fleet?;

    let direct = || Caller::new(app.address, Updates::of_one(ENTITY));
    let through = |name, sidecars: &[&Sidecar]| {
        let address = |caller: usize| sidecars[caller % sidecars.len()].address();
        let callers = (0..CALLERS).map(|it| Caller::new(address(it), Updates::of_one(ENTITY)));
        Ok::<_, CallError>(Subject {
            groups: sidecars.len(),
            sidecars: sidecars.iter().map(|sidecar| sidecar.id()).collect(),
            counted: Some(Counted::Scripts),
            ..Subject::new(name, callers.collect::<Result<_, _>>()?)
        })
    };
    let polling = |name, pause: &Range<u64>, one_at_a_time: bool| {
        let turns = [(); GROUPS].map(|()| Arc::new(Mutex::new(())));
        let caller = |it: usize| {
            let turn = one_at_a_time.then(|| Arc::clone(&turns[it % GROUPS]));
            Ok::<_, CallError>(direct()?.locking(Locker::new(&redis, pause)?, turn))
        };
        Ok::<_, CallError>(Subject {
            groups: GROUPS,
            counted: Some(Counted::ScriptsAndSets),
            ..Subject::new(name, (0..CALLERS).map(caller).collect::<Result<_, _>>()?)
        })
    };

    let mut subjects = vec![
        Subject::new("ceiling: 1 caller, direct", vec![direct()?]),
        through("1 sidecar", &[&alone])?,
        through("3 sidecars", &fleet.iter().collect::<Vec<_>>())?,
        polling("polled lock, 1-6 ms", &EAGER, false)?,
        polling("polled lock, 10-100 ms", &PATIENT, false)?,
        polling("polled lock, 1-6 ms, one poller each of 3", &EAGER, true)?,
    ];
    let place = Place { app: &app, redis: &redis };
    place.measure(&mut subjects, settings.rounds, settings.run)?;
    println!("\nhot, app {THINK:?}:\n{}", table(&subjects));
    Ok(())
}

fn table(subjects: &[Subject]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    let Some(ceiling) = subjects.first() else {
        return String::new();
    };
    for subject in subjects {
        let samples = || subject.samples.iter();
        let pairs = zip(&subject.samples, &ceiling.samples);
        let millis = |of: fn(&Sample) -> f64| show(samples().map(|it| of(it) / 1000.0), 1);
        let of_several = |text: String| if subject.groups > 1 { text } else { "-".to_owned() };
        lines.push([
            subject.name.to_owned(),
            show(samples().map(Sample::rate), 0),
            show(pairs.map(|(it, ceiling)| it.rate() / ceiling.rate()), 2),
            millis(Sample::p50_us),
            millis(Sample::p99_us),
            millis(Sample::longest_us),
            show(samples().map(Sample::store_calls), 2),
            of_several(show(samples().map(Sample::fairness), 2)),
            show(samples().map(|it| it.overlapping as f64), 0),
        ]);
    }
    lay_out(&lines)
}
