//! Every command and option teaches, and what help and documents show is taken as it stands there.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A command that is one of clap's own, as is its help.
fn is_claps(command: &Command) -> bool {
    command.get_name() == "help"
}

/// Every command of ours, each with its name in full, as a user finds it.
fn all() -> Vec<Command> {
    fn collect(command: &Command, into: &mut Vec<Command>) {
        into.push(command.clone());
        let below = command.get_subcommands().filter(|command| !is_claps(command));
        below.for_each(|command| collect(command, into));
    }
    let mut root = command();
    root.build();
    let mut found = Vec::new();
    collect(&root, &mut found);
    found
}

fn help(command: &Command) -> String {
    command.clone().render_long_help().to_string()
}

fn name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

/// The words of a command line as a shell would split it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The commands of a shell's line, as far as they are ours: without comments, pipes, redirections and variables set before.
fn ours(line: &str) -> Vec<Vec<String>> {
    let mut line = line.to_owned();
    if line.trim_start().starts_with('#') {
        return Vec::new();
    }
    if let Some(comment) = line.find(" #") {
        line.truncate(comment);
    }
    let parts = line.split("&&").flat_map(|part| part.split(['|', ';', '>']));
    let commands = parts.filter_map(|part| {
        let mut words = words(part);
        let is_setting =
            |word: &String| word.split_once('=').is_some_and(|(name, _)| is_name(name));
        let settings = words.iter().take_while(|word| is_setting(word)).count();
        words.drain(..settings);
        if words.starts_with(&["cargo".to_owned(), "run".to_owned()]) {
            let separator = words.iter().position(|word| word == "--")?;
            words.splice(..=separator, ["interlock".to_owned()]);
        }
        (words.first()? == "interlock").then_some(words)
    });
    commands.collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// What stands in place of a value.
fn filled(word: String) -> String {
    match word.as_str() {
        "ID" => "1764011519123-0".to_owned(),
        "N" => "3".to_owned(),
        "URL" => "http://127.0.0.1:9901".to_owned(),
        _ => word,
    }
}

/// Fails unless the command line is taken.
#[track_caller]
fn assert_taken(line: &[String], place: &str) {
    let line: Vec<String> = line.iter().cloned().map(filled).collect();
    if let Err(error) = command().try_get_matches_from(&line) {
        assert!(!error.use_stderr(), "{place}: {line:?}: {error}");
    }
}

#[test]
fn every_command_and_every_option_says_what_it_is_for() {
    for command in all() {
        let name = name(&command);
        assert!(command.get_about().is_some(), "{name}");
        for option in command.get_arguments().filter(|option| option.get_id() != "help") {
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.trim().is_empty(), "{name}: {}", option.get_id());
        }
    }
}

#[test]
fn every_command_shows_examples_and_tells_its_exit_codes() {
    for command in all() {
        let help = help(&command);
        assert!(help.contains("Examples:\n  "), "{}: {help}", name(&command));
        assert!(help.to_lowercase().contains("exit code"), "{}: {help}", name(&command));
    }
}

#[test]
fn every_variable_that_a_command_reads_is_told() {
    let mut told = 0;
    for command in all() {
        let help = help(&command);
        let environment = help.split("Environment:\n").nth(1).unwrap_or_default();
        for variable in command.get_arguments().filter_map(Arg::get_env) {
            let variable = variable.to_str().unwrap();
            assert!(environment.contains(variable), "{}: {variable}: {help}", name(&command));
            told += 1;
        }
        if command.get_arguments().any(|option| option.get_long() == Some("config")) {
            assert!(environment.contains("INTERLOCK__"), "{}: {help}", name(&command));
        }
    }
    assert!(told > 10, "{told}");
}

#[test]
fn every_example_begins_with_its_command_and_is_taken() {
    let mut taken = 0;
    for command in all() {
        let help = help(&command);
        let examples = help.split("Examples:\n").nth(1).unwrap_or_default();
        let lines = examples.lines().take_while(|line| line.starts_with("  "));
        // A description stands two blanks behind, or on the next line, further in.
        for line in lines.filter(|line| !line.starts_with("      ")) {
            let line = line.trim_start().split("  ").next().unwrap_or_default();
            let found = ours(line);
            assert_eq!(found.len(), 1, "{}: {line}", name(&command));
            let shown = found[0].join(" ");
            assert!(shown.starts_with(name(&command)), "{}: {line}", name(&command));
            assert_taken(&found[0], name(&command));
            taken += 1;
        }
    }
    assert!(taken > 20, "{taken}");
}

#[test]
fn no_line_of_a_section_is_broken_by_a_terminal_of_usual_width() {
    for command in all() {
        let told = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in told.lines().filter(|line| line.starts_with("  ")) {
            assert!(line.chars().count() <= 100, "{}: {line}", name(&command));
        }
    }
}

#[test]
fn prose_flows_and_sections_keep_their_lines() {
    assert_eq!(flowing("One\ntwo."), "One two.");
    assert_eq!(flowing("Examples:\n  a\n  b"), "Examples:\n  a\n  b");
    assert_eq!(heading("Examples:\n  a"), Some("Examples"));
    assert_eq!(heading("Examples:\na"), None);
    assert_eq!(heading("Mind this:"), None);
}

fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

#[test]
fn every_command_line_in_the_documents_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md")];
    documents(&root.join("docs"), &mut paths);
    let mut taken = 0;
    for path in paths {
        let text = fs::read_to_string(&path).unwrap().replace("\\\n", " ");
        let mut in_shell = false;
        for line in text.lines() {
            match line.trim_start() {
                "```sh" => in_shell = true,
                "```" => in_shell = false,
                line if in_shell => {
                    for command in ours(line) {
                        assert_taken(&command, &path.display().to_string());
                        taken += 1;
                    }
                }
                _ => {}
            }
        }
    }
    assert!(taken > 15, "{taken}");
}

#[test]
fn a_line_of_a_shell_is_split_as_a_shell_would() {
    let check = |line: &str, expected: &[&[&str]]| assert_eq!(ours(line), expected, "{line}");

    check(
        "interlock flag set a 1% --reason \"b c\"",
        &[&["interlock", "flag", "set", "a", "1%", "--reason", "b c"]],
    );
    check("A=b C__D=e interlock run   # interlock check", &[&["interlock", "run"]]);
    check("./x && cargo run --locked -- demo --once > y", &[&["interlock", "demo", "--once"]]);
    check(
        "interlock fleet | grep a; interlock check",
        &[&["interlock", "fleet"], &["interlock", "check"]],
    );
    check("# interlock nonsense", &[]);
    check("curl interlock", &[]);
}
