//! The README keeps what it promises: what its commands run and read exists. That `interlock` takes them is tested beside its help.

use std::fs;
use std::path::Path;

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

/// The words of a block's commands, which stand on one line.
fn commands(block: &str) -> Vec<Vec<&str>> {
    block.split("&&").map(|command| command.split_whitespace().collect()).collect()
}

#[test]
fn the_command_that_shows_it_is_there_and_runs_what_exists() {
    let block = marked_block("demo");
    let commands = commands(&block);

    assert!(root().join(commands[0][0]).is_file(), "{commands:?}");
    assert_eq!(commands.last().unwrap()[..5], ["cargo", "run", "--locked", "--", "demo"]);
}

#[test]
fn the_command_that_tests_it_is_there_and_runs_what_exists() {
    let block = marked_block("test");
    let commands = commands(&block);

    assert!(root().join(commands[0][0]).is_file(), "{commands:?}");
    assert_eq!(commands.last().unwrap()[..3], ["cargo", "nextest", "run"]);
    assert!(root().join(".config/nextest.toml").is_file());
}

#[test]
fn every_configuration_that_the_readme_starts_with_is_there() {
    let blocks: String =
        shell_blocks(&readme()).into_iter().map(|(_, block)| block + "\n").collect();
    let named: Vec<&str> = blocks
        .split("--config ")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .collect();

    assert!(!named.is_empty(), "{blocks}");
    for file in named {
        assert!(root().join(file).is_file(), "{file}");
    }
}
