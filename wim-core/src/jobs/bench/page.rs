//! A bench as one HTML page: what was measured where, the table, the pictures.
//!
//! Complete in itself: no scripts, nothing fetched, so that CI can keep it as an artefact. The pictures are those of
//! [`super::picture`].

use std::fmt::Write as _;

use super::picture::{STYLE, escaped, svg};
use super::record::Record;

const PAGE_STYLE: &str = "\
body{background:var(--paper);color:var(--ink);font:14px sans-serif;margin:2em auto;max-width:960px}\
table{border-collapse:collapse}td,th{border-bottom:1px solid var(--faint);padding:.3em .8em;text-align:right}\
td:first-child,th:first-child{text-align:left}";

/// The page of records with their names, the newest last.
pub(super) fn html(records: &[(String, &Record)]) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>wim bench</title>\n\
         <style>{STYLE}{PAGE_STYLE}</style></head><body>\n<h1>wim bench</h1>\n"
    );
    if let Some((_, record)) = records.last() {
        summary(&mut page, record);
        table(&mut page, record);
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
         <th>per core</th><th>relative</th><th>decompress MB/s</th><th>per core</th><th>relative</th></tr>\n",
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
                "<td>{:.1}</td><td>{:.1}</td><td>{:.3}</td>",
                speed.megabytes_per_second, speed.megabytes_per_second_per_core, speed.relative
            );
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</table>\n");
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn a_page_has_the_figures_and_escapes_names() {
        let mut one = record(&[(20, 500, 1.5)]);
        one.sample.name = "<script>".to_owned();
        let page = html(&[("now".to_owned(), &one)]);
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(page.contains("<td>50.00 %</td><td>150.0</td><td>150.0</td><td>1.500</td>"), "{page}");
        assert!(page.contains("<svg "));
        assert_eq!(page, html(&[("now".to_owned(), &one)]));
    }
}
