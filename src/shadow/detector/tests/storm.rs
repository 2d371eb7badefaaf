//! Storms: everything goes wrong at once, as a seed has it, beside an app that is honest, or loses some. Nothing that an honest app shows is an
//! alarm; and once the storm is over, what is lost is found.

use super::*;

/// Storms, unless `INTERLOCK_STORM_SEEDS` says how many.
const SEEDS: u64 = 15;

/// The most sidecars that there ever are.
const MOST: usize = 6;

/// Longer than any update takes.
const LONGEST_UPDATE: Duration = Duration::from_millis(2_100);

/// Other entities are never quiet while what is lost after the storm is looked for.
const CALM_AGAIN: Duration = Duration::from_secs(75);

/// A number that a developer sets.
fn set(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn seeds() {
    let first = set("INTERLOCK_STORM_SEED");
    let count = set("INTERLOCK_STORM_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(0);

    let (mut bad, mut verified) = (Vec::new(), 0);
    for seed in first..first + count {
        match pass(seed) {
            Ok(some) => verified += some,
            Err(complaint) => {
                println!("{complaint}");
                bad.push(seed);
            }
        }
    }

    println!("{count} storms, {verified} updates verified");
    assert!(bad.is_empty(), "{} of {count} storms: {bad:?}", bad.len());
    assert!(verified as u64 > 20 * count, "only {verified} updates verified in {count} storms");
}

/// How many updates were verified in it, or what is wrong, and how to see it again.
fn pass(seed: u64) -> Result<usize, String> {
    let said = Rc::new(Cell::new(Ok(0)));
    let tell = Rc::clone(&said);
    fastrand::seed(seed);
    in_virtual_time(async move { tell.set(Storm::of(seed).pass().await) });
    said.replace(Ok(0)).map_err(|wrong| {
        format!(
            "{wrong}\nSee it again: INTERLOCK_STORM_SEED={seed} cargo nextest run --lib -E \
             'test(=shadow::detector::tests::storm::seeds)'"
        )
    })
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    SlowReads,
    FailingReads,
    SlowLinks,
    FailingLinks,
    LateCommands,
    Cuts,
    Stalls,
    Replacements,
    ClockSets,
    Crashes,
    Joins,
    Ends,
}

impl Trouble {
    const ALL: [Self; 12] = [
        Self::SlowReads,
        Self::FailingReads,
        Self::SlowLinks,
        Self::FailingLinks,
        Self::LateCommands,
        Self::Cuts,
        Self::Stalls,
        Self::Replacements,
        Self::ClockSets,
        Self::Crashes,
        Self::Joins,
        Self::Ends,
    ];

    /// In one storm out of so many.
    fn in_one_of(self) -> u64 {
        match self {
            Self::Replacements | Self::ClockSets | Self::Crashes | Self::Ends => 5,
            _ => 2,
        }
    }
}

/// What a storm is like.
#[derive(Debug)]
struct Plan {
    troubles: Vec<Trouble>,
    seconds: u64,
    callers: u64,
    entities: u64,
    /// How many of their fields are written.
    fields: u64,
    words: u64,
    /// The longest that a caller pauses, in milliseconds.
    pause: u64,
    /// The longest that most updates take, in milliseconds.
    update_takes: u64,
    /// Whether the app reads a document and writes it whole.
    races: bool,
}

struct Storm {
    world: Rc<World>,
    plan: Rc<Plan>,
    is_over: Rc<Cell<bool>>,
    /// Nobody updates anything for a while, so that what was last is seen.
    lulls: Rc<Cell<bool>>,
}

fn pick<T: Copy>(dice: &Dice, from: &[T]) -> T {
    from[dice.below(from.len() as u64) as usize]
}

impl Storm {
    fn of(seed: u64) -> Self {
        let dice = Dice::of(seed);
        let sidecars = pick(&dice, &[1, 2, 2, 3, 3, 4]);
        let has_store = sidecars > 1 || dice.one_in(2);
        let legacy = format!(
            "[legacy]\nurl = \"http://127.0.0.1:9\"\ntimeout = \"3s\"\nsettle_after_timeout = \"{}ms\"\n",
            pick(&dice, &[100, 400, 2_000])
        );
        let verify = format!(
            "settle = \"{}ms\"\ninterval = \"{}ms\"\n{READS}",
            pick(&dice, &[25, 100, 300]),
            pick(&dice, &[300, 500, 2_000])
        );
        let mut troubles: Vec<Trouble> =
            Trouble::ALL.into_iter().filter(|it| dice.one_in(it.in_one_of())).collect();
        if troubles.contains(&Trouble::ClockSets) {
            // By less than a round trip takes nobody can tell.
            troubles.retain(|it| *it != Trouble::SlowLinks);
        }
        let plan = Plan {
            troubles,
            seconds: pick(&dice, &[10, 20, 40]),
            callers: 3 + dice.below(6),
            entities: pick(&dice, &[1, 1, 1, 2, 3]),
            fields: pick(&dice, &[1, 1, 2, FIELDS as u64]),
            words: 2 + dice.below(3),
            pause: pick(&dice, &[60, 300, 1_000]),
            update_takes: pick(&dice, &[4, 12, 100, 900]),
            races: dice.one_in(5),
        };
        let store = has_store.then(SimulatedStore::new);
        let world = World::with(seed, sidecars, store, config_of(&legacy, &verify));
        let patience = pick(&dice, &[100, 400, 1_000]);
        let storm = Self {
            world: Rc::new(world),
            plan: Rc::new(plan),
            is_over: Rc::default(),
            lulls: Rc::default(),
        };
        storm.set_all(|knobs| knobs.patience.set(patience));
        storm
    }

    fn set_all(&self, set: impl Fn(&store::LinkKnobs)) {
        self.world.sides().iter().flat_map(|side| &side.link).for_each(|link| set(link.knobs()));
    }

    async fn pass(self) -> Result<usize, String> {
        let callers: Vec<_> = (0..self.plan.callers)
            .map(|number| {
                let (world, plan) = (Rc::clone(&self.world), Rc::clone(&self.plan));
                let (is_over, lulls) = (Rc::clone(&self.is_over), Rc::clone(&self.lulls));
                spawn_local(call(world, plan, number, is_over, lulls))
            })
            .collect();
        let end = clock::now() + Duration::from_secs(self.plan.seconds);
        while clock::now() < end {
            self.change();
            self.lulls.set(self.world.dice.one_in(3));
            self.world.dice.pause(if self.lulls.get() { 4_000 } else { 1_500 }).await;
        }
        self.is_over.set(true);
        for caller in callers {
            caller.await.map_err(|error| error.to_string())?;
        }
        self.clear_up();
        self.world.calm().await;
        self.judge()?;
        let verified = self.world.verified();
        if !self.plan.races {
            self.lose_some().await?;
        }
        let faults = self.world.store.iter().flat_map(SimulatedStore::faults);
        let faults: Vec<String> = faults.collect();
        if faults.is_empty() { Ok(verified) } else { Err(format!("not simulated: {faults:?}")) }
    }

    /// One thing changes.
    fn change(&self) {
        let (world, dice) = (&self.world, &self.world.dice);
        if self.plan.troubles.is_empty() {
            return;
        }
        let trouble = pick(dice, &self.plan.troubles);
        let sides: Vec<Rc<Side>> =
            world.sides().into_iter().filter(|side| side.is_open()).collect();
        let side = Rc::clone(&sides[dice.below(sides.len() as u64) as usize]);
        match trouble {
            Trouble::SlowReads => {
                world.app.knobs().read_takes.set(pick(dice, &[0, 3, 50, 500, 1_500]));
            }
            Trouble::FailingReads => world.app.knobs().failing_reads.set(pick(dice, &[0, 0, 1, 3])),
            Trouble::Stalls => side.stalls.set(pick(dice, &[0, 200, 2_000])),
            Trouble::Crashes if sides.len() > 1 && dice.one_in(2) => side.crash(),
            Trouble::Ends if sides.len() > 1 && dice.one_in(2) => {
                side.closes.set(true);
                spawn_local(async move {
                    // What it has under way ends first.
                    sleep(LONGEST_UPDATE).await;
                    side.stop.set(true);
                });
                return;
            }
            Trouble::Joins if world.sides().len() < MOST && world.store.is_some() => world.start(),
            _ => {}
        }
        let Some(link) = &side.link else { return };
        let knobs = link.knobs();
        match trouble {
            Trouble::SlowLinks => {
                let ways = [0, 2, 50, 200, 500];
                knobs.takes.set((pick(dice, &ways), pick(dice, &ways)));
            }
            Trouble::FailingLinks => knobs.failing.set(pick(dice, &[0, 2, 4, 10])),
            Trouble::LateCommands => {
                knobs.late.set(pick(dice, &[0, 2, 5]));
                knobs.late_by.set(pick(dice, &[300, 3_000]));
            }
            Trouble::Cuts => {
                let takes = pick(dice, &[100, 400, 1_200, 3_000, 9_000, 17_000, 25_000]);
                let link = link.clone();
                knobs.cut.set(true);
                spawn_local(async move {
                    sleep(ms(takes)).await;
                    link.knobs().cut.set(false);
                });
            }
            Trouble::Replacements if dice.one_in(2) => self.replace(),
            Trouble::ClockSets if dice.one_in(2) => {
                world.store().set_clock(pick(dice, &[-9_000, -500, -30, 30, 500, 9_000]));
            }
            _ => {}
        }
    }

    /// The store forgets, and whoever reaches it finds out.
    fn replace(&self) {
        let (world, dice) = (&self.world, &self.world.dice);
        world.store().replace(dice.one_in(2));
        for side in world.sides().iter().filter(|side| !side.is_gone()) {
            let (link, dice) = (side.link().clone(), dice.clone());
            spawn_local(async move {
                dice.pause(1_500).await;
                while link.knobs().cut.get() {
                    sleep(ms(50)).await;
                }
                link.join();
            });
        }
    }

    fn clear_up(&self) {
        let app = self.world.app.knobs();
        app.read_takes.set(3);
        app.failing_reads.set(0);
        self.world.sides().iter().for_each(|side| side.stalls.set(0));
        self.set_all(|knobs| {
            knobs.takes.set((2, 2));
            knobs.failing.set(0);
            knobs.late.set(0);
            knobs.cut.set(false);
        });
    }

    fn judge(&self) -> Result<(), String> {
        let (world, plan) = (&self.world, &self.plan);
        let (lost, unmanaged) = (world.lost(), world.unmanaged());
        let may_be = if plan.races { world.app.knobs().put_back.get() } else { 0 };
        let is_right = lost <= may_be && unmanaged == 0;
        let wrong = format!("{lost} lost of {may_be}, {unmanaged} unmanaged: {plan:?}");
        if is_right { Ok(()) } else { Err(wrong) }
    }

    /// Of entities with a past and without one an update each is lost, while others are under way.
    async fn lose_some(&self) -> Result<(), String> {
        let (world, is_over) = (&self.world, Rc::new(Cell::new(false)));
        sleep(CALM_AGAIN).await;
        let sides: Vec<usize> =
            (0..world.sides().len()).filter(|at| world.side(*at).is_open()).collect();
        let (busy, over, first) = (Rc::clone(world), Rc::clone(&is_over), sides[0]);
        let busy = spawn_local(async move {
            while !over.get() {
                busy.update(first, "busy", 0, 1, Fate::Acknowledged(900)).await;
            }
        });
        for entity in ["e0", "new"] {
            let side = || pick(&world.dice, &sides);
            world.update(side(), entity, 3, 101, Fate::Acknowledged(4)).await;
            sleep(Duration::from_secs(5)).await;
            world.update(side(), entity, 3, 102, Fate::Dropped).await;
            sleep(Duration::from_secs(10)).await;
        }
        is_over.set(true);
        busy.await.map_err(|error| error.to_string())?;
        world.calm().await;
        let (lost, unmanaged) = (world.lost(), world.unmanaged());
        if (lost, unmanaged) == (2, 0) {
            return Ok(());
        }
        Err(format!("{lost} of 2 found after it, {unmanaged} unmanaged: {:?}", self.plan))
    }
}

/// Updates one after the other, until the storm is over.
async fn call(
    world: Rc<World>,
    plan: Rc<Plan>,
    number: u64,
    is_over: Rc<Cell<bool>>,
    lulls: Rc<Cell<bool>>,
) {
    let dice = &world.dice;
    let mut made = 0;
    while !is_over.get() {
        if lulls.get() {
            sleep(ms(50)).await;
            continue;
        }
        let sides: Vec<usize> =
            (0..world.sides().len()).filter(|at| world.side(*at).is_open()).collect();
        let side = pick(dice, &sides);
        let entity = format!("e{}", dice.below(plan.entities));
        made += 1;
        if plan.races {
            // Each writer has a field of its own, and values that are not seen again.
            if number < FIELDS as u64 {
                let value = 1_000 * made + number;
                world.race(side, &entity, number as usize, value, plan.update_takes).await;
            }
        } else {
            let (field, value) = (dice.below(plan.fields) as usize, dice.below(plan.words));
            world.update(side, &entity, field, value, fate(dice, &plan, world.settles)).await;
        }
        let few = dice.one_in(4);
        dice.pause(if few { plan.pause } else { plan.pause / 8 }).await;
    }
}

fn fate(dice: &Dice, plan: &Plan, settles: Duration) -> Fate {
    let settles = settles.as_millis() as u64;
    match dice.below(20) {
        0 => Fate::Rejected(dice.one_in(2)),
        1 => Fate::GivenUp(None),
        2 | 3 => Fate::GivenUp(Some(dice.below(settles))),
        4..8 => Fate::Acknowledged(2_000),
        _ => Fate::Acknowledged(plan.update_takes),
    }
}
