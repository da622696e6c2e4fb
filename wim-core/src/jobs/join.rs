//! The parts of a split set joined into one WIM file.
//!
//! Parts may be given in any order; each must be there once. Data is copied as it is.

use std::path::{Path, PathBuf};

use super::open::{Check, open};
use super::part_set::check_beside;
use super::rebuild::{CompressionOptions, IntegrityChoice, Written, as_it_is, existing_images, write_file};
use crate::base::atomic_file::IfExists;
use crate::base::{Context, Error, Reason, Result};
use crate::formats::wim::WimFile;
use crate::transfer::write::{NewImage, NewWim};

/// Joins the files at `parts` into a new file at `target`, replacing one that is there.
///
/// # Errors
/// `InvalidInput` for files of several sets, parts that are there twice and more files than the set has parts, `NotFound` with
/// the numbers of those that are missing; else what reading and writing give. The target is then as it was.
pub fn run(
    cx: &Context<'_>,
    target: &Path,
    parts: &[PathBuf],
    integrity: IntegrityChoice,
    check: Check,
) -> Result<Written> {
    let mut wims = Vec::new();
    for path in parts {
        let wim = open(path, check, cx)?;
        check_beside(&wims.iter().collect::<Vec<_>>(), &wim)?;
        wims.push(wim);
    }
    wims.sort_by_key(|wim: &WimFile| wim.header().part);
    let Some(first) = wims.first() else {
        return Err(Error::invalid_input("there are no parts to join"));
    };
    let (set, total) = (first.header().guid, first.header().total_parts);
    if wims.iter().any(|wim| wim.header().guid != set || wim.header().total_parts != total) {
        return Err(Error::invalid_input("the files are not all parts of one set")
            .because(Reason::NotOneSet)
            .in_file(first.name()));
    }
    if wims.len() > usize::from(total) {
        return Err(Error::invalid_input(format!(
            "{} files are not the parts of a set of {total}",
            wims.len()
        ))
        .because(Reason::NotOneSet)
        .in_file(first.name())
        .remedy("name the parts of one set only; images of whole files are put together with: wim export"));
    }
    let has = |number: u16| wims.iter().any(|wim| wim.header().part.number() == number);
    let missing: Vec<String> = (1..=total).filter(|&n| !has(n)).take(20).map(|n| n.to_string()).collect();
    if !missing.is_empty() {
        return Err(Error::not_found(format!("of {total} parts these are missing: {}", missing.join(", ")))
            .because(Reason::NotOneSet)
            .in_file(first.name())
            .remedy("name all parts of the set"));
    }
    let integrity = integrity.resolve(Some(first));
    let mut images = existing_images(first, &[], cx)?;
    // Other parts have what the first one lacks.
    images.iter_mut().for_each(NewImage::want_everything);
    let new = NewWim {
        format: CompressionOptions::default().format(first.format())?,
        images,
        sources: wims.iter().collect(),
        integrity,
        // Of which the bootable image, where a program kept it.
        ..as_it_is(first)
    };
    write_file(cx, new, target, IfExists::Replace)
}
