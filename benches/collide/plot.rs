//! The plot: panels side by side, curves for the model and points for what was measured.

use std::fmt::Write;

/// Of one panel's axes, in pixels.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 240.0;
/// Around each panel, for its axes and their names.
const LEFT: f64 = 64.0;
const TOP: f64 = 48.0;
const BELOW: f64 = 84.0;
/// The marks of each axis.
const MARKS: u32 = 5;
/// Of the curves, in their order, and what each is.
const CURVES: [(&str, &str); 2] = [
    ("#1f77b4", "model, window as configured"),
    ("#9ecae1", "model, window = an update's whole time"),
];

/// A measured value.
pub(crate) struct Point {
    pub(crate) at: f64,
    pub(crate) value: f64,
    /// How far it may be off, up and down.
    pub(crate) error: f64,
}

/// One diagram; both axes begin at 0.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
    /// The ends of the axes.
    pub(crate) most: (f64, f64),
    pub(crate) curves: Vec<Vec<(f64, f64)>>,
    pub(crate) points: Vec<Point>,
}

/// The panels as an SVG.
pub(crate) fn draw(panels: &[Panel]) -> String {
    let width = panels.len() as f64 * (LEFT + WIDTH) + LEFT / 2.0;
    let height = TOP + HEIGHT + BELOW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (place, panel) in panels.iter().enumerate() {
        let left = LEFT + place as f64 * (LEFT + WIDTH);
        panel.draw(&mut svg, left);
    }
    legend(&mut svg, height - 12.0);
    svg + "</svg>\n"
}

impl Panel {
    fn draw(&self, svg: &mut String, left: f64) {
        let x = |at: f64| left + at / self.most.0 * WIDTH;
        let y = |value: f64| TOP + HEIGHT - value / self.most.1 * HEIGHT;
        self.axes(svg, left, &x, &y);
        for (curve, (color, _)) in self.curves.iter().zip(CURVES) {
            let points = curve.iter().map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(*value)));
            let points = points.collect::<Vec<_>>().join(" ");
            put(
                svg,
                &format!(
                    "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>"
                ),
            );
        }
        for point in &self.points {
            let (at, value) = (x(point.at), y(point.value));
            let (low, high) = (y(point.value - point.error), y(point.value + point.error));
            put(svg, &format!("<path d=\"M{at:.1} {low:.1}V{high:.1}\" stroke=\"#d62728\"/>"));
            put(
                svg,
                &format!("<circle cx=\"{at:.1}\" cy=\"{value:.1}\" r=\"4\" fill=\"#d62728\"/>"),
            );
        }
    }

    fn axes(&self, svg: &mut String, left: f64, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) {
        let bottom = TOP + HEIGHT;
        for mark in 0..=MARKS {
            let part = f64::from(mark) / f64::from(MARKS);
            let (at, value) = (self.most.0 * part, self.most.1 * part);
            put(svg, &format!("<path d=\"M{left} {0:.1}h{WIDTH}\" stroke=\"#ddd\"/>", y(value)));
            text(
                svg,
                (left - 8.0, y(value) + 4.0),
                "end",
                &format!("{}", (value * 100.0).round() / 100.0),
            );
            text(svg, (x(at), bottom + 18.0), "middle", &format!("{at}"));
        }
        put(
            svg,
            &format!("<path d=\"M{left} {TOP}V{bottom}h{WIDTH}\" fill=\"none\" stroke=\"black\"/>"),
        );
        text(svg, (left, TOP - 26.0), "start", &self.title);
        text(svg, (left, TOP - 8.0), "start", self.up);
        text(svg, (left + WIDTH, bottom + 36.0), "end", self.across);
    }
}

fn legend(svg: &mut String, y: f64) {
    let mut left = LEFT;
    for (color, name) in CURVES {
        put(
            svg,
            &format!(
                "<path d=\"M{left} {:.1}h24\" stroke=\"{color}\" stroke-width=\"2\"/>",
                y - 4.0
            ),
        );
        text(svg, (left + 32.0, y), "start", name);
        left += 290.0;
    }
    put(svg, &format!("<circle cx=\"{left}\" cy=\"{:.1}\" r=\"4\" fill=\"#d62728\"/>", y - 4.0));
    text(svg, (left + 12.0, y), "start", "measured, ± 2 standard errors");
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, words: &str) {
    put(
        svg,
        &format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{words}</text>",
            at.0, at.1
        ),
    );
}

fn put(svg: &mut String, element: &str) {
    // Writing to a string can't fail.
    writeln!(svg, "{element}").unwrap_or_default();
}
