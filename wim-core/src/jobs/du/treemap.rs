//! A picture of an image: every folder and file a rectangle as large as its share of the WIM.
//!
//! Squarified (Bruls, Huizing, van Wijk: "Squarified Treemaps"), as SVG in one HTML page: no scripts, nothing fetched, names
//! escaped. Rectangles too small to be seen are not drawn, so that the page stays small for a million files.

use std::fmt::Write as _;

use super::DiskUsage;
use crate::image::NodeId;
use crate::jobs::bench::escaped;
use crate::jobs::dir::slashes;

const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 800.0;
/// Smallest area in square pixels that is drawn.
const MIN_AREA: f64 = 24.0;
/// Height of a folder's title, and the least of both sides of a folder that has one.
const TITLE: f64 = 14.0;
const MIN_TITLED: f64 = 42.0;
/// Folders deeper than this are drawn as one rectangle.
const MAX_DEPTH: usize = 24;
const COLOURS: usize = 8;

const STYLE: &str = "\
:root{--ink:#1f2328;--paper:#ffffff;--folder:#eaeef2;--edge:#57606a}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--folder:#161b22;--edge:#8b949e}}\
body{margin:16px;background:var(--paper);color:var(--ink);font:14px sans-serif}\
svg{width:100%;height:auto;font:10px sans-serif}text{fill:var(--ink);pointer-events:none}\
rect{stroke:var(--edge);stroke-width:.5}.d{fill:var(--folder)}\
.c0{fill:#54aeff}.c1{fill:#ff8182}.c2{fill:#4ac26b}.c3{fill:#d4a72c}.c4{fill:#c297ff}.c5{fill:#ff80c8}\
.c6{fill:#76e3ea}.c7{fill:#afb8c1}rect:hover{stroke-width:2}";

#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A rectangle to be placed.
#[derive(Clone, Copy)]
struct Item {
    node: NodeId,
    share: f64,
}

/// The page with the picture; `title` stands above it.
#[must_use]
pub fn treemap(usage: &DiskUsage, title: &str) -> String {
    let shares = shares(usage);
    let mut body = String::new();
    let whole = Area { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT };
    let mut open = vec![(usage.start, whole, 0)];
    while let Some((node, area, depth)) = open.pop() {
        let is_folder = usage.tree.inode_of(node).is_directory();
        draw(&mut body, usage, (node, share_of(&shares, node)), area, is_folder);
        if !is_folder || depth >= MAX_DEPTH {
            continue;
        }
        let mut items: Vec<Item> = usage
            .tree
            .children(node)
            .iter()
            .map(|&node| Item { node, share: share_of(&shares, node) })
            .filter(|item| item.share > 0.0)
            .collect();
        items.sort_by(|a, b| b.share.total_cmp(&a.share));
        open.extend(placed(&items, inside(area)).into_iter().map(|(node, area)| (node, area, depth + 1)));
    }
    let title = escaped(title);
    let total = share_of(&shares, usage.start);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>{STYLE}</style>\
         </head><body>\n<h1>{title}</h1>\n<p>{total:.0} bytes in the file; a blob with several names is shared equally \
         among them.</p>\n<svg viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" role=\"img\" aria-label=\"{title}\">\n{body}</svg>\n\
         </body></html>\n"
    )
}

/// The share of every node in the WIM, folders with all below them.
fn shares(usage: &DiskUsage) -> Vec<f64> {
    let tree = &usage.tree;
    let mut shares = vec![0.0; tree.node_bound()];
    let nodes: Vec<NodeId> = tree.walk(tree.root()).map(|visit| visit.node).collect();
    for &node in nodes.iter().rev() {
        let below: f64 = tree.children(node).iter().map(|child| share_of(&shares, *child)).sum();
        shares[node.index()] = below + usage.sizes.of_file(tree, node).1;
    }
    shares
}

fn share_of(shares: &[f64], node: NodeId) -> f64 {
    shares.get(node.index()).copied().unwrap_or(0.0)
}

/// What a folder's rectangle leaves to what is in it.
fn inside(area: Area) -> Area {
    let border = if area.width.min(area.height) > 8.0 { 2.0 } else { 0.0 };
    let top = if is_titled(area) { TITLE } else { border };
    Area {
        x: area.x + border,
        y: area.y + top,
        width: (area.width - 2.0 * border).max(0.0),
        height: (area.height - top - border).max(0.0),
    }
}

fn is_titled(area: Area) -> bool {
    area.width >= MIN_TITLED && area.height >= MIN_TITLED
}

/// Rectangles for items, the largest first, that fill an area; what would be too small has none.
fn placed(items: &[Item], mut area: Area) -> Vec<(NodeId, Area)> {
    let mut out = Vec::new();
    let mut left: f64 = items.iter().map(|item| item.share).sum();
    let mut rest = items;
    while let Some(first) = rest.first() {
        let scale = area.width * area.height / left;
        if !scale.is_finite() || first.share * scale < MIN_AREA {
            break;
        }
        // A row along the shorter side grows while its rectangles become more like squares.
        let side = area.width.min(area.height);
        let worst = |sum: f64, least: f64, most: f64| {
            let (sum, side) = (sum * scale, side * side);
            (side * most * scale / (sum * sum)).max(sum * sum / (side * least * scale))
        };
        let (mut sum, mut count) = (first.share, 1);
        while let Some(next) = rest.get(count) {
            let last = rest.get(count - 1).map_or(first.share, |item| item.share);
            if worst(sum + next.share, next.share, first.share) > worst(sum, last, first.share) {
                break;
            }
            sum += next.share;
            count += 1;
        }
        let (row, others) = rest.split_at(count);
        let thickness = sum * scale / side;
        let mut at = 0.0;
        for item in row {
            let length = item.share * scale / thickness;
            let rectangle = if area.width >= area.height {
                Area { x: area.x, y: area.y + at, width: thickness, height: length }
            } else {
                Area { x: area.x + at, y: area.y, width: length, height: thickness }
            };
            at += length;
            if rectangle.width * rectangle.height >= MIN_AREA {
                out.push((item.node, rectangle));
            }
        }
        if area.width >= area.height {
            area = Area { x: area.x + thickness, width: (area.width - thickness).max(0.0), ..area };
        } else {
            area = Area { y: area.y + thickness, height: (area.height - thickness).max(0.0), ..area };
        }
        left -= sum;
        rest = others;
    }
    out
}

/// Draws one rectangle with its title, and what is said when it is pointed at.
fn draw(body: &mut String, usage: &DiskUsage, (node, share): (NodeId, f64), area: Area, is_folder: bool) {
    let tree = &usage.tree;
    let name = if node == tree.root() { "/".to_owned() } else { tree.node(node).name.to_text() };
    let (class, bytes) = match usage.folders.number(node) {
        Some(folder) if is_folder => ("d".to_owned(), usage.sizes.of(folder).bytes),
        _ => (format!("c{}", colour(&name)), usage.sizes.of_file(tree, node).0),
    };
    let path = escaped(&slashes(&tree.path_of(node)));
    let Area { x, y, width, height } = area;
    // Writing to a String cannot fail.
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\">\
         <title>{path}: {bytes} bytes, {share:.0} in the file</title></rect>"
    );
    if is_titled(area) {
        // Six pixels a letter.
        let shown: String = name.chars().take((width / 6.0) as usize).collect();
        let (x, y) = (x + 3.0, y + 10.5);
        let _ = writeln!(body, "<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(&shown));
    }
}

/// Files of one extension have one colour.
fn colour(name: &str) -> usize {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    extension.bytes().fold(7, |sum, byte| sum * 31 % 1009 + usize::from(byte)) % COLOURS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Inode, Tree};
    use proptest::prelude::*;

    proptest! {
        /// Rectangles lie inside the area, do not overlap, and are as large as their shares.
        #[test]
        fn rectangles_fill_the_area_by_their_shares(mut shares in prop::collection::vec(1.0f64..1000.0, 1..40)) {
            shares.sort_by(|a, b| b.total_cmp(a));
            let mut tree = Tree::new_empty();
            let items: Vec<Item> = shares
                .iter()
                .enumerate()
                .map(|(number, &share)| {
                    let node = tree.add(tree.root(), format!("{number}").as_str().into(), Inode::default()).unwrap();
                    Item { node, share }
                })
                .collect();
            let area = Area { x: 10.0, y: 20.0, width: 900.0, height: 500.0 };
            let total: f64 = shares.iter().sum();
            let out = placed(&items, area);
            for (index, (node, a)) in out.iter().enumerate() {
                let share = items.iter().find(|item| item.node == *node).unwrap().share;
                prop_assert!((a.width * a.height - share / total * 450_000.0).abs() < 1.0);
                prop_assert!(a.x >= 9.99 && a.y >= 19.99 && a.x + a.width <= 910.01 && a.y + a.height <= 520.01);
                for (_, b) in &out[..index] {
                    let apart = a.x + a.width <= b.x + 0.01 || b.x + b.width <= a.x + 0.01
                        || a.y + a.height <= b.y + 0.01 || b.y + b.height <= a.y + 0.01;
                    prop_assert!(apart, "{:?} {:?}", a, b);
                }
            }
        }
    }
}
