//! The pictures: updates a second and the 99th percentile over callers, both axes logarithmic, as SVG.

use std::fmt::Write;
use std::ops::RangeInclusive;

use crate::layout::Spread;
use crate::report::{Cell, Results};
use crate::sample::Sample;
use crate::site::Strategy;

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 400.0;
/// Of one panel's axes.
const PANEL: (f64, f64) = (350.0, 270.0);
/// Left ends of the two panels.
const LEFT: [f64; 2] = [70.0, 530.0];
const TOP: f64 = 70.0;
/// The least ratio between the ends of an axis, so that a flat line looks flat.
const LEAST_SPAN: f64 = 10.0;

/// A panel's figures.
struct Measure {
    title: &'static str,
    of: fn(&Sample) -> f64,
}

const MEASURES: [Measure; 2] = [
    Measure { title: "updates/s", of: Sample::rate },
    Measure { title: "p99, ms", of: Sample::p99_ms },
];

/// A logarithmic axis.
struct Axis {
    range: RangeInclusive<f64>,
    /// Where its ends are.
    ends: (f64, f64),
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let (low, high) = (self.range.start().ln(), self.range.end().ln());
        let (from, to) = self.ends;
        from + (to - from) * (value.ln() - low) / (high - low)
    }
}

/// Colours that differ in lightness too, and marks that differ in shape.
const fn look(strategy: Strategy) -> (&'static str, &'static str) {
    match strategy {
        Strategy::Legacy => ("#8a8a8a", "M-4,-4L4,4M-4,4L4,-4"),
        Strategy::Serialize => ("#0b5fa5", "M-4,-4H4V4H-4Z"),
        Strategy::Atomic => ("#c2410c", "M0,-5L5,4H-5Z"),
        Strategy::Upstream => ("#2e7d32", "M0,-5L5,0L0,5L-5,0Z"),
    }
}

/// A load's picture.
pub(crate) fn svg(results: &Results, window: &str) -> String {
    let mut svg = Svg::default();
    svg.add(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="black"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>"#
    ));
    svg.text(WIDTH / 2.0, 24.0, "middle", &format!("{}, app {window}", results.load.title()));
    legend(&mut svg, results);
    for (measure, left) in MEASURES.iter().zip(LEFT) {
        panel(&mut svg, results, measure, left);
    }
    svg.add(format_args!("</svg>"));
    svg.0
}

fn legend(svg: &mut Svg, results: &Results) {
    let mut strategies: Vec<Strategy> = Vec::new();
    for cell in &results.cells {
        if !strategies.contains(&cell.strategy) {
            strategies.push(cell.strategy);
        }
    }
    let step = 190.0;
    let first = WIDTH / 2.0 - step * (strategies.len() as f64 - 0.5) / 2.0;
    for (place, strategy) in strategies.into_iter().enumerate() {
        let x = first + step * place as f64;
        svg.line([(x - 14.0, 44.0), (x + 14.0, 44.0)], look(strategy).0, 2.0);
        svg.mark(x, 44.0, strategy);
        let name = match strategy {
            Strategy::Legacy => "legacy (loses updates)",
            _ => strategy.name(),
        };
        svg.text(x + 20.0, 48.0, "start", name);
    }
}

fn panel(svg: &mut Svg, results: &Results, measure: &Measure, left: f64) {
    let (width, height) = PANEL;
    let callers = || results.cells.iter().map(|cell| cell.callers as f64);
    let (fewest, most) = ends(callers());
    let x = Axis { range: fewest * 0.8..=most * 1.25, ends: (left, left + width) };
    let values = results.cells.iter().flat_map(|cell| cell.samples.iter().map(measure.of));
    let (low, high) = ends(values);
    let high = high.max(low * LEAST_SPAN);
    let y = Axis { range: low * 0.8..=high * 1.25, ends: (TOP + height, TOP) };

    for (value, is_power) in ticks(&y.range) {
        let at = y.at(value);
        svg.line([(left, at), (left + width, at)], "#ddd", if is_power { 1.0 } else { 0.4 });
        svg.text(left - 6.0, at + 4.0, "end", &format!("{value}"));
    }
    let mut named = Vec::new();
    for count in callers().filter(|count| *count > 0.0) {
        if !named.contains(&count) {
            svg.line([(x.at(count), TOP), (x.at(count), TOP + height)], "#eee", 1.0);
            svg.text(x.at(count), TOP + height + 18.0, "middle", &format!("{count}"));
            named.push(count);
        }
    }
    svg.line([(left, TOP), (left, TOP + height)], "#222", 1.0);
    svg.line([(left, TOP + height), (left + width, TOP + height)], "#222", 1.0);
    svg.text(left, TOP - 6.0, "start", measure.title);
    svg.text(left + width / 2.0, TOP + height + 40.0, "middle", "callers");
    for strategy in [Strategy::Legacy, Strategy::Serialize, Strategy::Upstream, Strategy::Atomic] {
        let cells: Vec<&Cell> =
            results.cells.iter().filter(|cell| cell.strategy == strategy).collect();
        series(svg, &cells, measure, &x, &y);
    }
}

/// A line through the medians, with a bar from the least to the most at each.
fn series(svg: &mut Svg, cells: &[&Cell], measure: &Measure, x: &Axis, y: &Axis) {
    let mut before = None;
    for cell in cells {
        let x = x.at(cell.callers as f64);
        let colour = look(cell.strategy).0;
        let spread = Spread::of(cell.samples.iter().map(measure.of));
        let point = (x, y.at(spread.median));
        if !point.1.is_finite() {
            continue;
        }
        svg.line([(x, y.at(spread.least)), (x, y.at(spread.most))], colour, 1.0);
        if let Some(before) = before.replace(point) {
            svg.line([before, point], colour, 2.0);
        }
        svg.mark(point.0, point.1, cell.strategy);
    }
}

/// The least and the most of some figures that a logarithm can take.
fn ends(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let figures = figures.filter(|figure| figure.is_finite() && *figure > 0.0);
    let (low, high) =
        figures.fold((f64::INFINITY, 0.0_f64), |(low, high), it| (low.min(it), high.max(it)));
    if low.is_finite() { (low, high) } else { (1.0, 1.0) }
}

/// One, two and five times the powers of ten within a range, and whether it is a power.
fn ticks(range: &RangeInclusive<f64>) -> Vec<(f64, bool)> {
    let powers = range.start().log10().floor() as i32..=range.end().log10().ceil() as i32;
    let all = powers.flat_map(|power| {
        [1.0, 2.0, 5.0].map(|times| {
            // Divided, since a tenth to some power isn't the nearest number to what its digits say.
            let value =
                if power < 0 { times / 10_f64.powi(-power) } else { times * 10_f64.powi(power) };
            (value, times == 1.0)
        })
    });
    all.filter(|(value, _)| range.contains(value)).collect()
}

#[derive(Default)]
struct Svg(String);

impl Svg {
    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        let written = writeln!(self.0, "{element}");
        debug_assert!(written.is_ok(), "a String takes whatever is written to it");
    }

    fn line(&mut self, [(x1, y1), (x2, y2)]: [(f64, f64); 2], colour: &str, width: f64) {
        self.add(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}"/>"#
        ));
    }

    fn mark(&mut self, x: f64, y: f64, strategy: Strategy) {
        let (colour, shape) = look(strategy);
        self.add(format_args!(
            r#"<path d="{shape}" transform="translate({x:.1},{y:.1})" fill="{colour}" stroke="{colour}" stroke-width="1.5"/>"#
        ));
    }

    /// `text` has none of the characters that XML keeps for itself.
    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        self.add(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        ));
    }
}
