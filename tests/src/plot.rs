//! Line plots as SVG, for the pages of `docs`: no script, no font, readable on light and on dark.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
/// Without the rows of the legend.
const HEAD: f64 = 58.0;
const LEGEND_ROW: f64 = 18.0;
const BOTTOM: f64 = 54.0;

/// Colours of lines on light and on dark ground: told apart by people who see red and green alike, and by their dashes.
const COLOURS: [(&str, &str, &str); 6] = [
    ("#0969da", "#58a6ff", "none"),
    ("#bc4c00", "#f0883e", "7 4"),
    ("#1a7f37", "#3fb950", "2 3"),
    ("#8250df", "#bc8cff", "10 3 2 3"),
    ("#bf3989", "#f778ba", "4 2"),
    ("#57606a", "#8b949e", "1 2"),
];

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    label: &'static str,
    is_log: bool,
    from: Option<f64>,
}

impl Axis {
    /// By powers of ten.
    #[must_use]
    pub fn log(label: &'static str) -> Self {
        Self { label, is_log: true, from: None }
    }

    /// From 0.
    #[must_use]
    pub fn linear(label: &'static str) -> Self {
        Self { label, is_log: false, from: Some(0.0) }
    }

    /// Reaches down to `from` at least.
    #[must_use]
    pub fn from(self, from: f64) -> Self {
        Self { from: Some(from), ..self }
    }

    /// Both ends and the ticks between, for values within `(least, most)`.
    fn span(&self, least: f64, most: f64) -> (f64, f64, Vec<f64>) {
        let least = self.from.map_or(least, |from| from.min(least));
        if self.is_log {
            let low = least.max(1e-9).log10().floor();
            let high = most.max(1e-9).log10().ceil().max(low + 1.0);
            let step = ((high - low) / 9.0).ceil();
            let mut ticks = vec![];
            let mut at = low;
            while at <= high {
                ticks.push(10f64.powf(at));
                at += step;
            }
            (10f64.powf(low), 10f64.powf(high), ticks)
        } else {
            let rough = (most - least).max(1e-9) / 6.0;
            let unit = 10f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * unit).into_iter().find(|step| *step >= rough);
            let step = step.unwrap_or(10.0 * unit);
            let high = (most / step).ceil() * step;
            let mut ticks = vec![];
            let mut at = (least / step).floor() * step;
            let low = at;
            while at <= high + step / 2.0 {
                ticks.push(at);
                at += step;
            }
            (low, high, ticks)
        }
    }

    /// Where a value stands between both ends, 0 to 1.
    fn place(&self, value: f64, (low, high): (f64, f64)) -> f64 {
        if self.is_log {
            (value.max(low).log10() - low.log10()) / (high.log10() - low.log10())
        } else {
            (value - low) / (high - low)
        }
    }
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the legend calls it.
    pub name: String,
    /// Its points, by x. What is not finite is left out.
    pub points: Vec<(f64, f64)>,
}

/// Lines in one frame.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// The lines: at most six.
    pub lines: Vec<Line>,
    /// Levels that y must not, or cannot, pass, and what they are.
    pub limits: Vec<(String, f64)>,
}

impl Plot {
    /// The file.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied()).filter(is_finite);
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)))
        };
        let legend = self.legend();
        let rows = legend.iter().map(|(_, row)| *row).fold(1.0, f64::max);
        let top = HEAD + LEGEND_ROW * rows;
        let (x_least, x_most) = ends(&mut points().map(|(x, _)| x));
        let (y_least, y_most) = ends(&mut points().map(|(_, y)| y).chain(self.limits.iter().map(|(_, level)| *level)));
        let (x_low, x_high, x_ticks) = self.x.span(x_least, x_most);
        let (y_low, y_high, y_ticks) = self.y.span(y_least, y_most);
        let x_of = |x: f64| LEFT + (WIDTH - LEFT - RIGHT) * self.x.place(x, (x_low, x_high));
        let y_of = |y: f64| HEIGHT - BOTTOM - (HEIGHT - top - BOTTOM) * self.y.place(y, (y_low, y_high));
        let mut svg = String::new();
        let mut put = |text: String| {
            svg.push_str(&text);
            svg.push('\n');
        };
        put(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        ));
        put(style(self.lines.len()));
        put(format!("<rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>"));
        put(format!("<text class=\"title\" x=\"{LEFT}\" y=\"26\">{}</text>", escape(&self.title)));
        for tick in x_ticks {
            let x = x_of(tick);
            put(format!("<path class=\"grid\" d=\"M{x:.1} {top}V{:.1}\"/>", HEIGHT - BOTTOM));
            let y = HEIGHT - BOTTOM + 18.0;
            put(format!("<text class=\"middle\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", short(tick)));
        }
        for tick in y_ticks {
            let y = y_of(tick);
            put(format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT));
            put(format!("<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", LEFT - 8.0, y + 4.0, short(tick)));
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        put(format!(
            "<text class=\"middle\" x=\"{middle:.1}\" y=\"{:.1}\">{}</text>",
            HEIGHT - 12.0,
            escape(self.x.label)
        ));
        let middle = f64::midpoint(top, HEIGHT - BOTTOM);
        put(format!(
            "<text class=\"middle\" transform=\"translate(18 {middle:.1}) rotate(-90)\">{}</text>",
            escape(self.y.label)
        ));
        for (name, level) in &self.limits {
            let y = y_of(*level);
            put(format!("<path class=\"limit\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT));
            let (x, y) = (WIDTH - RIGHT - 6.0, y - 5.0);
            put(format!("<text class=\"end limit-name\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(name)));
        }
        for ((index, line), (left, row)) in self.lines.iter().enumerate().zip(legend) {
            let mut path = String::new();
            for (at, (x, y)) in line.points.iter().copied().filter(is_finite).enumerate() {
                let _written = write!(path, "{}{:.1} {:.1}", if at == 0 { 'M' } else { 'L' }, x_of(x), y_of(y)).is_ok();
            }
            put(format!("<path class=\"line line-{index}\" d=\"{path}\"/>"));
            // Many points are a curve, few are measurements.
            for (x, y) in line.points.iter().copied().filter(is_finite).filter(|_| line.points.len() <= 24) {
                put(format!("<circle class=\"dot-{index}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.2\"/>", x_of(x), y_of(y)));
            }
            let (next, y) = (left + 26.0, 32.0 + LEGEND_ROW * row);
            put(format!("<path class=\"line line-{index}\" d=\"M{left:.1} {y}H{next:.1}\"/>"));
            put(format!("<text x=\"{:.1}\" y=\"{}\">{}</text>", next + 6.0, y + 4.0, escape(&line.name)));
        }
        put("</svg>".to_owned());
        svg
    }
    /// Where each entry of the legend begins, and in which row, from 1.
    fn legend(&self) -> Vec<(f64, f64)> {
        let (mut left, mut row) = (LEFT, 1.0);
        let mut places = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            let letters = f64::from(u32::try_from(line.name.chars().count()).unwrap_or(u32::MAX));
            let width = 32.0 + 6.9 * letters;
            if left > LEFT && left + width > WIDTH - RIGHT {
                (left, row) = (LEFT, row + 1.0);
            }
            places.push((left, row));
            left += width + 20.0;
        }
        places
    }
}

fn is_finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

fn style(lines: usize) -> String {
    let rules = |is_dark: bool| {
        let (ground, text, grid, limit) = if is_dark {
            ("#0d1117", "#e6edf3", "#30363d", "#ff7b72")
        } else {
            ("#ffffff", "#1f2328", "#d8dee4", "#cf222e")
        };
        let mut rules = format!(
            ".ground{{fill:{ground}}}text{{fill:{text}}}.grid{{stroke:{grid}}}.limit{{stroke:{limit}}}.limit-name{{fill:{limit}}}"
        );
        for (index, (light, dark, _)) in COLOURS.iter().take(lines).enumerate() {
            let colour = if is_dark { dark } else { light };
            let _written = write!(rules, ".line-{index}{{stroke:{colour}}}.dot-{index}{{fill:{colour}}}").is_ok();
        }
        rules
    };
    let mut dashes = String::new();
    for (index, (_, _, dash)) in COLOURS.iter().take(lines).enumerate() {
        let _written = write!(dashes, ".line-{index}{{stroke-dasharray:{dash}}}").is_ok();
    }
    format!(
        "<style>text{{font:13px system-ui,sans-serif}}.title{{font-size:16px;font-weight:600}}.middle{{text-anchor:middle}}\
         .end{{text-anchor:end}}.grid{{fill:none;stroke-width:1}}.limit{{fill:none;stroke-width:1.5;stroke-dasharray:3 3}}\
         .limit-name{{font-size:12px;stroke:none}}.line{{fill:none;stroke-width:2.2}}{dashes}{}\
         @media(prefers-color-scheme:dark){{{}}}</style>",
        rules(false),
        rules(true)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A number in two or three digits and a unit: what people read on an axis.
#[must_use]
pub fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        n if n >= 1e9 => (number / 1e9, " G"),
        n if n >= 1e6 => (number / 1e6, " M"),
        n if n >= 1e3 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    let digits = match scaled.abs() {
        n if n >= 99.95 || (n - n.round()).abs() < 1e-9 => format!("{scaled:.0}"),
        n if n >= 0.995 => format!("{scaled:.1}"),
        n if n >= 0.01 => format!("{scaled:.2}"),
        _ => format!("{scaled}"),
    };
    format!("{digits}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_whole_ones_stay_whole() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (99.96, "100"),
            (1_000.0, "1 k"),
            (40_200.0, "40.2 k"),
            (2e6, "2 M"),
        ];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn every_point_lies_in_the_frame_and_a_title_cannot_break_the_file() {
        let line = Line { name: "a<b".to_owned(), points: vec![(1.0, 5.0), (1e5, 7_000.0), (10.0, f64::NAN)] };
        for y in [Axis::log("y"), Axis::linear("y")] {
            let plot = Plot {
                title: "\"&\"".to_owned(),
                x: Axis::log("x"),
                y,
                lines: vec![line.clone()],
                limits: vec![("most".to_owned(), 9_000.0)],
            };
            let svg = plot.to_svg();
            assert!(svg.contains("&quot;&amp;&quot;") && svg.contains("a&lt;b") && !svg.contains("NaN"), "{svg}");
            let centres = svg.split("<circle").skip(1).map(|circle| {
                let number = |name: &str| -> f64 {
                    let at = circle.split(name).nth(1).and_then(|rest| rest.split('"').nth(1));
                    at.and_then(|text| text.parse().ok()).unwrap_or(-1.0)
                };
                (number("cx="), number("cy="))
            });
            let inside =
                |(x, y): &(f64, f64)| (LEFT..=WIDTH - RIGHT).contains(x) && (HEAD..=HEIGHT - BOTTOM).contains(y);
            let centres: Vec<_> = centres.collect();
            assert!(centres.len() == 2 && centres.iter().all(inside), "{centres:?}");
        }
    }
}
