//! Clocks that drift, asked over a network that delays.

use proptest::prelude::*;

use super::*;

/// Units of the simulation in a microsecond: what a clock runs apart in a microsecond is a whole number of them.
const UNITS: i128 = 1_000_000;

/// The common clock when a simulation begins, in microseconds.
const START: i128 = 1_790_000_000_000_000;

/// One sidecar and the common clock, which goes faster or slower at every turn.
struct World {
    clock: CommonClock,
    ticks: i128,
    common: i128,
    moments: Vec<Moment>,
}

/// A moment that the sidecar noted, and when that truly was.
#[derive(Clone, Copy, Debug)]
struct Moment {
    ticks: u64,
    common: i128,
}

/// A time that passes, in microseconds, and how much faster the common clock goes meanwhile, in millionths.
type Turn = (u32, i32);

/// A pause, a question's way and an answer's.
type Trip = (Turn, Turn, Turn);

fn turn(longest: u32) -> impl Strategy<Value = Turn> {
    let drift = i32::try_from(MAX_DRIFT_PPM).unwrap();
    // The ends are the worst.
    let time = prop_oneof![1 => Just(0), 3 => 0..longest];
    (time, prop_oneof![Just(-drift), Just(drift), -drift..=drift])
}

fn trip() -> impl Strategy<Value = Trip> {
    (turn(2_000_000), turn(20_000), turn(20_000))
}

impl World {
    fn new(clock_id: u64, phase: (u32, u32)) -> Self {
        let (ticks, common) = (i128::from(phase.0), START * UNITS + i128::from(phase.1));
        Self { clock: CommonClock::new(clock_id), ticks, common, moments: Vec::new() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.ticks / UNITS).unwrap()
    }

    fn pass(&mut self, (micros, drift): Turn) {
        self.ticks += i128::from(micros) * UNITS;
        self.common += i128::from(micros) * (UNITS + i128::from(drift));
        self.moments.push(Moment { ticks: self.now(), common: self.common });
    }

    fn step(&mut self, micros: i64) {
        self.common += i128::from(micros) * UNITS;
    }

    fn exchange(&mut self, (pause, there, back): Trip) -> Noted {
        self.pass(pause);
        let asked = self.now();
        self.pass(there);
        let shown = u64::try_from(self.common / UNITS).unwrap();
        self.pass(back);
        self.clock.note(asked, shown, self.now())
    }

    fn assert_all_are_within(&self) {
        for moment in &self.moments {
            let stamp = self.clock.stamp(moment.ticks).unwrap();
            let (earliest, latest) = (i128::from(stamp.earliest), i128::from(stamp.latest));
            assert!(earliest * UNITS <= moment.common, "{moment:?} is before {stamp:?}");
            assert!(moment.common <= latest * UNITS, "{moment:?} is after {stamp:?}");
        }
    }
}

/// A world after some exchanges.
fn world(clock_id: u64) -> impl Strategy<Value = World> {
    let phase = (0..1_000_000_u32, 0..1_000_000_u32);
    (phase, prop::collection::vec(trip(), 1..12)).prop_map(move |(phase, trips)| {
        let mut world = World::new(clock_id, phase);
        for trip in trips {
            assert_eq!(world.exchange(trip), Noted::Fine);
        }
        world
    })
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.clock, self.moments)
    }
}

fn width(clock: &CommonClock, ticks: u64) -> u64 {
    let stamp = clock.stamp(ticks).unwrap();
    stamp.latest - stamp.earliest
}

proptest! {
    #[test]
    fn the_true_time_of_a_moment_is_always_within_its_stamp(
        phase in (0..1_000_000_u32, 0..1_000_000_u32),
        trips in prop::collection::vec(trip(), 1..20),
    ) {
        let mut world = World::new(1, phase);
        for trip in trips {
            prop_assert_eq!(world.exchange(trip), Noted::Fine);
            // Of all moments before, as well.
            world.assert_all_are_within();
        }
    }

    #[test]
    fn two_sidecars_never_order_two_moments_wrongly(a in world(1), b in world(2)) {
        for (one, other) in a.moments.iter().flat_map(|one| b.moments.iter().map(move |it| (one, it))) {
            let (first, second) = (a.clock.stamp(one.ticks).unwrap(), b.clock.stamp(other.ticks).unwrap());

            prop_assert!(!first.is_before(&second) || one.common < other.common);
            prop_assert!(!second.is_before(&first) || other.common < one.common);
        }
    }

    #[test]
    fn one_sidecar_orders_its_own_moments_exactly(world in world(7), ticks in 0..u64::MAX) {
        let (one, next) = (world.clock.stamp(ticks).unwrap(), world.clock.stamp(ticks + 1).unwrap());

        prop_assert!(one.is_before(&next));
        prop_assert!(!next.is_before(&one));
    }

    #[test]
    fn a_short_round_trip_serves_the_long_ones_after_it(
        trips in prop::collection::vec((turn(50_000), turn(20_000), turn(20_000)), 1..10),
    ) {
        let mut world = World::new(1, (0, 0));
        world.exchange(((0, 0), (40, 0), (40, 0)));
        let narrow = width(&world.clock, world.now());
        prop_assert!(narrow <= 90, "{narrow}");
        let begun = world.now();
        let count = u64::try_from(trips.len()).unwrap();

        for trip in trips {
            world.exchange(trip);
        }

        // Twice what the clocks may drift apart, and a rounding each time.
        let most = narrow + 2 * (world.now() - begun) * MAX_DRIFT_PPM / 1_000_000 + 2 * (count + 1);
        prop_assert!(width(&world.clock, world.now()) <= most);
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_and_followed(
        before in trip(),
        after in trip(),
        step in 1..1_000_000_000_i64,
        back in any::<bool>(),
    ) {
        let mut world = World::new(1, (0, 0));
        world.exchange(before);
        // Beyond what either interval leaves open.
        let open = 2 * 40_000 + 2 * 3_000 + 10;
        world.step(if back { -(step + open) } else { step + open });
        world.moments.clear();

        prop_assert_eq!(world.exchange(after), Noted::Stepped);

        world.assert_all_are_within();
        prop_assert_eq!(world.exchange(before), Noted::Fine);
    }

    #[test]
    fn nonsense_is_no_panic(notes in prop::collection::vec(any::<(u64, u64, u64)>(), 0..6), ticks: u64) {
        let mut clock = CommonClock::new(1);
        for (asked, shown, answered) in notes {
            clock.note(asked, shown, answered);
        }

        if let Some(stamp) = clock.stamp(ticks) {
            prop_assert!(stamp.earliest <= stamp.latest);
        }
    }
}

#[test]
fn before_the_first_exchange_nothing_is_known() {
    let mut clock = CommonClock::new(7);
    assert_eq!(clock.stamp(5), None);

    assert_eq!(clock.note(100, 5_000, 200), Noted::Fine);

    let stamp = clock.stamp(200).unwrap();
    assert_eq!((stamp.clock, stamp.ticks), (7, 200));
    assert_eq!((stamp.earliest, stamp.latest), (4_998, 5_104));
    // What was noted before it is told as well.
    assert!(clock.stamp(0).is_some());
}
