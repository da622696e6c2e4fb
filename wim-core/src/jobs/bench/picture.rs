//! Pictures of a bench as SVG: speed against ratio, and the history of several saved ones.
//!
//! Written by hand, the same bytes for the same figures; colours follow the reader's light or dark mode by CSS. SVG 1.1 as
//! every browser shows it; no scripts, no fonts, nothing fetched.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::record::{Record, Row, RowKey};

/// Styles of pictures and pages; series have eight colours and begin again after them.
pub(super) const STYLE: &str = "\
:root{--ink:#1f2328;--faint:#d0d7de;--paper:#ffffff}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--faint:#3d444d;--paper:#0d1117}}\
svg{font:12px sans-serif}\
.paper{fill:var(--paper)}.grid{stroke:var(--faint);stroke-width:1}\
text{fill:var(--ink)}.title{font-size:14px;font-weight:bold}\
.line{fill:none;stroke-width:2}\
.s0{stroke:#0969da;fill:#0969da}.s1{stroke:#cf222e;fill:#cf222e}.s2{stroke:#1a7f37;fill:#1a7f37}\
.s3{stroke:#9a6700;fill:#9a6700}.s4{stroke:#8250df;fill:#8250df}.s5{stroke:#bf3989;fill:#bf3989}\
.s6{stroke:#1b7c83;fill:#1b7c83}.s7{stroke:#6e7781;fill:#6e7781}\
.line.s0,.line.s1,.line.s2,.line.s3,.line.s4,.line.s5,.line.s6,.line.s7{fill:none}";

/// The figure of a row that a panel shows.
type Figure = fn(&Row) -> f64;

const COLOURS: usize = 8;
const WIDTH: f64 = 920.0;
const PANEL_HEIGHT: f64 = 260.0;
/// Lines that a picture of history shows; more could not be told apart.
const MAX_LINES: usize = 24;

/// What a row is called in tables and legends.
pub(super) fn name_of(key: &RowKey) -> String {
    format!("{}, threads {}", series_of(key, Some(key.level)), key.threads)
}

fn series_of(key: &RowKey, level: Option<u32>) -> String {
    let level = level.map(|level| format!(":{level}")).unwrap_or_default();
    format!("{}{level} {}K", key.codec, key.chunk_bytes >> 10)
}

/// Text for XML: five characters have names, control characters are left out.
pub(in crate::jobs) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// The pictures of records with their names, the newest last: its speeds against ratios, then the history of all.
pub(super) fn svg(records: &[(String, &Record)]) -> String {
    let mut canvas = Canvas::default();
    if let Some((_, newest)) = records.last() {
        speed_against_ratio(&mut canvas, newest);
    }
    if records.len() > 1 {
        history(&mut canvas, records);
    }
    let height = canvas.bottom + 10.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" width=\"{WIDTH:.0}\" \
         height=\"{height:.0}\" role=\"img\" aria-label=\"wim bench\">\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{}</svg>\n",
        canvas.body
    )
}

#[derive(Default)]
struct Canvas {
    body: String,
    /// Where the next panel begins.
    bottom: f64,
}

// Writing to a String cannot fail.
impl Canvas {
    fn text(&mut self, x: f64, y: f64, attributes: &str, text: &str) {
        let _ = writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\"{attributes}>{}</text>", escaped(text));
    }

    fn rule(&mut self, from: (f64, f64), to: (f64, f64)) {
        let _ = writeln!(
            self.body,
            "<line class=\"grid\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// A line through points, each with a mark that says its name when pointed at.
    fn series(&mut self, number: usize, points: &[(f64, f64, String)]) {
        let colour = number % COLOURS;
        let path: Vec<String> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.body, "<polyline class=\"line s{colour}\" points=\"{}\"/>", path.join(" "));
        for (x, y, name) in points {
            let _ = writeln!(
                self.body,
                "<circle class=\"s{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{}</title></circle>",
                escaped(name)
            );
        }
    }

    /// Names of series in columns, below what was drawn.
    fn legend<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let mut rows = 0;
        for (number, name) in names.enumerate() {
            let (column, row) = (number % 3, number / 3);
            let (x, y) = (60.0 + 285.0 * column as f64, self.bottom + 16.0 * row as f64);
            let colour = number % COLOURS;
            let _ = writeln!(self.body, "<circle class=\"s{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
            self.text(x + 10.0, y + 4.0, "", name);
            rows = row + 1;
        }
        self.bottom += 16.0 * rows as f64 + 10.0;
    }
}

/// One axis: values between two bounds on a number of pixels.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Axis {
    /// An axis that shows all of `values` with room around them.
    fn around(values: impl Iterator<Item = f64>, (start, end): (f64, f64)) -> Self {
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let room = ((high - low) * 0.08).max(high.abs() * 0.01).max(1e-3);
        Self { low: low - room, high: high + room, start, end }
    }

    fn place(self, value: f64) -> f64 {
        self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
    }

    /// About five round values.
    fn ticks(self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].iter().map(|n| n * power).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step).ceil() * step;
        (0..12).map(|n| first + step * f64::from(n)).take_while(|tick| *tick <= self.high).collect()
    }
}

/// Two panels: the speeds of compressing and of decompressing on a logarithmic scale, and what remains of 100 bytes.
fn speed_against_ratio(canvas: &mut Canvas, record: &Record) {
    let mut series: BTreeMap<(String, u32, usize), Vec<&Row>> = BTreeMap::new();
    for row in &record.rows {
        let RowKey { codec, chunk_bytes, threads, .. } = &row.key;
        series.entry((codec.clone(), *chunk_bytes, *threads)).or_default().push(row);
    }
    series.values_mut().for_each(|rows| rows.sort_by_key(|row| row.key.level));
    let top = canvas.bottom;
    let directions: [(&str, Figure); 2] = [
        ("Compressing", |row| row.encode.megabytes_per_second),
        ("Decompressing", |row| row.decode.megabytes_per_second),
    ];
    for (panel, (title, speed)) in directions.into_iter().enumerate() {
        let left = 60.0 + 450.0 * panel as f64;
        let across = Axis::around(record.rows.iter().map(|row| speed(row).log10()), (left, left + 380.0));
        let down = (top + PANEL_HEIGHT, top + 40.0);
        let up = Axis::around(record.rows.iter().map(|row| row.ratio * 100.0), down);
        canvas.text(left, top + 24.0, " class=\"title\"", &format!("{title}: MB/s against size in %"));
        frame(canvas, across, up);
        for decade in -3..6 {
            for digit in [1.0, 2.0, 5.0] {
                let value = digit * 10f64.powi(decade);
                if (across.low..=across.high).contains(&value.log10()) {
                    let x = across.place(value.log10());
                    canvas.rule((x, up.start), (x, up.end));
                    canvas.text(x, up.start + 16.0, " text-anchor=\"middle\"", &format!("{value}"));
                }
            }
        }
        for (number, rows) in series.values().enumerate() {
            let point = |row: &&Row| {
                let name =
                    format!("{}: {:.1} MB/s, {:.2} %", name_of(&row.key), speed(row), row.ratio * 100.0);
                (across.place(speed(row).log10()), up.place(row.ratio * 100.0), name)
            };
            canvas.series(number, &rows.iter().map(point).collect::<Vec<_>>());
        }
    }
    canvas.bottom = top + PANEL_HEIGHT + 36.0;
    let names: Vec<String> = series
        .values()
        .filter_map(|rows| rows.first())
        .map(|row| format!("{}, threads {}", series_of(&row.key, None), row.key.threads))
        .collect();
    canvas.legend(names.iter().map(String::as_str));
}

/// Horizontal rules with their values, and the left edge.
fn frame(canvas: &mut Canvas, across: Axis, up: Axis) {
    for tick in up.ticks() {
        let y = up.place(tick);
        canvas.rule((across.start, y), (across.end, y));
        let digits = if up.high - up.low < 5.0 { 1 } else { 0 };
        canvas.text(across.start - 6.0, y + 4.0, " text-anchor=\"end\"", &format!("{tick:.digits$}"));
    }
}

/// Three panels below each other: relative speeds and sizes as parts of the first record's.
fn history(canvas: &mut Canvas, records: &[(String, &Record)]) {
    let mut keys: Vec<&RowKey> =
        records.iter().flat_map(|(_, record)| record.rows.iter().map(|row| &row.key)).collect();
    keys.sort();
    keys.dedup();
    let dropped = keys.len().saturating_sub(MAX_LINES);
    keys.truncate(MAX_LINES);
    let panels: [(&str, Figure); 3] = [
        ("History of compressing speed, first = 100 %", |row| row.encode.relative),
        ("History of decompressing speed, first = 100 %", |row| row.decode.relative),
        ("History of compressed size, first = 100 %", |row| row.ratio),
    ];
    for (title, value) in panels {
        let lines: Vec<Vec<(usize, f64)>> = keys.iter().map(|key| line_of(records, key, value)).collect();
        let top = canvas.bottom;
        let last = (records.len() - 1) as f64;
        let across = Axis { low: 0.0, high: last, start: 60.0, end: WIDTH - 40.0 };
        let up = Axis::around(
            lines.iter().flatten().map(|(_, value)| *value),
            (top + PANEL_HEIGHT * 0.75, top + 40.0),
        );
        canvas.text(60.0, top + 24.0, " class=\"title\"", title);
        frame(canvas, across, up);
        for (place, (name, _)) in records.iter().enumerate() {
            let x = across.place(place as f64);
            canvas.rule((x, up.start), (x, up.end));
            let anchor = match place {
                0 => "start",
                _ if place + 1 == records.len() => "end",
                _ => "middle",
            };
            canvas.text(x, up.start + 16.0, &format!(" text-anchor=\"{anchor}\""), name);
        }
        for (number, (line, key)) in lines.iter().zip(&keys).enumerate() {
            let point = |(place, value): &(usize, f64)| {
                let name = records.get(*place).map_or("", |(name, _)| name);
                let title = format!("{name}: {} at {value:.1} %", name_of(key));
                (across.place(*place as f64), up.place(*value), title)
            };
            canvas.series(number, &line.iter().map(point).collect::<Vec<_>>());
        }
        canvas.bottom = top + PANEL_HEIGHT * 0.75 + 34.0;
    }
    let mut names: Vec<String> = keys.iter().map(|key| name_of(key)).collect();
    if dropped > 0 {
        names.push(format!("{dropped} more not shown"));
    }
    canvas.bottom += 6.0;
    canvas.legend(names.iter().map(String::as_str));
}

/// Values of one row in every record that has it, as per cent of the first.
fn line_of(records: &[(String, &Record)], key: &RowKey, value: Figure) -> Vec<(usize, f64)> {
    let found = records.iter().enumerate().filter_map(|(place, (_, record))| {
        Some((place, value(record.rows.iter().find(|row| row.key == *key)?)))
    });
    let line: Vec<(usize, f64)> = found.collect();
    let first = line.first().map_or(1.0, |(_, first)| first.max(f64::MIN_POSITIVE));
    line.into_iter().map(|(place, value)| (place, value / first * 100.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    fn is_well_formed(svg: &str) -> bool {
        !svg.contains("NaN") && !svg.contains("inf") && roxmltree::Document::parse(svg).is_ok()
    }

    #[test]
    fn pictures_are_the_same_every_time_and_well_formed() {
        let old = record(&[(20, 500, 1.0), (50, 400, 0.5)]);
        let new = record(&[(20, 500, 1.5), (50, 390, 0.5), (100, 380, 0.1)]);
        let both = [("<v1> & \"co\"".to_owned(), &old), ("now".to_owned(), &new)];
        let picture = svg(&both);
        assert_eq!(picture, svg(&both));
        assert!(is_well_formed(&picture), "{picture}");
        assert!(picture.contains("&lt;v1&gt; &amp; &quot;co&quot;"));
        assert!(picture.contains("prefers-color-scheme:dark"));
        assert!(picture.contains("now: LZX:20 32K, threads 1 at 150.0 %"), "{picture}");
        // Two panels of three points, three of history with five each.
        assert_eq!(picture.matches("<title>").count(), 2 * 3 + 3 * 5);
        assert!(!svg(&both[1..]).contains("History"));
    }

    #[test]
    fn one_row_and_extreme_figures_are_pictures_too() {
        for extreme in [1e-300, 1.0, 1e300] {
            let one = record(&[(20, 0, extreme)]);
            let picture = svg(&[("a".to_owned(), &one), ("b".to_owned(), &one)]);
            assert!(is_well_formed(&picture), "{picture}");
        }
    }
}
