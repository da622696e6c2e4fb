//! `wim dir --du` and `--html`: what is big in an image.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wim_core::base::{Error, ImageIndex};
use wim_core::jobs::du::{DiskUsage, FolderSize, SortBy, treemap};
use wim_core::jobs::images::describe;
use wim_core::jobs::part_set::PartSet;
use wim_core::jobs::target::check_no_input;
use wim_core::jobs::text_file::write_text;

use crate::session::Session;

/// What is shown in the place of a listing.
#[derive(Args, Debug)]
pub(super) struct UsageArguments {
    /// List folders with their sizes: of all names, of distinct data, of data that nothing else uses, in the file
    #[arg(long, conflicts_with_all = ["detailed", "one_file_only"])]
    du: bool,
    /// How many levels of folders are listed
    #[arg(long, value_name = "N", default_value_t = 1, requires = "du")]
    depth: usize,
    /// What the folders of each level are sorted by
    #[arg(long, value_name = "WHAT", value_enum, default_value = "bytes", requires = "du")]
    sort: Sort,
    /// Draw the image as a page: each folder and file as large as its share of the WIM
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Sort {
    /// Bytes of all names
    Bytes,
    /// Bytes that nothing else uses
    Own,
    /// Bytes in the file
    Stored,
    /// The name
    Name,
}

impl UsageArguments {
    /// True when sizes are asked for and not a listing.
    pub(super) fn is_given(&self) -> bool {
        self.du || self.html.is_some()
    }

    /// Shows one image; a page can hold one only.
    pub(super) fn show(
        &self,
        session: &Session,
        set: &PartSet,
        (image, path): (ImageIndex, &str),
    ) -> Result<(), crate::exit::Failure> {
        self.html.as_ref().map_or(Ok(()), |page| check_no_input(page, &set.wims()))?;
        let usage = session.run(|cx| DiskUsage::new(set, image, path, cx))?;
        if let Some(page) = &self.html {
            let title = format!("{}: {}", set.wim.name(), describe(&set.wim, image));
            write_text(page, treemap(&usage, &title))?;
        }
        if !self.du {
            return Ok(());
        }
        let sort = match self.sort {
            Sort::Bytes => SortBy::Bytes,
            Sort::Own => SortBy::Own,
            Sort::Stored => SortBy::Stored,
            Sort::Name => SortBy::Name,
        };
        let rows = usage.rows(self.depth, sort);
        let mut out = session.shell.stdout();
        if session.shell.is_json() {
            for row in &rows {
                let mut object = serde_json::to_value(row).map_err(std::io::Error::other)?;
                object["image"] = image.number().into();
                writeln!(out, "{object}")?;
            }
        } else {
            writeln!(
                out,
                "{:>15} {:>15} {:>15} {:>15} {:>9}  path",
                "bytes", "distinct", "own", "in the file", "files"
            )?;
            for row in &rows {
                let FolderSize { path, files, bytes, distinct_bytes, own_bytes, stored_bytes, .. } = row;
                let path = session.shell.visible(path);
                writeln!(
                    out,
                    "{bytes:>15} {distinct_bytes:>15} {own_bytes:>15} {stored_bytes:>15} {files:>9}  {path}"
                )?;
            }
        }
        Ok(out.flush()?)
    }

    /// Refuses what a page cannot show.
    pub(super) fn check(&self, images: usize) -> Result<(), Error> {
        match self.html {
            Some(_) if images != 1 => {
                Err(Error::invalid_input("a page shows one image").remedy("name one of the images"))
            }
            _ => Ok(()),
        }
    }
}
