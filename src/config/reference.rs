//! `docs/configuration.md`, made from the table of keys.

use super::keys::{self, Key, Kind, Presence};
use super::lists::{MAX_HEADERS, MAX_PATTERNS};
use super::otel_table::VARIABLES;
use super::size;
use super::values::duration_text;

const INTRODUCTION: &str = "# Configuration

<!-- Made from the table of keys in src/config/table.rs and flag_table.rs; a test keeps it so. -->

TOML. Layers, the later over the earlier: built-in defaults, each `--config FILE` in order, then the environment.
Tables are merged key by key; an array, such as a flag's routes, replaces the earlier one as a whole.

A variable is named `INTERLOCK__` and the key with `__` between levels, in any letter case:
`INTERLOCK__PROXY__LISTEN=0.0.0.0:8081`, `INTERLOCK__FLAGS__JOURNEY_UPDATES__PERCENT=25` (`_` may stand for the `-` or
`.` of a flag's name). Routes are set in files only.

Durations are written as `\"50ms\"`, `\"5s\"` or `\"1m 30s\"`, sizes as bytes or `\"32KiB\"`, `\"1MiB\"`, percentages as `25`,
`0.5` or `\"12.5%\"`. `interlock check` validates and prints what is in effect; every problem is listed at once. Unknown
keys are refused. `config/default.toml` has every key, commented; `config/single.toml` is an example of one replica,
`config/production.toml` of a fleet, `config/atomic.toml` of the strategy `atomic`.
";

/// The whole page.
pub fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut section = "";
    for key in keys::all() {
        let (heading, name) = section_of(key);
        if heading != section {
            section = heading;
            page.push_str(&format!("\n## {}\n\n{HEAD}\n", title(heading)));
        }
        page.push_str(&row(key, name));
    }
    page.push_str(OF_TRACES);
    for (name, meaning) in VARIABLES {
        page.push_str(&format!("| `{name}` | {meaning} |\n"));
    }
    page
}

const OF_TRACES: &str = "
## The `OTEL_*` variables

Of traces the standard variables of OpenTelemetry win over every layer; of two that say the same, the one about traces
alone wins. An empty one is as good as none. An endpoint or headers that can't be used are refused; any other value that
is not understood is passed over with a warning, as the variables' specification wants it.

| variable | meaning |
|---|---|
";

const HEAD: &str = "| key | what stands there | default | meaning |\n|---|---|---|---|";

/// The section of the page that a key belongs to, and its name there.
fn section_of(key: &Key) -> (&'static str, &'static str) {
    let sections = ["flags.*.routes[]", "flags.*"];
    let nested = sections
        .into_iter()
        .find_map(|section| Some((section, key.place.strip_prefix(section)?.strip_prefix('.')?)));
    nested.unwrap_or_else(|| key.place.split_once('.').unwrap_or(("", key.place)))
}

fn title(section: &str) -> String {
    match section {
        "flags.*" => "`[flags.NAME]`, at most 50".to_owned(),
        "flags.*.routes[]" => {
            "`[[flags.NAME.routes]]`, at least one, at most 200 in all flags".to_owned()
        }
        other => format!("`[{other}]`"),
    }
}

fn row(key: &Key, name: &str) -> String {
    let name = name.replace(".*", ".NAME");
    let default = match key.presence {
        Presence::Default(toml) => format!("`{toml}`"),
        Presence::Required(example) if key.in_optional_table() => {
            format!("required where its table stands, such as `{example}`")
        }
        Presence::Required(example) => format!("required, such as `{example}`"),
        Presence::Optional(example) => format!("none; such as `{example}`"),
    };
    format!("| `{name}` | {} | {default} | {} |\n", kind(&key.kind), key.doc)
}

fn kind(kind: &Kind) -> String {
    match *kind {
        Kind::Address => "IP address and port".to_owned(),
        Kind::Upstream => "`http://` host and port".to_owned(),
        Kind::Collector => "`http://` host, port and path".to_owned(),
        Kind::StoreUrl => {
            "`redis://`, `rediss://`, `redis+sentinel://` or `rediss+sentinel://` URL".to_owned()
        }
        Kind::File => "path of a file".to_owned(),
        Kind::Name => "name: letters, digits, `_`, `-`, `.`; at most 64".to_owned(),
        Kind::LogFilter => "log filter".to_owned(),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Integer { min, max } => format!("whole number, {min} to {max}"),
        Kind::Size { min, max } => format!("size, {} to {}", size::text(min), size::text(max)),
        Kind::Duration { min, max } => {
            format!("duration, {} to {}", duration_text(min), duration_text(max))
        }
        Kind::Ratio => "number, 0 to 1".to_owned(),
        Kind::Percent => "percentage, 0 to 100 in steps of 0.01".to_owned(),
        Kind::Choice(allowed) => {
            allowed.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Kind::Choices(allowed) => {
            let words = allowed.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>();
            format!("list of {}", words.join(", "))
        }
        Kind::Entity => "template with `{placeholders}`".to_owned(),
        Kind::Path => "path with `{placeholders}`".to_owned(),
        Kind::Methods => "list of methods in capitals".to_owned(),
        Kind::Source => "source".to_owned(),
        Kind::Pointer => "pointer to a field".to_owned(),
        Kind::Patterns => {
            format!(
                "list of JSON Pointers, at most {MAX_PATTERNS}; `*` is any one token, `**` any number of them"
            )
        }
        Kind::HeaderNames => format!("list of headers' names, at most {MAX_HEADERS}"),
        Kind::Answer => "JSON template".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::cross::{MAX_FLAGS, MAX_ROUTES};

    #[test]
    fn the_page_in_docs_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }

        let written = std::fs::read_to_string(path).unwrap_or_default();

        assert!(
            written == page(),
            "docs/configuration.md is out of step with src/config/table.rs or flag_table.rs: \
             run UPDATE_DOCS=1 cargo nextest run, look at the difference and commit it"
        );
    }

    #[test]
    fn the_page_names_every_key_and_the_bounds() {
        let page = page();

        for key in keys::all() {
            let (_, name) = section_of(key);
            let row = format!("| `{}` | ", name.replace(".*", ".NAME"));
            assert!(page.lines().any(|line| line.starts_with(&row)), "{}", key.place);
        }
        assert_eq!(page.matches("\n## ").count(), 9, "a section's keys stand apart in the table");
        assert!(page.contains(&format!("at most {MAX_FLAGS}\n")));
        assert!(page.contains(&format!("at most {MAX_ROUTES} in all flags")));
    }
}
