//! The picture: each measure that has a yardstick as a bar from "as good" to how many times better or worse.

use super::{Measure, Results};

const WIDTH: f64 = 900.0;
const LEFT: f64 = 430.0;
const RIGHT: f64 = 840.0;
const LINE: f64 = 20.0;
/// The scale goes from a sixteenth to sixteen times.
const DECADES: f64 = 4.0;

/// An SVG on a logarithmic scale: to the right of the middle line Beacon is better than the yardstick, to the left worse.
pub fn chart(results: &Results) -> String {
    let measures: Vec<&Measure> = results.measures.iter().filter(|measure| measure.ratio.is_some()).collect();
    let mut body = String::new();
    let mut y = 46.0;
    let mut section = "";
    for measure in measures {
        if measure.section != section {
            section = measure.section;
            y += 10.0;
            body.push_str(&format!(
                "<text x=\"12\" y=\"{:.0}\" class=\"section\">{}</text>\n",
                y + 14.0,
                escape(section)
            ));
            y += LINE;
        }
        body.push_str(&bar(measure, y));
        y += LINE;
    }
    let height = y + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"Beacon beside \
         its yardsticks\">
<style>
  text {{ font: 12px system-ui, sans-serif; fill: #1f2933 }}
  .section {{ font-weight: 600 }}
  .scale {{ fill: #616e7c; text-anchor: middle }}
  .better {{ fill: #2f855a }} .worse {{ fill: #b7791f }} .missed {{ fill: #c53030 }}
  line {{ stroke: #cbd2d9 }}
</style>
<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>
{}{body}</svg>
",
        scale(height),
    )
}

fn x_of(ratio: f64) -> f64 {
    let share = (ratio.log2() / DECADES).clamp(-1.0, 1.0);
    (LEFT + RIGHT) / 2.0 + share * (RIGHT - LEFT) / 2.0
}

fn scale(height: f64) -> String {
    let mut lines = String::new();
    for (ratio, name) in
        [(0.0625, "1/16"), (0.25, "1/4"), (0.5, "1/2"), (1.0, "as good"), (2.0, "2x"), (4.0, "4x"), (16.0, "16x")]
    {
        let x = x_of(ratio);
        lines.push_str(&format!(
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"36\" y2=\"{:.0}\"/><text x=\"{x:.1}\" y=\"28\" class=\"scale\">{name}</text>\n",
            height - 10.0,
        ));
    }
    lines
}

fn bar(measure: &Measure, y: f64) -> String {
    let ratio = measure.ratio.unwrap_or(1.0);
    let (middle, end) = (x_of(1.0), x_of(ratio));
    let missed = measure.aim.is_some_and(|verdict| verdict.missed_by.is_some());
    let class = if missed {
        "missed"
    } else if ratio >= 1.0 {
        "better"
    } else {
        "worse"
    };
    let (x, width) = (middle.min(end), (end - middle).abs().max(1.0));
    // The figure stands at the end of its bar, outside of it.
    let (label_x, anchor) = if ratio >= 1.0 { (end + 4.0, "start") } else { (end - 4.0, "end") };
    format!(
        "<text x=\"24\" y=\"{text_y:.0}\">{what}</text>\
         <rect x=\"{x:.1}\" y=\"{bar_y:.0}\" width=\"{width:.1}\" height=\"13\" class=\"{class}\"/>\
         <text x=\"{label_x:.1}\" y=\"{text_y:.0}\" text-anchor=\"{anchor}\">{ratio:.2}x</text>\n",
        text_y = y + 14.0,
        bar_y = y + 3.0,
        what = escape(&measure.what),
    )
}

/// Text as SVG wants it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_as_good_is_as_far_right_as_half_as_good_is_left() {
        let middle = x_of(1.0);
        assert!(((x_of(2.0) - middle) - (middle - x_of(0.5))).abs() < 1e-9);
        assert_eq!((x_of(1e9), x_of(1e-9)), (RIGHT, LEFT));
    }
}
