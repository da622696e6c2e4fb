//! The process that mounts: opens the file, answers the kernel, commits when it is asked to.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::messages::{COMMIT, CommitState, INFO, MountInfo, STATE};
use super::{CommitOptions, MountAccess, MountOptions, MountUsers, Owners, StreamAccess};
use crate::base::in_place_file::InPlaceFile;
use crate::base::progress::{Progress, Stage};
use crate::base::{Context, Error, FileSource, FileTime, ImageIndex, Reason, Result, Sha1Digest};
use crate::formats::wim::WimFile;
use crate::image::Tree;
use crate::jobs::assemble::{Assembly, ImagePlace};
use crate::jobs::clock::job_time;
use crate::jobs::images;
use crate::jobs::open::{case_of_paths, load_image};
use crate::jobs::part_set::{LeftOut, PartSet, warn_of_absent};
use crate::jobs::rebuild::{IntegrityChoice, Written};
use crate::jobs::target::{Placement, Target};
use crate::transfer::mount::{
    Access, Changed, Control, MountSettings, MountedFiles, Others, StreamsInterface, UnixRules, mount,
};
use crate::transfer::read::RandomReader;

/// How often the server looks whether it was cancelled or unmounted.
const TICK: Duration = Duration::from_millis(100);
/// The part of the memory budget that decoded chunks may take; the rest is the commit's.
const CACHE_SHARE: u64 = 2;

type SharedFiles = Arc<Mutex<MountedFiles>>;

/// The file behind the mount.
enum Source {
    /// Read only, with the other files of its set.
    Shared(Vec<Arc<WimFile>>),
    /// Locked, with the files that it is a delta of; `file` is taken out while a commit runs.
    Locked { wim: Arc<WimFile>, bases: Bases, file: Option<InPlaceFile>, bytes: Arc<FileSource> },
}

/// The files that a file may be a delta of.
struct Bases {
    wims: Vec<Arc<WimFile>>,
    /// What the image had in them before it was changed, and may leave there.
    blobs: HashSet<Sha1Digest>,
}

pub(super) fn serve(
    cx: &Context<'_>,
    path: &Path,
    text: Option<&str>,
    mountpoint: &Path,
    options: &MountOptions,
    ready: &dyn Fn(),
) -> Result<()> {
    let cannot = |e| Error::io(e, "cannot use as a mount point", mountpoint);
    let mountpoint = mountpoint.canonicalize().map_err(cannot)?;
    must_be_empty_directory(&mountpoint)?;
    // A path on a disc image or a server has no other form; what is wrong with it is said when it is opened.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (mut source, missing_parts) = open(cx, &path, options)?;
    let wims = source.wims();
    let main = Arc::clone(wims.first().ok_or_else(|| Error::not_found("there is no file to mount"))?);
    let image = images::choose_one(&main, text)?;
    let tree = load_image(&main, image, cx)?;
    source.note_bases(&tree);
    let reader = Arc::new(RandomReader::new(wims, cx.memory_bytes() / CACHE_SHARE));
    let has = |digest: &Sha1Digest| reader.size(digest).is_some();
    warn_of_absent(cx, main.name(), &tree, &has, missing_parts);
    job_time()?;
    let settings = settings(&path, &mountpoint, options, cx.threads());
    let files = Arc::new(Mutex::new(MountedFiles::new(tree, reader, settings.clone())?));
    let (sender, requests) = bounded(1);
    let state = Arc::new(SharedState::default());
    let info = MountInfo {
        path: path.display().to_string(),
        image: image.number(),
        is_writable: options.access == MountAccess::ReadWrite,
        has_changed: false,
        process: std::process::id(),
    };
    let ears = Ears { info, files: Arc::clone(&files), state: Arc::clone(&state), requests: sender };
    let mounted = mount(Arc::clone(&files), Box::new(ears), &settings)?;
    ready();
    loop {
        match next_request(&requests) {
            Ok(Some(request)) => {
                let relay = Relay { inner: cx.progress, state: &state };
                let commit_cx =
                    Context::new(&relay, cx.cancel).with_threads(cx.threads()).with_memory(cx.memory_bytes());
                let done = source.commit(&commit_cx, (&path, image), &files, request);
                state.finish(done);
            }
            Ok(None) if cx.cancel.is_raised() => {
                return mounted.unmount(&mountpoint).and_then(|()| cx.cancel.check());
            }
            Ok(None) if mounted.is_over() => break,
            Ok(None) => {}
            Err(()) => break,
        }
    }
    mounted.join(&mountpoint)
}

/// Refuses what a mount would cover: a file, which is an error for everybody then, and a directory with something in it.
fn must_be_empty_directory(mountpoint: &Path) -> Result<()> {
    let refuse = |what: &str, reason| {
        Err(Error::invalid_input(what)
            .because(reason)
            .in_file(mountpoint.display())
            .remedy("mount on an empty directory"))
    };
    if !mountpoint.is_dir() {
        return refuse("is not a directory", Reason::NotADirectory);
    }
    // One that cannot be read is the kernel's to judge.
    match std::fs::read_dir(mountpoint).is_ok_and(|mut entries| entries.next().is_some()) {
        true => refuse("is not empty", Reason::NotEmpty),
        false => Ok(()),
    }
}

/// The next request; none when there was none for a while, an error when there can be none any more.
fn next_request(requests: &Receiver<CommitOptions>) -> std::result::Result<Option<CommitOptions>, ()> {
    match requests.recv_timeout(TICK) {
        Ok(request) => Ok(Some(request)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => Err(()),
    }
}

/// Opens the file; with it a sentence with the parts of its set that were not found.
fn open(cx: &Context<'_>, path: &Path, options: &MountOptions) -> Result<(Source, Option<String>)> {
    if options.access == MountAccess::ReadOnly {
        let set = PartSet::open(path, &options.refs, options.check, cx)?;
        let missing = set.missing_parts();
        let wims = std::iter::once(set.wim).chain(set.others).map(Arc::new).collect();
        return Ok((Source::Shared(wims), missing));
    }
    let Target { wim, file } = Target::open(path, options.check, cx)?;
    let bytes = file.source();
    let set = PartSet::around(wim, path, &options.refs, LeftOut::Nothing, options.check, cx)?;
    let bases = Bases { wims: set.others.into_iter().map(Arc::new).collect(), blobs: HashSet::new() };
    Ok((Source::Locked { wim: Arc::new(set.wim), bases, file: Some(file), bytes }, None))
}

fn settings(path: &Path, mountpoint: &Path, options: &MountOptions, threads: usize) -> MountSettings {
    let beside = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    MountSettings {
        mountpoint: mountpoint.to_owned(),
        access: match options.access {
            MountAccess::ReadOnly => Access::ReadOnly,
            MountAccess::ReadWrite => Access::ReadWrite {
                staging_parent: options.staging_dir.as_deref().unwrap_or(beside).to_owned(),
                prefix: format!(".{name}.staging-"),
            },
        },
        streams: match options.streams {
            StreamAccess::None => StreamsInterface::None,
            StreamAccess::Xattr => StreamsInterface::Xattr,
            StreamAccess::Windows => StreamsInterface::Windows,
        },
        unix: match options.owners {
            Owners::Mounter => UnixRules::Mounter,
            Owners::UnixData => UnixRules::FromImage,
        },
        others: match options.users {
            MountUsers::Mounter => Others::Refused,
            MountUsers::All => Others::Allowed,
        },
        case: case_of_paths(),
        source_name: path.display().to_string(),
        threads,
        // It was asked once before; a clock that goes away later is no reason to lose a file.
        clock: || job_time().unwrap_or(FileTime(0)),
    }
}

impl Source {
    fn wims(&self) -> Vec<Arc<WimFile>> {
        match self {
            Self::Shared(wims) => wims.clone(),
            Self::Locked { wim, bases, .. } => {
                std::iter::once(wim).chain(&bases.wims).map(Arc::clone).collect()
            }
        }
    }

    /// Notes which blobs of the image lie in bases: all else that is written in the mount goes into the file.
    fn note_bases(&mut self, tree: &Tree) {
        let Self::Locked { wim, bases: Bases { wims, blobs }, .. } = self else { return };
        let is_in = |wim: &WimFile, digest: &Sha1Digest| wim.table().find(digest).is_some();
        let digests = tree.blob_references().into_keys();
        blobs.extend(
            digests.filter(|digest| !is_in(wim, digest) && wims.iter().any(|base| is_in(base, digest))),
        );
    }

    /// Writes what the image has become; from then on nothing can be changed in the mount.
    fn commit(
        &mut self,
        cx: &Context<'_>,
        (path, image): (&Path, ImageIndex),
        files: &SharedFiles,
        options: CommitOptions,
    ) -> Result<Written> {
        let Self::Locked { wim, bases, file, bytes } = self else {
            return Err(Error::invalid_input("the image is mounted read-only"));
        };
        let is_stored =
            |digest: &Sha1Digest| wim.table().find(digest).is_some() || bases.blobs.contains(digest);
        let Changed { tree, contents } = freeze(cx, files, options, &is_stored)?;
        let Some(locked) = file.take() else {
            return Err(Error::invalid_input("the changes are committed already"));
        };
        let place = if options.new_image { ImagePlace::New } else { ImagePlace::Of(image) };
        let integrity =
            if options.make_integrity { IntegrityChoice::Make } else { IntegrityChoice::AsBefore };
        let placement = if options.rebuild { Placement::Rebuild } else { Placement::Append };
        let mut assembly = Assembly::of(tree);
        assembly.contents = contents;
        assembly.bases.clone_from(&bases.wims);
        let written = job_time().and_then(|time| {
            assembly.write_into(cx, (wim, locked, path), place, time, (integrity, placement))
        });
        if written.is_err() {
            // The file is as it was, and the next attempt needs it again.
            *file = InPlaceFile::again(bytes, path).ok();
            files.lock().unwrap_or_else(PoisonError::into_inner).freeze(false);
        }
        written
    }
}

/// Lets nothing be changed any more and gives what there is.
fn freeze(
    cx: &Context<'_>,
    files: &SharedFiles,
    options: CommitOptions,
    is_stored: &dyn Fn(&Sha1Digest) -> bool,
) -> Result<Changed> {
    let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
    let open = files.open_for_writing();
    if open > 0 && !options.force {
        return Err(Error::invalid_input(format!("{open} files of the image are open for writing"))
            .remedy("close them, or commit all the same with --force"));
    }
    let changed = files.changes(cx, is_stored)?;
    files.freeze(true);
    Ok(changed)
}

/// Where the commit stands, for those who ask.
#[derive(Default)]
struct SharedState {
    done: AtomicU64,
    total: AtomicU64,
    phase: Mutex<Phase>,
}

#[derive(Default)]
enum Phase {
    #[default]
    Idle,
    Running,
    Over(CommitState),
}

impl SharedState {
    /// True when a commit may begin.
    fn begin(&self) -> bool {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*phase, Phase::Running) {
            return false;
        }
        *phase = Phase::Running;
        true
    }

    fn finish(&self, done: Result<Written>) {
        let state = match done {
            Ok(written) => CommitState::Done(written),
            Err(error) => CommitState::Failed {
                message: error.to_string(),
                remedy: error.remedy_text().map(str::to_owned),
            },
        };
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Over(state);
    }

    fn get(&self) -> CommitState {
        match &*self.phase.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Idle => CommitState::None,
            Phase::Running => CommitState::Running {
                done: self.done.load(Ordering::Relaxed),
                total: self.total.load(Ordering::Relaxed),
            },
            Phase::Over(state) => state.clone(),
        }
    }
}

/// Shows progress both to whoever watches this process and to the one that asked.
struct Relay<'a> {
    inner: &'a dyn Progress,
    state: &'a SharedState,
}

impl Progress for Relay<'_> {
    fn start(&self, stage: Stage, total: u64) {
        self.state.done.store(0, Ordering::Relaxed);
        self.state.total.store(total, Ordering::Relaxed);
        self.inner.start(stage, total);
    }

    fn advance(&self, amount: u64) {
        self.state.done.fetch_add(amount, Ordering::Relaxed);
        self.inner.advance(amount);
    }

    fn warn(&self, warning: &Error) {
        self.inner.warn(warning);
    }
}

/// What listens behind the attributes of the root.
struct Ears {
    info: MountInfo,
    files: SharedFiles,
    state: Arc<SharedState>,
    requests: Sender<CommitOptions>,
}

impl Control for Ears {
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        match name {
            INFO => {
                let has_changed = self.files.lock().unwrap_or_else(PoisonError::into_inner).has_changed();
                serde_json::to_vec(&MountInfo { has_changed, ..self.info.clone() }).ok()
            }
            STATE => serde_json::to_vec(&self.state.get()).ok(),
            _ => None,
        }
    }

    fn set(&self, name: &str, value: &[u8]) -> bool {
        let request = (name == COMMIT).then(|| serde_json::from_slice(value).ok()).flatten();
        request.is_some_and(|request| self.state.begin() && self.requests.try_send(request).is_ok())
    }
}
