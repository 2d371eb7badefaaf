//! Rust files as the rules see them: code apart from comments and text, paths expanded, test code known.
//!
//! This is no parser. It knows comments, literals, braces and `::`, which is enough for rules about names, and it never
//! takes a word in a comment or a string for code.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path as FsPath;

/// One `a::b::c` in code. A group in a `use` counts as one path for each of its members.
#[derive(Clone, Debug)]
pub struct Path {
    /// Where its first segment starts, in characters.
    pub at: usize,
    /// Its segments, without turbofish and generics.
    pub segments: Vec<String>,
}

impl Path {
    /// Whether it starts with these segments, written `a::b`.
    pub fn starts_with(&self, prefix: &str) -> bool {
        prefix
            .split("::")
            .enumerate()
            .all(|(i, part)| self.segments.get(i).is_some_and(|s| s == part))
    }

    /// Whether these segments, written `a::b`, stand anywhere in it.
    pub fn contains(&self, part: &str) -> bool {
        let part: Vec<_> = part.split("::").collect();
        self.segments.windows(part.len()).any(|window| window == part)
    }
}

/// One Rust file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Relative to the crate, with `/`.
    pub path: String,
    /// As it stands.
    pub text: String,
    /// The code; each character of a comment or of a literal's text is a blank.
    pub code: Vec<char>,
    /// The comments; all else is blank.
    pub comments: Vec<char>,
    /// All paths in the code.
    pub paths: Vec<Path>,
    all_test: bool,
    tests: Vec<Range<usize>>,
    modules: Vec<Range<usize>>,
}

impl Source {
    /// Reads `text` as the file `path`.
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            paths: paths(&code),
            all_test: path.starts_with("tests/") || find(&code, "#![cfg(test)]", 0).is_some(),
            tests: bodies_after(&code, "#[cfg(test)]"),
            modules: bodies_after(&code, "mod "),
            code,
            comments,
        }
    }

    /// The line of a character, from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.code.iter().take(at).filter(|c| **c == '\n').count()
    }

    /// Whether the character belongs to test code.
    pub fn in_test(&self, at: usize) -> bool {
        self.all_test || self.tests.iter().any(|body| body.contains(&at))
    }

    /// Whether the file lies in one of these folders (`src/x/`) or is one of these files.
    pub fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| {
            self.path == *place || (place.ends_with('/') && self.path.starts_with(place))
        })
    }

    /// The modules of the crate that the file is, outermost first; `main.rs` counts as `main`.
    pub fn module(&self) -> Vec<&str> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        let inner = inner.strip_suffix("/mod").unwrap_or(inner);
        inner.split('/').filter(|part| *part != "lib").collect()
    }

    /// How many inline modules surround a character.
    pub fn inline_modules(&self, at: usize) -> usize {
        self.modules.iter().filter(|body| body.contains(&at)).count()
    }

    /// Every place where `needle` stands in the code as whole words: no letter or digit goes on at either end.
    pub fn words(&self, needle: &str) -> Vec<usize> {
        words(&self.code, needle)
    }

    /// The files or folders of modules that are declared here for tests alone.
    fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        let mut found = Vec::new();
        for at in words(&self.code, "#[cfg(test)]") {
            let item: String =
                self.code[at..].iter().take_while(|c| **c != ';' && **c != '{').collect();
            if let Some((_, name)) = item.split_once("mod ") {
                found.push(format!("{folder}/{}", name.trim()));
            }
        }
        found
    }
}

/// All Rust files of the crate.
#[derive(Debug)]
pub struct Tree {
    /// In the order of their paths.
    pub files: Vec<Source>,
}

impl Tree {
    /// Reads `src`, `tests` and `benches`.
    pub fn load() -> Self {
        let root = FsPath::new(env!("CARGO_MANIFEST_DIR"));
        let files = list(root, &["src", "tests", "benches"]).into_iter();
        Self::of(
            files
                .filter(|path| path.ends_with(".rs"))
                .map(|path| {
                    let text = fs::read_to_string(root.join(&path)).unwrap();
                    Source::new(&path, &text)
                })
                .collect(),
        )
    }

    /// Puts files together: a file that another one declares for tests alone is test code.
    pub fn of(mut files: Vec<Source>) -> Self {
        let test_modules: BTreeSet<_> = files.iter().flat_map(Source::test_modules).collect();
        for file in &mut files {
            let is_one = |module: &String| {
                file.path == format!("{module}.rs") || file.path.starts_with(&format!("{module}/"))
            };
            file.all_test |= test_modules.iter().any(is_one);
        }
        Self { files }
    }

    /// The files under `src`.
    pub fn src(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.path.starts_with("src/"))
    }
}

/// Every file under these folders of `root`, by relative path, in order; a missing folder has none.
pub fn list(root: &FsPath, folders: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut left: Vec<_> = folders.iter().map(|folder| (*folder).to_owned()).collect();
    while let Some(folder) = left.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else {
            continue;
        };
        for entry in entries.map(Result::unwrap) {
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            let list = if entry.file_type().unwrap().is_dir() { &mut left } else { &mut found };
            list.push(path);
        }
    }
    found.sort();
    found
}

/// Code and comments apart, both as long as the text.
fn split(text: &str) -> (Vec<char>, Vec<char>) {
    let text: Vec<char> = text.chars().collect();
    let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
    let (mut code, mut comments) = (text.clone(), text.iter().map(blank).collect::<Vec<_>>());
    let mut at = 0;
    while at < text.len() {
        let (end, comment) = match text[at..] {
            ['/', '/', ..] => (line_end(&text, at), true),
            ['/', '*', ..] => (block_end(&text, at), true),
            ['"', ..] => (string_end(&text, at), false),
            ['r', '"' | '#', ..] if !continues(&text, at) || text[at - 1] == 'b' => {
                (raw_end(&text, at), false)
            }
            ['\'', '\\', ..] => (find(&text, "'", at + 3).map_or(text.len(), |end| end + 1), false),
            ['\'', _, '\'', ..] => (at + 3, false),
            _ => {
                at += 1;
                continue;
            }
        };
        for i in at..end {
            if comment {
                comments[i] = text[i];
            }
            code[i] = blank(&text[i]);
        }
        at = end;
    }
    (code, comments)
}

fn line_end(text: &[char], at: usize) -> usize {
    find(text, "\n", at).unwrap_or(text.len())
}

fn block_end(text: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

fn string_end(text: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The end of `r#"…"#`; of `r#name`, just past the `r`.
fn raw_end(text: &[char], at: usize) -> usize {
    let hashes = text[at + 1..].iter().take_while(|c| **c == '#').count();
    if text.get(at + 1 + hashes) != Some(&'"') {
        return at + 1;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    find(text, &close, at + 2 + hashes).map_or(text.len(), |end| end + 1 + hashes)
}

/// Whether the character goes on with a word that started before it.
fn continues(text: &[char], at: usize) -> bool {
    at > 0 && is_word(text[at - 1])
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(text: &[char], needle: &str, from: usize) -> Option<usize> {
    let needle: Vec<char> = needle.chars().collect();
    let rest = text.get(from..)?;
    rest.windows(needle.len()).position(|window| window == needle).map(|at| from + at)
}

/// Every place where `needle` stands as whole words.
pub fn words(text: &[char], needle: &str) -> Vec<usize> {
    let (first, last) = (needle.chars().next(), needle.chars().last());
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = find(text, needle, from) {
        let end = at + needle.chars().count();
        let starts = !first.is_some_and(is_word) || !continues(text, at);
        let ends = !last.is_some_and(is_word) || !text.get(end).copied().is_some_and(is_word);
        if starts && ends {
            found.push(at);
        }
        from = end;
    }
    found
}

/// The item after each `opener`: to its closing brace, or to a `;` that comes first.
fn bodies_after(code: &[char], opener: &str) -> Vec<Range<usize>> {
    words(code, opener).into_iter().filter_map(|at| body(code, at)).collect()
}

fn body(code: &[char], from: usize) -> Option<Range<usize>> {
    let open = (from..code.len()).find(|at| matches!(code[*at], '{' | ';'))?;
    if code[open] == ';' {
        return Some(from..open);
    }
    let mut depth = 0;
    for (at, c) in code.iter().enumerate().skip(open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(from..at);
        }
    }
    Some(from..code.len())
}

/// All paths of two segments and more, and what `use` names.
fn paths(code: &[char]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut after_use = false;
    while at < code.len() {
        if !is_word(code[at]) {
            at += 1;
            continue;
        }
        let mut here = Vec::new();
        let end = path(code, at, &[], &mut here);
        let word: String = code[at..end].iter().collect();
        found.extend(here.into_iter().filter(|path| after_use || path.segments.len() > 1));
        after_use = word == "use";
        at = end;
    }
    found
}

/// Reads the path that starts at `at`, behind `prefix`, group and all. Returns where it ends.
fn path(code: &[char], at: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let start = at;
    let mut segments = prefix.to_vec();
    let mut at = at;
    loop {
        let end = (at..code.len()).find(|i| !is_word(code[*i])).unwrap_or(code.len());
        segments.push(code[at..end].iter().collect());
        at = end;
        let [':', ':', next, ..] = code[at..] else {
            break;
        };
        if next == '{' {
            return group(code, at + 3, &segments, found);
        }
        if !is_word(next) {
            break;
        }
        at += 2;
    }
    found.push(Path { at: start, segments });
    at
}

/// Reads `a, b::c, d::{e, f}}` from behind its opening brace. Returns where it ends.
fn group(code: &[char], at: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let mut at = at;
    while at < code.len() && code[at] != '}' {
        at = match code[at..] {
            ['a', 's', ' ', ..] if !continues(code, at) => {
                (at + 3..code.len()).find(|i| !is_word(code[*i])).unwrap_or(code.len())
            }
            [c, ..] if is_word(c) => path(code, at, prefix, found),
            _ => at + 1,
        };
    }
    at + 1
}
