//! `interlock man`: the help of every command as a manual page.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::{DONE, help, output};

/// What stands in the middle of a page's head.
const MANUAL: &str = "Interlock";

/// Writes the manual pages.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  interlock man /usr/local/share/man/man1     then: man interlock, man interlock-flag-set
  interlock man pages                         then: man pages/interlock.1

Writes a page for each command, such as interlock-flag-set.1, over what is there under that name. The folder is made where
it is missing. The pages say what --help says.")]
pub(super) struct ManArgs {
    /// The folder to write them into
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Why the pages can't be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: can't be written: {source}; check the path and its permissions", path.display())]
struct ManError {
    path: PathBuf,
    source: io::Error,
}

/// Runs `interlock man`.
pub(super) fn write(args: &ManArgs) -> ExitCode {
    match write_all(&args.folder) {
        Ok(pages) => {
            let folder = args.folder.display();
            output::stdout(&format!("{pages} pages in {folder}: man {folder}/interlock.1\n"), DONE)
        }
        Err(error) => output::failed(error),
    }
}

/// The number of pages.
fn write_all(folder: &Path) -> Result<usize, ManError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ManError { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let pages = pages().map_err(failed(folder))?;
    for (name, text) in &pages {
        let path = folder.join(name);
        fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(pages.len())
}

/// Every page: its file's name, and its text.
pub(super) fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = help::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    pages.push(page(command)?);
    command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
        .try_for_each(|below| collect(below, pages))
}

/// What `--help` says, in the sections that a manual page has.
fn page(command: &Command) -> io::Result<(String, Vec<u8>)> {
    let told = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (sections, prose): (Vec<&str>, Vec<&str>) =
        told.split("\n\n").partition(|paragraph| help::heading(paragraph).is_some());
    let source = format!("interlock {}", env!("CARGO_PKG_VERSION"));
    let named =
        command.clone().subcommand_value_name("COMMAND").subcommand_help_heading("COMMANDS");
    let man = Man::new(named).source(source).manual(MANUAL);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    for paragraph in prose {
        let mut roff = Roff::new();
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
        roff.to_writer(&mut text)?;
    }
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    for paragraph in sections {
        as_section(paragraph).to_writer(&mut text)?;
    }
    Ok((man.get_filename(), text))
}

/// Its lines as they are.
fn as_section(paragraph: &str) -> Roff {
    let name = match help::heading(paragraph) {
        Some("Exit codes") => "EXIT STATUS".to_owned(),
        heading => heading.unwrap_or_default().to_uppercase(),
    };
    let mut roff = Roff::new();
    roff.control("SH", [name.as_str()]);
    roff.control("nf", []);
    for line in paragraph.lines().skip(1) {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(page: &str) -> String {
        let pages = pages().unwrap();
        let (_, text) = pages.iter().find(|(name, _)| name == page).expect(page);
        String::from_utf8(text.clone()).unwrap()
    }

    #[test]
    fn every_command_has_a_page() {
        fn names(command: &Command, name: &str, found: &mut Vec<String>) {
            found.push(format!("{name}.1"));
            for below in command.get_subcommands() {
                names(below, &format!("{name}-{}", below.get_name()), found);
            }
        }
        let mut expected = Vec::new();
        names(&help::command(), "interlock", &mut expected);

        let mut written: Vec<String> = pages().unwrap().into_iter().map(|(name, _)| name).collect();

        expected.sort();
        written.sort();
        assert_eq!(written, expected);
        assert!(written.contains(&"interlock-flag-history.1".to_owned()), "{written:?}");
    }

    #[test]
    fn a_page_has_the_sections_that_readers_look_for() {
        let page = text_of("interlock-flag-set.1");

        let mut from = 0;
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXAMPLES",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
        ] {
            let head = format!(".SH {section}\n");
            from += page[from..].find(&head).unwrap_or_else(|| panic!("{head} in {page}"));
        }
        assert!(page.contains("Raising it never moves an entity back"), "{page}");
        assert!(page.contains("INTERLOCK_ADMIN"), "{page}");
    }

    #[test]
    fn a_page_of_a_group_names_the_commands_below() {
        let page = text_of("interlock-flag.1");

        for below in ["list", "get", "set", "pin", "kill", "resume", "history"] {
            assert!(page.contains(&format!("interlock\\-flag\\-{below}(1)")), "{below}: {page}");
        }
    }

    #[test]
    fn a_folder_that_can_not_be_written_is_named() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

        let error = write_all(Path::new(file)).unwrap_err().to_string();

        assert!(error.starts_with(file) && error.contains("check the path"), "{error}");
    }
}
