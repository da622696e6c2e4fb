//! What a path to a WIM may be: a file of the host, a disc image that holds the WIM, and a path inside of one.
//!
//! `X.iso` means the install image that the disc holds, `X.iso:/sources/boot.wim` any other; a host file of the whole name comes
//! first. Everything is read in place, and nothing on a disc is ever changed. With the cargo feature `http` either may be a URL.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::extents::lies_inside;
use crate::base::{Context, Error, FileSource, Place, ReadAt, Result, read_at};
use crate::media::iso_image::{IsoImage, is_disc};
use crate::media::windows_media::install_image;

/// Cuts `X.iso:/inner/path` in two when `X.iso` is a file or a URL and there is no file of the whole name.
///
/// The colon of a drive letter is none of these: before it there is no file but a letter, and on Windows that is a drive.
#[must_use]
pub fn split_inner(path: &Path) -> Option<(PathBuf, String)> {
    if path.exists() {
        return None;
    }
    let text = path.to_str()?;
    let scheme = text.find("://").filter(|_| is_url(path)).map_or(0, |at| at + 3);
    text.match_indices(':').map(|(at, _)| at).filter(|&at| at >= scheme).find_map(|at| {
        let (file, inner) = (text.get(..at)?, text.get(at + 1..)?);
        let is_drive = cfg!(windows) && at == 1;
        let leads_to_file = !is_drive && (scheme > 0 || Path::new(file).is_file());
        (leads_to_file && inner.starts_with(['/', '\\']))
            .then(|| (PathBuf::from(file), inner.replace('\\', "/")))
    })
}

/// Reads `FILE:IMAGE`, where `FILE` may be anything that [`split_inner`] knows; a file whose whole name exists is taken as it is.
#[must_use]
pub fn split_image(text: &str) -> (PathBuf, Option<String>) {
    let whole = PathBuf::from(text);
    if !whole.exists()
        && let Some((path, image)) = text.rsplit_once(':')
    {
        let file = Path::new(path);
        let is_file = !path.is_empty() && file.exists();
        // The path inside of a disc is no image, and neither is what follows the port of a server.
        let is_inner = image.starts_with(['/', '\\']) && split_inner(&whole).is_some();
        let is_remote = is_url(file) && path.len() > "https:".len() && !image.contains('/');
        if !is_inner && (is_file || is_remote || split_inner(file).is_some()) {
            return (PathBuf::from(path), Some(image.to_owned()));
        }
    }
    (whole, None)
}

/// True for `http://…` and `https://…`.
#[must_use]
pub fn is_url(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.starts_with("http://") || text.starts_with("https://"))
}

/// True when `path` is a file of the host or can be read all the same: on a disc, or by URL.
#[must_use]
pub fn can_be_opened(path: &Path) -> bool {
    path.exists() || is_url(path) || split_inner(path).is_some()
}

/// Finds the WIM that `path` means; gives its bytes and what messages call it.
///
/// # Errors
/// `NotFound` for a path that a disc does not have, and for a disc without install image; `Unsupported` for a URL without the
/// feature; what opening gives. What is odd about a disc is a warning.
pub(super) fn open(path: &Path, cx: &Context<'_>) -> Result<(Arc<dyn ReadAt>, String)> {
    if let Some((file, inner)) = split_inner(path) {
        let disc = open_disc(&file, cx)?;
        let found = on_disc(&disc, &inner);
        tell_warnings(&disc, cx);
        return found;
    }
    let (source, name) = open_bytes(path, cx)?;
    if !starts_as_wim(&*source).map_err(|e| e.in_file(&name))?
        && is_disc(&*source).map_err(|e| e.in_file(&name))?
    {
        let disc = IsoImage::open(source, &name)?;
        let found = install_image(&disc).and_then(|path| on_disc(&disc, &path));
        tell_warnings(&disc, cx);
        return found;
    }
    Ok((source, name))
}

/// Opens the disc image at `path`, which is a file of the host or a URL.
///
/// # Errors
/// What opening gives.
pub fn open_disc(path: &Path, cx: &Context<'_>) -> Result<IsoImage> {
    let (source, name) = open_bytes(path, cx)?;
    IsoImage::open(source, &name)
}

/// Warns of what was odd in those parts of a disc that were read.
pub(super) fn tell_warnings(disc: &IsoImage, cx: &Context<'_>) {
    disc.warnings().iter().for_each(|warning| cx.progress.warn(warning));
}

fn on_disc(disc: &IsoImage, inner: &str) -> Result<(Arc<dyn ReadAt>, String)> {
    let name = format!("{}:{inner}", disc.name());
    let entry = disc.find(inner)?.ok_or_else(|| no_such_file(disc, inner))?;
    Ok((Arc::new(disc.content(&entry)?), name))
}

/// The error for a path that a disc does not have.
pub(super) fn no_such_file(disc: &IsoImage, inner: &str) -> Error {
    Error::not_found("the disc does not have this file")
        .in_file(disc.name())
        .at(Place::Path(inner.to_owned()))
        .remedy(format!("see what it has with: wim media ls {}", disc.name()))
}

fn open_bytes(path: &Path, cx: &Context<'_>) -> Result<(Arc<dyn ReadAt>, String)> {
    let name = path.display().to_string();
    if is_url(path) {
        return Ok((open_url(&name, cx)?, name));
    }
    Ok((Arc::new(FileSource::open_shared(path)?), name))
}

#[cfg(feature = "http")]
fn open_url(url: &str, cx: &Context<'_>) -> Result<Arc<dyn ReadAt>> {
    Ok(Arc::new(crate::transfer::remote::RemoteFile::open(url, cx.cancel)?))
}

#[cfg(not(feature = "http"))]
fn open_url(url: &str, _: &Context<'_>) -> Result<Arc<dyn ReadAt>> {
    Err(Error::unsupported("this build of the program does not read from servers")
        .in_file(url)
        .remedy("download the file, or build the program with: cargo build --features http"))
}

/// True when the bytes begin as those of a WIM do, pipable or not; such a file is no disc, whatever lies at its sector 16.
fn starts_as_wim(source: &dyn ReadAt) -> Result<bool> {
    let mut magic = [0; 5];
    if !lies_inside(0, magic.len() as u64, source.size()) {
        return Ok(false);
    }
    read_at::read_exact_at(source, &mut magic, 0)?;
    Ok(magic == *b"MSWIM" || magic == *b"WLPWM")
}

/// Refuses to change what lies on a disc or on a server.
///
/// # Errors
/// `InvalidInput`.
pub(super) fn check_changeable(path: &Path) -> Result<()> {
    let refuse = |what: &str| {
        Err(Error::invalid_input(format!("{what} cannot be changed"))
            .in_file(path.display())
            .remedy(format!("export its images to a file first: wim export {} all OUT.wim", path.display())))
    };
    if is_url(path) {
        return refuse("what lies on a server");
    }
    if split_inner(path).is_some() {
        return refuse("what lies on a disc image");
    }
    if path.is_file() {
        let source = FileSource::open(path)?;
        if !starts_as_wim(&source)? && is_disc(&source)? {
            return refuse("a disc image");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_paths_begin_behind_a_file_and_a_colon() {
        let folder = tempfile::tempdir().unwrap();
        let disc = folder.path().join("a.iso");
        std::fs::write(&disc, "").unwrap();
        let disc = disc.display().to_string();
        let split = |text: &str| {
            split_inner(Path::new(text)).map(|(file, inner)| (file.display().to_string(), inner))
        };
        assert_eq!(
            split(&format!("{disc}:/sources/boot.wim")),
            Some((disc.clone(), "/sources/boot.wim".into()))
        );
        assert_eq!(
            split(&format!("{disc}:\\sources\\boot.wim")),
            Some((disc.clone(), "/sources/boot.wim".into()))
        );
        assert_eq!(split(&format!("{disc}:/a:/b")), Some((disc.clone(), "/a:/b".into())));
        for plain in
            [disc.clone(), format!("{disc}:Professional"), "C:\\x.iso".into(), "missing.iso:/x".into()]
        {
            assert_eq!(split(&plain), None, "{plain}");
        }
        // A host file of that very name wins; no file system of Windows has such names.
        #[cfg(unix)]
        {
            std::fs::create_dir(format!("{disc}:")).unwrap();
            std::fs::write(format!("{disc}:/boot.wim"), "").unwrap();
            assert_eq!(split(&format!("{disc}:/boot.wim")), None);
        }
        let url = "https://host:8080/d/x.iso";
        assert_eq!(
            split(&format!("{url}:/sources/boot.wim")),
            Some((url.into(), "/sources/boot.wim".into()))
        );
        assert_eq!(split(url), None);
    }

    #[test]
    fn images_stand_behind_the_last_colon() {
        let folder = tempfile::tempdir().unwrap();
        let disc = folder.path().join("a.iso");
        std::fs::write(&disc, "").unwrap();
        let disc = disc.display().to_string();
        let split = |text: &str| {
            let (file, image) = split_image(text);
            (file.display().to_string(), image)
        };
        let boot = format!("{disc}:/sources/boot.wim");
        assert_eq!(split(&disc), (disc.clone(), None));
        assert_eq!(split(&format!("{disc}:Professional")), (disc.clone(), Some("Professional".into())));
        assert_eq!(split(&boot), (boot.clone(), None));
        assert_eq!(split(&format!("{boot}:2")), (boot, Some("2".into())));
        for url in ["https://host/x.iso", "https://host:8080/x.iso", "https://host/x.iso:/sources/boot.wim"] {
            assert_eq!(split(url), (url.into(), None));
            assert_eq!(split(&format!("{url}:1")), (url.into(), Some("1".into())));
        }
        assert_eq!(split("C:\\missing.wim"), ("C:\\missing.wim".into(), None));
    }
}
