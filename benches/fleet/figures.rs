//! How figures are put together: quantiles of a run, and the median and range of several.

use crate::layout::Spread;

/// The figure below which a share of them lies; they are sorted.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share) as usize;
    sorted.get(rank.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// `median (least-most)`, or the one figure there is.
pub(crate) fn show(figures: impl Iterator<Item = f64>, digits: usize) -> String {
    let Spread { least, median, most } = Spread::of(figures);
    let text = format!("{median:.digits$}");
    match (format!("{least:.digits$}"), format!("{most:.digits$}")) {
        (least, most) if least == most => text,
        (least, most) => format!("{text} ({least}-{most})"),
    }
}

/// The median alone.
pub(crate) fn middle(figures: impl Iterator<Item = f64>) -> f64 {
    Spread::of(figures).median
}
