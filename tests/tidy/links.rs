//! Links of the documents: each leads to a file, and to a heading of it, and every page can be found.

use std::collections::{BTreeMap, BTreeSet};

use crate::markdown::anchor;
use crate::rules::Offence;

/// Where a reader begins.
const START: &str = "README.md";

/// The documents, by their paths, and the paths of all files and folders that may be linked to.
pub struct Library {
    pages: BTreeMap<String, Page>,
    paths: BTreeSet<String>,
}

struct Page {
    /// Each with its line, from 1.
    links: Vec<(usize, String)>,
    anchors: BTreeSet<String>,
}

impl Library {
    /// Documents in Markdown, as paths and texts, and the other files that there are.
    pub fn new(documents: &[(String, String)], others: &[String]) -> Self {
        let files = documents.iter().map(|(path, _)| path).chain(others);
        let mut paths = BTreeSet::new();
        for file in files {
            let ends = file.match_indices('/').map(|(at, _)| at).chain([file.len()]);
            paths.extend(ends.map(|end| file[..end].to_owned()));
        }
        let pages = documents.iter().map(|(path, text)| (path.clone(), Page::of(text))).collect();
        Self { pages, paths }
    }

    /// Links that lead nowhere.
    pub fn broken(&self) -> Vec<Offence> {
        let mut found = Vec::new();
        for (path, page) in &self.pages {
            for (line, link) in &page.links {
                if let Some(why) = self.fault(path, link) {
                    found.push(Offence { path: path.clone(), line: *line, what: why });
                }
            }
        }
        found
    }

    fn fault(&self, from: &str, link: &str) -> Option<String> {
        let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
        let Some(target) = resolve(from, file) else {
            return Some(format!("{link} leads out of the repository"));
        };
        if !target.is_empty() && !self.paths.contains(&target) {
            return Some(format!("{link}: there is no {target}"));
        }
        let page = self.pages.get(&target)?;
        let known = anchor.is_empty() || page.anchors.contains(anchor);
        (!known).then(|| format!("{link}: no such heading among {:?}", page.anchors))
    }

    /// Pages that no way of links from the README leads to. A link to a folder leads to all that is in it.
    pub fn lost(&self) -> Vec<Offence> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut left = vec![START];
        while let Some(path) = left.pop() {
            let Some((path, page)) = self.pages.get_key_value(path) else { continue };
            if !found.insert(path) {
                continue;
            }
            for (_, link) in &page.links {
                let file = link.split('#').next().unwrap_or_default();
                let Some(target) = resolve(path, file) else { continue };
                let folder = format!("{target}/");
                let led_to = self.pages.keys();
                left.extend(
                    led_to
                        .filter(|page| **page == target || page.starts_with(&folder))
                        .map(String::as_str),
                );
            }
        }
        let lost = self.pages.keys().filter(|path| !found.contains(path.as_str()));
        lost.map(|path| Offence {
            path: path.clone(),
            line: 1,
            what: "no link leads here".to_owned(),
        })
        .collect()
    }
}

impl Page {
    fn of(text: &str) -> Self {
        let (mut links, mut anchors) = (Vec::new(), BTreeSet::new());
        let mut fence = None;
        for (number, line) in text.lines().enumerate() {
            let start = line.trim_start();
            match fence {
                Some(mark) => {
                    if start.starts_with(mark) {
                        fence = None;
                    }
                    continue;
                }
                None => fence = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark)),
            }
            if fence.is_some() {
                continue;
            }
            links.extend(links_in(line).into_iter().map(|link| (number + 1, link)));
            anchors.extend(set_by_hand(line));
            if let Some(heading) = heading(line) {
                let anchor = anchor(heading);
                let free =
                    (0..).map(|n| if n == 0 { anchor.clone() } else { format!("{anchor}-{n}") });
                anchors.extend(free.into_iter().find(|anchor| !anchors.contains(anchor)));
            }
        }
        Self { links, anchors }
    }
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with(' ')).then(|| text.trim())
}

/// `<a id="…">` and `<a name="…">`.
fn set_by_hand(line: &str) -> Vec<String> {
    let starts = ["id=\"", "name=\""].into_iter().filter(|_| line.contains("<a "));
    let set = starts.flat_map(|start| line.split(start).skip(1));
    set.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// Where the links of a line lead, without those that leave the repository.
fn links_in(line: &str) -> Vec<String> {
    // What stands between backticks is shown, not followed.
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let reference = prose.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    let all = inline.chain(reference.map(|(_, target)| target.trim()));
    let relative = all.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    relative.map(str::to_owned).collect()
}

/// A path relative to the folder of a document, from the root; `None` above it.
fn resolve(from: &str, file: &str) -> Option<String> {
    if file.is_empty() {
        return Some(from.to_owned());
    }
    if file.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn library(documents: &[(&str, &str)]) -> Library {
    let documents: Vec<_> =
        documents.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    Library::new(&documents, &["src/lib.rs".to_owned()])
}

#[test]
fn a_link_that_leads_nowhere_is_found_at_its_line() {
    let check = |text: &str, expected: &[usize]| {
        let there = (
            "docs/there.md",
            "# A `b-c` d's [e](f)\n\n## Twice\n\n## Twice\n<a id=\"own\"></a>\n```\n# No\n```\n",
        );
        let offences = library(&[("docs/x.md", text), there, ("docs/f", "")]).broken();
        let lines: Vec<_> =
            offences.iter().filter(|it| it.path == "docs/x.md").map(|it| it.line).collect();
        assert_eq!(lines, expected, "{text:?}: {offences:?}");
    };

    check("[a](there.md) [b](../src/lib.rs) [c](../src) [d](https://x.y/z) [e](#x)\n# X", &[]);
    check("\n[a](gone.md)", &[2]);
    check(
        "[a](there.md#a-b-c-ds-e), [b](there.md#twice), [c](there.md#twice-1), [d](there.md#own)",
        &[],
    );
    check("[a](there.md#twice-2)", &[1]);
    check("[a](there.md#no)", &[1]);
    check("[a](#nowhere)", &[1]);
    check("[a](../../x.md)", &[1]);
    check("[a](/docs/there.md)", &[1]);
    check("![a](gone.svg)", &[1]);
    check("[a]: gone.md", &[1]);
    check("`[a](gone.md)`", &[]);
    check("```\n[a](gone.md)\n```", &[]);
}

#[test]
fn a_page_that_nobody_links_to_is_found() {
    let found = |readme: &str| -> Vec<String> {
        let documents = [
            ("README.md", readme),
            ("docs/a.md", "[b](b.md)"),
            ("docs/b.md", ""),
            ("docs/c/d.md", ""),
        ];
        library(&documents).lost().into_iter().map(|it| it.path).collect()
    };

    assert_eq!(found("[a](docs/a.md)"), ["docs/c/d.md"]);
    assert_eq!(found("[b](docs/b.md) [c](docs/c)"), ["docs/a.md"]);
    assert_eq!(found("[all](docs)"), [""; 0]);
}
