//! What is exported splits as the sidecars do, by a reading of flagd's rules that is written here.

use super::*;
use crate::domain::bucket::{BUCKETS, Bucket, hash};
use crate::domain::flag::{FlagState, Path};

const FLAG: &str = "journey-updates";

fn flag(percent: f64) -> Value {
    json!({"name": FLAG, "percent": percent, "version": 3, "killed": false,
           "bucketing": "murmur3-32/fractional-v2", "pins": {"legacy": [], "fixed": []},
           "transition": {"step": "settled"}})
}

fn exported(flag: &Value) -> Value {
    let mut notes = Vec::new();
    let document = flagd(flag, &mut notes).unwrap();
    assert!(notes.is_empty());
    document["flags"][FLAG].clone()
}

/// What a JsonLogic rule gives, as far as definitions of ours go.
fn evaluated(rule: &Value, entity: &str) -> Value {
    let Some((operator, arguments)) = rule.as_object().and_then(|rule| rule.iter().next()) else {
        return rule.clone();
    };
    let value = |at: usize| evaluated(&arguments[at], entity);
    match operator.as_str() {
        "var" if arguments == "targetingKey" => json!(entity),
        "var" if arguments == "$flagd.flagKey" => json!(FLAG),
        "!" => json!(value(0) == json!("")),
        "in" => json!(value(1).as_array().unwrap().contains(&value(0))),
        "cat" => {
            let parts = 0..arguments.as_array().unwrap().len();
            json!(parts.map(|at| value(at).as_str().unwrap().to_owned()).collect::<String>())
        }
        "if" => {
            let last = arguments.as_array().unwrap().len() - 1;
            let holds = |at: &usize| value(*at) == json!(true);
            let then = (0..last).step_by(2).find(holds).map_or(last, |at| at + 1);
            value(then)
        }
        "fractional" => {
            let hashed = value(0);
            // Ours puts a slash between the two; no flag's name has one.
            let (flag, key) = hashed.as_str().unwrap().split_once('/').unwrap();
            let shares: Vec<(&Value, u64)> = arguments.as_array().unwrap()[1..]
                .iter()
                .map(|share| (&share[0], share[1].as_u64().unwrap()))
                .collect();
            let total: u64 = shares.iter().map(|(_, weight)| weight).sum();
            let bucket = (u64::from(hash(flag, key)) * total) >> 32;
            let mut end = 0;
            let mut at_bucket = shares.iter().filter(|(_, weight)| {
                end += weight;
                bucket < end
            });
            at_bucket.next().unwrap().0.clone()
        }
        other => panic!("{other} is not known here"),
    }
}

/// A thousand entities, and one at each end of the scale.
fn entities() -> impl Iterator<Item = String> {
    let named = |n: u32| format!("journey:{n}");
    let in_bucket = move |index: u16| {
        (0..).map(named).find(|entity| Bucket::of(FLAG, entity).index() == index).unwrap()
    };
    (0..1_000).map(named).chain([in_bucket(0), in_bucket(1), in_bucket(BUCKETS - 1)])
}

#[test]
fn a_definition_splits_entities_as_the_sidecars_do() {
    for percent in ["0", "0.01", "25.5", "50", "99.99", "100"] {
        let definition = exported(&flag(percent.parse().unwrap()));
        let state = FlagState::initial(percent.parse().unwrap(), 0);
        let mut fixed = 0;
        for entity in entities() {
            let path = state.path_at_rest(FLAG, &entity);

            let variant = evaluated(&definition["targeting"], &entity);

            assert_eq!(variant, path.as_str(), "{entity} at {percent}%");
            fixed += u32::from(path == Path::Fixed);
        }
        assert!(percent != "50" || (400..600).contains(&fixed), "{fixed} of 1003");
    }
}

#[test]
fn pins_win_and_a_call_without_an_entity_takes_legacy() {
    let mut pinned = flag(100.0);
    pinned["pins"]["legacy"] = json!(["journey:7"]);
    let mut back = flag(0.0);
    back["pins"]["fixed"] = json!(["journey:7"]);
    let (pinned, back) = (exported(&pinned), exported(&back));
    let variant = |definition: &Value, entity| evaluated(&definition["targeting"], entity);

    assert_eq!(variant(&pinned, "journey:7"), "legacy");
    assert_eq!(variant(&pinned, "journey:8"), "fixed");
    assert_eq!(variant(&back, "journey:7"), "fixed");
    assert_eq!(variant(&back, "journey:8"), "legacy");
    assert_eq!(variant(&pinned, ""), "legacy");
}

#[test]
fn a_killed_flag_is_disabled() {
    let mut killed = flag(25.0);
    killed["killed"] = json!(true);

    assert_eq!(exported(&killed)["state"], "DISABLED");
    assert_eq!(exported(&flag(25.0))["state"], "ENABLED");
}

#[test]
fn a_list_is_one_document_and_says_which_flags_are_on_the_move() {
    let (mut moving, other) = (flag(25.0), flag(0.0));
    moving["transition"]["step"] = json!("guarding");
    moving["name"] = json!("seats");
    let mut notes = Vec::new();

    let document = flagd(&json!({"flags": [moving, other]}), &mut notes).unwrap();

    let names: Vec<&String> = document["flags"].as_object().unwrap().keys().collect();
    assert_eq!(names, [FLAG, "seats"]);
    let said = "seats is guarding: this is its definition once that is settled\n";
    assert_eq!(String::from_utf8(notes).unwrap(), said);
}

#[test]
fn an_answer_that_is_no_flag_is_refused() {
    for answer in [json!({}), json!({"name": FLAG, "percent": "many"})] {
        assert!(matches!(flagd(&answer, &mut Vec::new()), Err(AdminError::NoFlag { .. })));
    }
}
