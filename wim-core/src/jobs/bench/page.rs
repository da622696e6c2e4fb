//! A bench as one HTML page: what was measured where, the table, what changed, the pictures.
//!
//! Complete in itself: no scripts, nothing fetched, so that CI can keep it as an artefact. The pictures are those of
//! [`super::picture`].

use std::fmt::Write as _;

use super::compare::Comparison;
use super::picture::{STYLE, escaped, svg};
use super::record::{Record, RowKey};

const PAGE_STYLE: &str = "\
body{background:var(--paper);color:var(--ink);font:14px sans-serif;margin:2em auto;max-width:960px}\
table{border-collapse:collapse}td,th{border-bottom:1px solid var(--faint);padding:.3em .8em;text-align:right}\
td:first-child,th:first-child{text-align:left}";

/// The page of records with their names, the newest last, and of how that compares.
pub(super) fn html(records: &[(String, &Record)], comparison: Option<&Comparison>) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>wim bench</title>\n\
         <style>{STYLE}{PAGE_STYLE}</style></head><body>\n<h1>wim bench</h1>\n"
    );
    if let Some((_, record)) = records.last() {
        summary(&mut page, record);
        table(&mut page, record);
    }
    if let Some(comparison) = comparison {
        changes(&mut page, comparison);
    }
    page += &svg(records);
    page += "</body></html>\n";
    page
}

fn summary(page: &mut String, record: &Record) {
    let Record { sample, machine, .. } = record;
    let cpu = machine.cpu.as_deref().unwrap_or(&machine.architecture);
    // Writing to a String cannot fail.
    let _ = writeln!(
        page,
        "<p>{}: {} bytes in {} pieces, SHA-1 {}. Best of {} runs with wim {} ({} build) on {}, {} cores, {}, at {}. \
         MB are 10<sup>6</sup> uncompressed bytes; relative speeds are parts of reference workload {}.</p>",
        escaped(&sample.name),
        sample.bytes,
        sample.pieces,
        escaped(&sample.sha1),
        record.runs,
        escaped(&record.wim_version),
        escaped(&record.build),
        escaped(cpu),
        machine.cores,
        escaped(&machine.system),
        escaped(&record.measured),
        record.reference_version
    );
}

fn table(page: &mut String, record: &Record) {
    page.push_str(
        "<table><tr><th>codec</th><th>level</th><th>chunk</th><th>threads</th><th>size</th><th>compress MB/s</th>\
         <th>per core</th><th>relative</th><th>state KiB</th><th>decompress MB/s</th><th>per core</th><th>relative</th>\
         <th>state KiB</th></tr>\n",
    );
    for row in &record.rows {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}K</td><td>{}</td><td>{:.2} %</td>",
            escaped(&row.key.codec),
            row.key.level,
            row.key.chunk_bytes >> 10,
            row.key.threads,
            row.ratio * 100.0
        );
        for speed in [&row.encode, &row.decode] {
            let _ = write!(
                page,
                "<td>{:.1}</td><td>{:.1}</td><td>{:.3}</td><td>{}</td>",
                speed.megabytes_per_second,
                speed.megabytes_per_second_per_core,
                speed.relative,
                speed.state_bytes >> 10
            );
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

/// What changed since the base, row by row, and the verdict of a gate.
fn changes(page: &mut String, comparison: &Comparison) {
    let name = |key: &RowKey| {
        format!("{}:{} {}K x{}", escaped(&key.codec), key.level, key.chunk_bytes >> 10, key.threads)
    };
    let _ = writeln!(page, "<h2>Compared with the bench of {}</h2>", escaped(&comparison.base_measured));
    page.push_str("<table><tr><th>row</th><th>size</th><th>compress</th><th>decompress</th><th></th></tr>\n");
    for row in &comparison.rows {
        let verdict =
            if row.worse.is_empty() { String::new() } else { format!("WORSE: {}", row.worse.join(", ")) };
        let verdict = match row.undecided.as_slice() {
            [] => verdict,
            what => format!("{verdict} perhaps slower: {}", what.join(", ")),
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{:+.3} %</td><td>{:+.1} %</td><td>{:+.1} %</td><td>{verdict}</td></tr>",
            name(&row.key),
            row.stored_change * 100.0,
            row.encode_change * 100.0,
            row.decode_change * 100.0
        );
    }
    for key in &comparison.not_measured {
        let _ = writeln!(page, "<tr><td>{}</td><td colspan=\"4\">not measured</td></tr>", name(key));
    }
    page.push_str("</table>\n");
    if let Some(asked) = comparison.fail_below {
        let verdict = match (comparison.is_worse, comparison.is_undecided) {
            (true, _) => "Worse",
            (false, true) => "Undecided",
            (false, false) => "Not worse",
        };
        let _ = writeln!(
            page,
            "<p>{verdict}: no larger output, and at most {:.1} % of a relative speed may be lost, or what the rounds differ by.</p>",
            asked * 100.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn a_page_has_the_figures_and_escapes_names() {
        let mut one = record(&[(20, 500, 1.5)]);
        one.sample.name = "<script>".to_owned();
        let page = html(&[("now".to_owned(), &one)], None);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(
            page.contains("<td>50.00 %</td><td>150.0</td><td>150.0</td><td>1.500</td><td>1024</td>"),
            "{page}"
        );
        assert!(page.contains("<svg "));
        assert_eq!(page, html(&[("now".to_owned(), &one)], None));
        assert!(!page.contains("Compared"));
    }

    #[test]
    fn a_page_tells_what_became_worse() {
        let (base, now) = (record(&[(20, 500, 1.5), (50, 400, 1.0)]), record(&[(20, 501, 1.5)]));
        let comparison = compare(&base, &now, Some(0.05));
        let page = html(&[("now".to_owned(), &now)], Some(&comparison));
        for part in ["+0.200 %", "WORSE: ratio", "not measured", "<p>Worse: "] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}
