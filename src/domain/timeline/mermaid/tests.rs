//! Diagrams: what they show, and that they are diagrams whatever stands in them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::domain::flag::Path;
use crate::domain::timeline::tests::{step, three_updates_losing_two};

/// The arrows that a timeline is drawn with.
const ARROWS: [&str; 4] = ["-->>", "->>", "--)", "-x"];

/// What is seen of a diagram, by a reader that knows nothing but the few statements that are used here.
#[derive(Debug, Default)]
struct Seen {
    title: String,
    participants: Vec<(String, String)>,
    /// From, arrow, to, text.
    messages: Vec<(String, String, String, String)>,
    notes: Vec<(String, String)>,
    bars: BTreeSet<String>,
    /// The most bars that were open at once.
    at_once: usize,
}

/// Reads a diagram; says what is wrong with it.
fn parse(diagram: &str) -> Result<Seen, String> {
    let mut lines = diagram.lines();
    if lines.next() != Some("sequenceDiagram") {
        return Err("no header".to_owned());
    }
    let mut seen = Seen::default();
    for line in lines {
        let statement = line.strip_prefix("    ").ok_or(format!("no indent: {line:?}"))?;
        seen.statement(statement).map_err(|why| format!("{why}: {line:?}"))?;
    }
    if !seen.bars.is_empty() {
        return Err(format!("open bars: {:?}", seen.bars));
    }
    Ok(seen)
}

impl Seen {
    fn statement(&mut self, statement: &str) -> Result<(), String> {
        let (word, rest) = statement.split_once(' ').ok_or("one word")?;
        match word {
            "title" => self.title = plain(rest)?,
            "participant" => {
                let (id, name) = rest.split_once(" as ").ok_or("no name")?;
                let (first, second) = name.split_once("<br/>").unwrap_or((name, "x"));
                let name = [plain(first)?, plain(second)?].join(", ");
                if self.participants.iter().any(|(known, _)| known == id) {
                    return Err("there twice".to_owned());
                }
                self.participants.push((id.to_owned(), name));
            }
            "activate" => {
                self.known(rest)?;
                if !self.bars.insert(rest.to_owned()) {
                    return Err("already active".to_owned());
                }
                self.at_once = self.at_once.max(self.bars.len());
            }
            "deactivate" if self.bars.remove(rest) => {}
            "deactivate" => return Err("not active".to_owned()),
            "Note" => {
                let rest = rest.strip_prefix("over ").ok_or("a note over nobody")?;
                let (id, text) = rest.split_once(": ").ok_or("a note without text")?;
                self.notes.push((self.known(id)?, plain(text)?));
            }
            _ => {
                let (line, text) = statement.split_once(": ").ok_or("no text")?;
                let arrow = ARROWS.into_iter().find(|it| line.contains(it)).ok_or("no arrow")?;
                let (from, to) = line.split_once(arrow).ok_or("no arrow")?;
                let message = (self.known(from)?, arrow.to_owned(), self.known(to)?, plain(text)?);
                self.messages.push(message);
            }
        }
        Ok(())
    }

    fn known(&self, id: &str) -> Result<String, String> {
        let known = self.participants.iter().any(|(known, _)| known == id);
        known.then(|| id.to_owned()).ok_or(format!("nobody is {id:?}"))
    }
}

/// A label with its entities decoded, if Mermaid obeys nothing in it.
fn plain(label: &str) -> Result<String, String> {
    let (mut text, mut raw) = (String::new(), String::new());
    let mut rest = label;
    while let Some((before, code)) = rest.split_once('#') {
        let (number, after) = code.split_once(';').ok_or("an entity without end")?;
        let c = number.parse().ok().and_then(char::from_u32).ok_or("no entity")?;
        text.extend([before, &c.to_string()]);
        raw.extend([before, "_"]);
        rest = after;
    }
    text.push_str(rest);
    raw.push_str(rest);
    if raw.trim().is_empty() || raw.chars().any(|c| c.is_control() || ";:<>%${}\\&¶ﬂ".contains(c))
    {
        return Err("it holds syntax".to_owned());
    }
    let words = raw.split(|c: char| !c.is_alphanumeric() && c != '_');
    match words.into_iter().any(|word| word.eq_ignore_ascii_case("end")) {
        true => Err("a bare end".to_owned()),
        false => Ok(text),
    }
}

fn shown(timeline: &Timeline) -> Seen {
    let diagram = timeline.mermaid("a title", "journey:J0001");
    parse(&diagram).unwrap_or_else(|why| panic!("{why}\n{diagram}"))
}

fn of(steps: Vec<Step>) -> Timeline {
    Timeline { steps, truncated: false }
}

#[test]
fn three_updates_at_once_that_lose_two_are_seen_to() {
    let seen = shown(&three_updates_losing_two());

    let names: Vec<&str> = seen.participants.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "update 1, legacy via pod-a",
            "update 2, legacy via pod-b",
            "update 3, legacy via pod-a",
            "journey:J0001, x",
            "read 1, legacy via pod-a"
        ]
    );
    assert_eq!(seen.at_once, 3, "all three went on at once");
    let arrows: Vec<(&str, &str)> =
        seen.messages.iter().map(|(from, arrow, ..)| (from.as_str(), arrow.as_str())).collect();
    let reads = [("c1", "->>"), ("c2", "->>"), ("c3", "->>")];
    assert_eq!(arrows[..3], reads);
    assert_eq!(arrows[3..6], [("c1", "-x"), ("c2", "-x"), ("c3", "->>")], "two are crossed out");
    let texts: Vec<&str> = seen.messages.iter().map(|(.., text)| text.as_str()).collect();
    assert_eq!(texts[1], "reads the document (0.612 ms)");
    assert_eq!(texts[3], "writes /segments/[segmentId=S1]/status = \"Departed\" (11.874 ms)");
    assert_eq!(texts[6], "/segments/[segmentId=S1]/status = \"Scheduled\" (215.400 ms)");
    let lost = |id: &str| (id.to_owned(), "lost".to_owned());
    assert_eq!(seen.notes, [lost("c1"), lost("c2")]);
}

#[test]
fn the_picture_in_the_documentation_is_of_this_diagram() {
    let title = "journey:J0001: 2 of 3 updates lost";

    let diagram = three_updates_losing_two().mermaid(title, "journey:J0001");

    assert_eq!(diagram, include_str!("../../../../docs/images/lost-updates.mmd"));
}

#[test]
fn every_end_of_a_call_has_its_arrow() {
    let ended = |what| {
        let seen =
            shown(&of(vec![step(0, "a", StepKind::Sent, None), step(1, "a", what, Some("7"))]));
        let (from, arrow, to, text) = seen.messages[1].clone();
        (format!("{from}{arrow}{to}"), text)
    };

    let is = |line: &str, text: &str| (line.to_owned(), text.to_owned());
    assert_eq!(ended(StepKind::Acknowledged), is("c1->>document", "writes /status = 7 (0.001 ms)"));
    let refused = "answered with an error, not /status = 7 (0.001 ms)";
    assert_eq!(ended(StepKind::Rejected), is("document-->>c1", refused));
    let given_up = "given up, may write /status = 7 (0.001 ms)";
    assert_eq!(ended(StepKind::Unknown), is("c1--)document", given_up));
}

#[test]
fn a_value_that_is_not_in_the_record_is_redacted() {
    let diagram =
        of(vec![step(0, "a", StepKind::Acknowledged, None), step(1, "r", StepKind::Read, None)])
            .mermaid("t", "e");

    assert!(diagram.contains("writes /status (redacted)"), "{diagram}");
    assert!(diagram.contains("document-->>c2: /status (redacted)"), "{diagram}");
    assert!(!diagram.contains('='), "{diagram}");
}

#[test]
fn steps_are_drawn_in_the_order_of_time_and_the_earliest_are_left_out() {
    let many = (0..500).rev().map(|at| step(at, "a", StepKind::Read, None)).collect();

    let seen = shown(&of(many));

    let expected: Vec<String> =
        (300..500).map(|at| format!("/status (redacted) (0.{at} ms)")).collect();
    let texts: Vec<String> = seen.messages.into_iter().map(|(.., text)| text).collect();
    assert_eq!(texts, expected);
    assert_eq!(
        seen.notes,
        [("document".to_owned(), "earlier steps are left out".to_owned())],
        "and it says so"
    );
}

#[test]
fn what_a_call_began_before_the_first_step_is_drawn_without_a_bar() {
    let seen = shown(&of(vec![
        step(0, "a", StepKind::Acknowledged, None),
        step(1, "b", StepKind::Sent, None),
    ]));

    assert_eq!((seen.at_once, seen.messages.len()), (1, 2), "and one that never ends has one");
}

#[test]
fn names_that_are_syntax_are_shown_as_they_are() {
    for name in [
        "end",
        "END",
        "a; b",
        "#quot;",
        "a\nend",
        "%%{init}%%",
        "wrap:x",
        "<b>x",
        "$$x$$",
        "\u{202e}x",
        "",
        " ",
    ] {
        let named = Step { caller: name.to_owned(), ..step(0, "", StepKind::Sent, None) };
        let seen = shown(&of(vec![named]));

        let shown = name.replace('\n', "\\u000a").replace('\u{202e}', "\\u202e");
        let shown = if name.trim().is_empty() { "(empty)".to_owned() } else { shown };
        assert_eq!(seen.participants[0].1, format!("{shown}, legacy via pod-a"));
    }
}

fn any_text() -> impl Strategy<Value = String> {
    let nasty = ["end", "#", ";", ":", "\n", "%%", "->>", "<br/>", " as ", "\u{202e}", "¶ß", "😀"];
    let piece = prop_oneof![
        proptest::sample::select(nasty.to_vec()).prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    // Long ones by repetition: making them piece by piece takes most of a test's time.
    (proptest::collection::vec(piece, 0..12), 1usize..10)
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

prop_compose! {
    fn any_step()(
        at_us in prop_oneof![0u64..40, any::<u64>()],
        caller in prop_oneof![(0u8..8).prop_map(|n| n.to_string()), any_text()],
        what in proptest::sample::select(vec![
            StepKind::Sent, StepKind::Acknowledged, StepKind::Rejected, StepKind::Unknown, StepKind::Read,
        ]),
        field in any_text(),
        value in proptest::option::of(any_text()),
        sidecar in any_text(),
        lost in any::<bool>(),
    ) -> Step {
        let path = if lost { Path::Legacy } else { Path::Fixed };
        Step { at_us, caller, what, field, value, path, sidecar, trace_id: String::new(), lost }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_timeline_is_a_diagram_that_mermaid_takes(
        steps in proptest::collection::vec(any_step(), 0..10),
        repeated in 1usize..30,
        title in any_text(),
        entity in any_text(),
    ) {
        let steps = std::iter::repeat_n(steps, repeated).flatten().collect();

        let diagram = of(steps).mermaid(&title, &entity);

        let seen = parse(&diagram);
        prop_assert!(seen.is_ok(), "{:?}\n{}", seen, diagram);
        prop_assert!(diagram.len() <= MAX_DIAGRAM_BYTES, "{}", diagram.len());
    }

    #[test]
    fn a_label_shows_its_text_or_the_beginning_of_it(text in any_text()) {
        let label = label(&text);

        let shown = plain(&label);
        prop_assert!(shown.is_ok(), "{:?} {}", shown, label);
        prop_assert!(shown.unwrap().chars().count() <= 80 * 6 + 1);
    }
}
