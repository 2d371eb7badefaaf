//! `interlock completions`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::{DONE, help, output};

/// Prints the completions of a shell.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  interlock completions bash > /usr/share/bash-completion/completions/interlock
  interlock completions zsh > /usr/local/share/zsh/site-functions/_interlock
  interlock completions fish > /usr/share/fish/vendor_completions.d/interlock.fish

New shells read them from there. For one user alone, ~/.local/share/bash-completion/completions, any folder in zsh's fpath
and ~/.config/fish/completions do as well.")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Runs `interlock completions`.
pub(super) fn print(args: &CompletionsArgs) -> ExitCode {
    output::stdout(&script(args.shell), DONE)
}

/// The script that a shell reads.
pub(super) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "interlock", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::{Command, ValueEnum};

    use super::*;

    fn names(command: &Command, found: &mut Vec<String>) {
        for below in command.get_subcommands() {
            found.push(below.get_name().to_owned());
            names(below, found);
        }
    }

    #[test]
    fn every_shell_knows_every_command_and_option() {
        let mut expected = vec!["--if-version".to_owned()];
        names(&help::command(), &mut expected);
        assert!(expected.contains(&"history".to_owned()), "{expected:?}");

        for shell in Shell::value_variants() {
            let script = script(*shell);
            for name in &expected {
                // Fish writes the option's dashes on its own.
                let name = name.trim_start_matches("--");
                assert!(script.contains(name), "{shell}: {name}");
            }
        }
    }
}
