//! The process that unmounts: asks for the commit, watches it, and takes the mount away.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::messages::{COMMIT, CommitState, INFO, MountInfo, PREFIX, STATE};
use super::{CommitOptions, Unmounted};
use crate::base::{Context, Error, Reason, Result, Stage};
use crate::jobs::rebuild::Written;

/// How often the state of a commit is asked for.
const TICK: Duration = Duration::from_millis(20);
/// Longest time that is waited for the other process to end after the mount is gone.
const FAREWELL: Duration = Duration::from_secs(10);
/// Largest answer.
const MAX_ANSWER_BYTES: usize = 65536;

pub(super) fn unmount(
    cx: &Context<'_>,
    mountpoint: &Path,
    commit: Option<CommitOptions>,
) -> Result<Unmounted> {
    let info: MountInfo = ask(mountpoint, INFO).map_err(|_| {
        Error::invalid_input("no image is mounted here by wim")
            .because(Reason::NotMounted)
            .in_file(mountpoint.display())
            .remedy("mounts of other programs are taken away with: umount or fusermount3 -u")
    })?;
    let mut committed = None;
    if let Some(options) = commit.filter(|_| info.is_writable) {
        committed = Some(wait_for_commit(cx, mountpoint, options)?);
    }
    take_away(mountpoint).map_err(|error| match &committed {
        Some(_) => error.remedy("the changes are committed; unmount again when nothing uses the mount"),
        None => error,
    })?;
    wait_for_end(info.process);
    Ok(Unmounted {
        path: info.path,
        image: info.image,
        discarded_changes: info.has_changed && committed.is_none(),
        committed,
    })
}

fn ask<T: serde::de::DeserializeOwned>(mountpoint: &Path, name: &str) -> Result<T> {
    let mut answer = vec![0; MAX_ANSWER_BYTES];
    let length = getxattr(mountpoint, format!("{PREFIX}{name}"), &mut answer[..])
        .map_err(|e| Error::io(e.into(), "cannot ask the mount at", mountpoint))?;
    serde_json::from_slice(answer.get(..length).unwrap_or(&[]))
        .map_err(|e| Error::invalid_input(format!("the mount answers with what is no answer: {e}")))
}

fn wait_for_commit(cx: &Context<'_>, mountpoint: &Path, options: CommitOptions) -> Result<Written> {
    let request = serde_json::to_vec(&options)
        .map_err(|e| Error::invalid_input(format!("the request cannot be written: {e}")))?;
    setxattr(mountpoint, format!("{PREFIX}{COMMIT}"), &request, XattrFlags::empty()).map_err(
        |e| match e {
            Errno::BUSY => Error::invalid_input("a commit is going on already").in_file(mountpoint.display()),
            e => Error::io(e.into(), "cannot ask the mount at", mountpoint),
        },
    )?;
    let (mut stage_total, mut shown) = (0, 0);
    loop {
        match ask::<CommitState>(mountpoint, STATE)? {
            CommitState::Done(written) => return Ok(written),
            CommitState::Failed { message, remedy } => {
                let still =
                    "the image is still mounted; wim unmount without --commit throws the changes away";
                return Err(Error::invalid_input(message).remedy(remedy.as_deref().unwrap_or(still)));
            }
            CommitState::None => {}
            CommitState::Running { done, total } => {
                if total != stage_total || done < shown {
                    cx.progress.start(Stage::Writing, total);
                    (stage_total, shown) = (total, 0);
                }
                cx.progress.advance(done.saturating_sub(shown));
                shown = done;
            }
        }
        std::thread::sleep(TICK);
    }
}

/// Unmounts: by the system call for those who may, else through `fusermount3`.
fn take_away(mountpoint: &Path) -> Result<()> {
    let busy = || {
        Error::invalid_input("something still uses the mount")
            .in_file(mountpoint.display())
            .remedy("leave the directory and close its files, then unmount again")
    };
    match rustix::mount::unmount(mountpoint, UnmountFlags::empty()) {
        Ok(()) => return Ok(()),
        Err(Errno::BUSY) => return Err(busy()),
        Err(_) => {}
    }
    for program in ["fusermount3", "fusermount"] {
        let Ok(done) = Command::new(program).arg("-u").arg("--").arg(mountpoint).output() else { continue };
        return match done.status.success() {
            true => Ok(()),
            false if String::from_utf8_lossy(&done.stderr).contains("busy") => Err(busy()),
            false => Err(Error::invalid_input(format!(
                "{program} says: {}",
                String::from_utf8_lossy(&done.stderr).trim()
            ))
            .in_file(mountpoint.display())),
        };
    }
    Err(Error::not_found("fusermount3 is not installed, which unmounts for users")
        .remedy("install the package fuse3"))
}

/// Waits until the process that mounted has let go of the file.
fn wait_for_end(process: u32) {
    let start = Instant::now();
    let folder = format!("/proc/{process}");
    while process != std::process::id() && Path::new(&folder).exists() && start.elapsed() < FAREWELL {
        std::thread::sleep(TICK);
    }
}
