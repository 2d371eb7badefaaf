//! A strict reader of the text exposition format 0.0.4, for tests: it refuses whatever a scraper might.

use std::collections::{BTreeMap, BTreeSet};

/// A page as it was read: families by name.
pub(super) type Families = BTreeMap<String, Family>;

/// The labels of a sample.
pub(super) type Labels = BTreeMap<String, String>;

/// One family.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) help: String,
    pub(super) kind: String,
    /// With the whole name of each, `_bucket` and the like included.
    pub(super) samples: BTreeMap<(String, Labels), f64>,
}

/// Reads a page.
pub(super) fn parse(page: &str) -> Result<Families, String> {
    if !page.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut families = Families::new();
    let mut present = String::new();
    for line in page.lines() {
        read_line(line, &mut families, &mut present).map_err(|why| format!("{why}: {line:?}"))?;
    }
    for (name, family) in &families {
        check(name, family).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(families)
}

fn read_line(line: &str, families: &mut Families, present: &mut String) -> Result<(), String> {
    if let Some(rest) = line.strip_prefix("# HELP ") {
        let (name, help) = rest.split_once(' ').ok_or("help without a text")?;
        let family = Family { help: help.to_owned(), ..Family::default() };
        if !is_name(name) || families.insert(name.to_owned(), family).is_some() {
            return Err("a bad name, or a family that comes twice".to_owned());
        }
        name.clone_into(present);
        return Ok(());
    }
    let family = families.get_mut(present).ok_or("something before the first HELP line")?;
    if let Some(rest) = line.strip_prefix("# TYPE ") {
        let (name, kind) = rest.split_once(' ').ok_or("TYPE without a type")?;
        if name != present || !family.kind.is_empty() {
            return Err("TYPE does not follow its HELP".to_owned());
        }
        if !["counter", "gauge", "histogram"].contains(&kind) {
            return Err("an unknown type".to_owned());
        }
        kind.clone_into(&mut family.kind);
        return Ok(());
    }
    let (name, labels, value) = read_sample(line)?;
    let suffixes: &[&str] = match family.kind.as_str() {
        "" => return Err("a sample before its TYPE".to_owned()),
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => &[""],
    };
    if !suffixes.iter().any(|suffix| name == format!("{present}{suffix}")) {
        return Err("a sample of another family".to_owned());
    }
    if family.samples.insert((name, labels), value).is_some() {
        return Err("a series that comes twice".to_owned());
    }
    Ok(())
}

fn read_sample(line: &str) -> Result<(String, Labels, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(mut inner) = rest.strip_prefix('{') {
        while !inner.starts_with('}') {
            let (label, after) = inner.split_once("=\"").ok_or("a label without a value")?;
            let (value, after) = unquote(after)?;
            if !is_name(label) || labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("label {label} is bad or comes twice"));
            }
            inner = after.strip_prefix(',').unwrap_or(after);
            if inner.len() == after.len() && !inner.starts_with('}') {
                return Err("labels without a comma between".to_owned());
            }
        }
        rest = &inner[1..];
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let value = value.parse().map_err(|_| "a value that is no number")?;
    if is_name(name) { Ok((name.to_owned(), labels, value)) } else { Err("a bad name".to_owned()) }
}

fn unquote(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                _ => return Err("a bad escape".to_owned()),
            },
            c => value.push(c),
        }
    }
    Err("an open quote".to_owned())
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// What holds for a family as a whole.
fn check(name: &str, family: &Family) -> Result<(), String> {
    if family.samples.is_empty() || family.help.is_empty() {
        return Err("no samples or no help".to_owned());
    }
    if family.kind == "counter" && family.samples.values().any(|value| *value < 0.0) {
        return Err("a counter below zero".to_owned());
    }
    if family.kind != "histogram" {
        return Ok(());
    }
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for ((sample, labels), value) in &family.samples {
        if *sample == format!("{name}_bucket") {
            let mut labels = labels.clone();
            let bound = labels.remove("le").ok_or("a bucket without a bound")?;
            let bound = bound.parse().map_err(|_| "a bound that is no number")?;
            buckets.entry(labels).or_default().push((bound, *value));
        }
    }
    let series: BTreeSet<_> =
        family.samples.keys().filter(|(n, _)| !n.ends_with("_bucket")).collect();
    if series.len() != 2 * buckets.len() {
        return Err("sums, counts and buckets don't belong together".to_owned());
    }
    for (labels, mut bounds) in buckets {
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = family.samples.get(&(format!("{name}_count"), labels.clone()));
        if !bounds.is_sorted_by(|a, b| a.1 <= b.1) {
            return Err(format!("buckets fall: {labels:?}"));
        }
        if bounds.last().map(|(bound, count)| (*bound, Some(count))) != Some((f64::INFINITY, count))
        {
            return Err(format!("the last bucket is not the count: {labels:?}"));
        }
    }
    Ok(())
}

#[test]
fn the_reader_refuses_what_a_scraper_would() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"\\\"\\\\\\n\"} 1\n";
    let labels = Labels::from([("b".to_owned(), "\"\\\n".to_owned())]);
    assert_eq!(parse(good).unwrap()["a_total"].samples[&("a_total".to_owned(), labels)], 1.0);

    let head = "# HELP h H.\n# TYPE h histogram\n";
    for bad in [
        "a 1\n",
        "# HELP a A.\n# TYPE a counter\n",
        "# HELP a A.\n# TYPE a counter\na 1",
        "# HELP a A.\n# TYPE a counter\nb 1\n",
        "# HELP a A.\n# TYPE a counter\na 1\na 2\n",
        "# HELP a A.\n# TYPE a counter\na -1\n",
        "# HELP a A.\n# TYPE a counter\na one\n",
        "# HELP a A.\n# TYPE a counter\na{b=\"\\t\"} 1\n",
        "# HELP a A.\n# TYPE a counter\na{b=\"c} 1\n",
        "# HELP a A.\n# TYPE a counter\na{b=\"c\"d=\"e\"} 1\n",
        "# HELP a A.\n# TYPE a counter\na{b=\"c\",b=\"c\"} 1\n",
        "# HELP a A.\n# TYPE a counter\na 1\n# HELP a A.\n# TYPE a counter\na 1\n",
        &format!("{head}h_bucket{{le=\"1\"}} 1\nh_sum 1\nh_count 1\n"),
        &format!("{head}h_bucket{{le=\"1\"}} 2\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 1\n"),
        &format!("{head}h_bucket{{le=\"+Inf\"}} 1\nh_sum 1\nh_count 2\n"),
        &format!("{head}h_bucket{{le=\"+Inf\"}} 1\nh_count 1\n"),
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
