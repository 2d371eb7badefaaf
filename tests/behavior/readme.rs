//! The README keeps what it promises: its commands exist.

use std::fs;
use std::path::Path;

use crate::support::{Run, interlock};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn readme() -> String {
    read(&root().join("README.md"))
}

/// The `sh` blocks of a document, each with the line before it.
fn shell_blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((before.to_owned(), block.join("\n")));
        }
        before = line;
    }
    blocks
}

/// The block that the build runs under this name.
#[track_caller]
fn marked_block(name: &str) -> String {
    let marker = format!("<!-- ci:{name} -->");
    let text = readme();
    assert_eq!(text.matches(&marker).count(), 1, "{marker} stands in README.md once");
    let block = shell_blocks(&text).into_iter().find(|(before, _)| *before == marker);
    block.unwrap_or_else(|| panic!("no sh block right after {marker}")).1
}

/// The commands of a block, without comments, each with its arguments.
fn commands(block: &str) -> Vec<Vec<String>> {
    let lines = block.lines().map(|line| line.split(" #").next().unwrap_or_default());
    lines
        .flat_map(|line| line.split("&&"))
        .map(words)
        .filter(|command| !command.is_empty())
        .collect()
}

/// The words of a command, as a shell would split it: quotes hold one together.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in command.split('"').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// What follows `--` in a `cargo run`.
fn arguments_of_cargo_run(command: &[String]) -> Option<&[String]> {
    let separator = command.iter().position(|word| word == "--")?;
    command.starts_with(&["cargo".to_owned(), "run".to_owned()]).then(|| &command[separator + 1..])
}

/// Fails unless `interlock` takes these words: its subcommands, and the options that it names in their help.
#[track_caller]
fn assert_taken(arguments: &[String]) {
    let is_option = |word: &&String| word.starts_with("--");
    let nested = arguments.first().is_some_and(|word| word == "flag");
    let subcommand: Vec<&str> =
        arguments.iter().map(String::as_str).take(if nested { 2 } else { 1 }).collect();
    let help = Run::of(interlock(&subcommand).arg("--help"));
    assert_eq!(help.code, Some(0), "interlock {subcommand:?}: {}", help.all);
    for option in arguments.iter().filter(is_option) {
        let named = help.out.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        assert!(
            named.into_iter().any(|word| word == option),
            "{option} of interlock {subcommand:?}"
        );
    }
    for pair in arguments.windows(2).filter(|pair| pair[0] == "--config") {
        assert!(root().join(&pair[1]).is_file(), "{} is there", pair[1]);
    }
}

#[test]
fn the_command_that_shows_it_is_there_and_runs_what_exists() {
    let commands = commands(&marked_block("demo"));

    assert!(root().join(&commands[0][0]).is_file(), "{commands:?}");
    let arguments = arguments_of_cargo_run(commands.last().unwrap()).expect("a cargo run");
    assert_eq!(arguments[0], "demo");
    assert_taken(arguments);
}

#[test]
fn the_command_that_tests_it_is_there_and_runs_what_exists() {
    let commands = commands(&marked_block("test"));

    assert!(root().join(&commands[0][0]).is_file(), "{commands:?}");
    assert_eq!(commands.last().unwrap()[..3], ["cargo", "nextest", "run"]);
    assert!(root().join(".config/nextest.toml").is_file());
}

#[test]
fn every_command_that_the_readme_shows_is_taken() {
    let blocks = shell_blocks(&readme());
    let commands: Vec<Vec<String>> = blocks
        .iter()
        .flat_map(|(_, block)| commands(block))
        .filter(|c| c[0] == "interlock")
        .collect();

    assert!(commands.len() >= 5, "{commands:?}");
    commands.iter().for_each(|command| assert_taken(&command[1..]));
}
