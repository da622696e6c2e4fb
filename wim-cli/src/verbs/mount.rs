//! `wim mount`, `wim mountrw`, `wim unmount`: images as directories of the host.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use wim_core::base::Error;
use wim_core::jobs::mount::{
    self, CommitOptions, MountAccess, MountOptions, MountUsers, Owners, StreamAccess,
};
use wim_core::jobs::open::Check;

use crate::exit::{FAILED, Failure, Outcome, Verdict};
use crate::session::Session;

/// What the process in the background says when the image is mounted.
const READY: &str = "mounted";
/// Set for the process that mounts in the background.
const IN_BACKGROUND: &str = "WIM_MOUNT_IN_BACKGROUND";

/// Mount an image read-only on a directory (Linux)
///
/// The command returns when the image is mounted; a process in the background answers until wim unmount. Links that lead
/// into the image lead into the mount. All files belong to the user who mounts, with mode 0777, unless --unix-data is given.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The WIM file; of a split set the first part
    wimfile: PathBuf,
    /// Number, name or edition of the image; may be left out when there is one only
    #[arg(num_args = 1..=2, value_name = "[IMAGE] DIRECTORY", required = true)]
    image_and_directory: Vec<String>,
    /// Glob of other parts of a split set, or of files that a delta needs; may be repeated
    #[arg(long = "ref", value_name = "GLOB")]
    refs: Vec<String>,
    #[command(flatten)]
    common: CommonArguments,
}

/// Mount an image on a directory, to be changed (Linux)
///
/// As wim mount; nothing else can change the file meanwhile. Changes are kept in a staging folder until wim unmount
/// --commit writes them into the file, and are thrown away without it.
#[derive(Args, Debug)]
pub(crate) struct WritableArguments {
    /// The WIM file
    wimfile: PathBuf,
    /// Number, name or edition of the image; may be left out when there is one only
    #[arg(num_args = 1..=2, value_name = "[IMAGE] DIRECTORY", required = true)]
    image_and_directory: Vec<String>,
    /// Glob of files that a delta needs; they are read and never changed; may be repeated
    #[arg(long = "ref", value_name = "GLOB")]
    refs: Vec<String>,
    /// Folder for the staging folder [default: that of the file]
    #[arg(long, value_name = "DIR")]
    staging_dir: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Args, Debug)]
struct CommonArguments {
    /// Check the integrity table first
    #[arg(long)]
    check: bool,
    /// How named data streams are reached
    #[arg(long, value_name = "INTERFACE", value_enum, default_value = "xattr")]
    streams_interface: StreamsInterface,
    /// Take owner, group, mode and special files from the image's Unix data
    #[arg(long)]
    unix_data: bool,
    /// Let other users look into it, as far as modes let them
    #[arg(long)]
    allow_other: bool,
    /// Stay in the foreground
    #[arg(long)]
    debug: bool,
}

/// How named data streams are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StreamsInterface {
    /// Not at all
    None,
    /// As extended attributes user.NAME
    Xattr,
    /// As files FILE:NAME
    Windows,
}

impl Arguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let options = self.common.options(MountAccess::ReadOnly, self.refs, None);
        mount(session, &self.wimfile, &self.image_and_directory, &options, self.common.debug)
    }
}

impl WritableArguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let options = self.common.options(MountAccess::ReadWrite, self.refs, self.staging_dir);
        mount(session, &self.wimfile, &self.image_and_directory, &options, self.common.debug)
    }
}

impl CommonArguments {
    fn options(&self, access: MountAccess, refs: Vec<String>, staging_dir: Option<PathBuf>) -> MountOptions {
        MountOptions {
            access,
            streams: match self.streams_interface {
                StreamsInterface::None => StreamAccess::None,
                StreamsInterface::Xattr => StreamAccess::Xattr,
                StreamsInterface::Windows => StreamAccess::Windows,
            },
            owners: if self.unix_data { Owners::UnixData } else { Owners::Mounter },
            users: if self.allow_other { MountUsers::All } else { MountUsers::Mounter },
            staging_dir,
            refs,
            check: if self.check { Check::Integrity } else { Check::Nothing },
        }
    }
}

fn mount(
    session: &Session,
    wimfile: &std::path::Path,
    words: &[String],
    options: &MountOptions,
    in_foreground: bool,
) -> Verdict {
    mount::check_available()?;
    let (image, directory) = match words {
        [directory] => (None, directory),
        [image, directory] => (Some(image.as_str()), directory),
        _ => return Err(Error::invalid_input("give the directory to mount on").into()),
    };
    if !in_foreground {
        return in_background(session);
    }
    let ready = || {
        // The process that waits for this line may be gone, and nobody else needs it.
        let line = format!("{READY}\n");
        let _ = match std::env::var_os(IN_BACKGROUND) {
            // Behind the warnings, so that the other process knows when it has them all.
            Some(_) => session.shell.relay("", &line),
            None => session.shell.answer(&line),
        };
    };
    session.run(|cx| mount::mount(cx, wimfile, image, directory.as_ref(), options, &ready))?;
    Ok(Outcome::Done)
}

/// Runs this command line again in a process of its own, and waits until that one has mounted or failed.
fn in_background(session: &Session) -> Verdict {
    let cannot = |e: std::io::Error| Error::io(e, "cannot start", "wim".as_ref());
    let program = std::env::current_exe().map_err(cannot)?;
    let mut command = Command::new(program);
    // The name may say that options have one dash.
    #[cfg(unix)]
    if let Some(name) = std::env::args_os().next() {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
        // Ctrl-C in this terminal is not meant for the mount.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
    }
    command.args(std::env::args_os().skip(1)).arg("--debug");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.env(IN_BACKGROUND, "1").spawn().map_err(cannot)?;
    let (mut said, mut complained) = (String::new(), String::new());
    for line in child.stderr.take().map(BufReader::new).into_iter().flat_map(BufReader::lines) {
        let line = line.map_err(cannot)?;
        if line == READY {
            session.shell.relay("", &complained)?;
            return Ok(Outcome::Done);
        }
        complained += &line;
        complained.push('\n');
    }
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut said).map_err(cannot)?;
    }
    let status = child.wait().map_err(cannot)?;
    session.shell.relay(&said, &complained)?;
    Err(Failure::Reported(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED)))
}

/// Unmount an image that wim mount or wim mountrw has mounted (Linux)
///
/// With --json: path, image, discarded_changes, and committed, which is null or has what was written.
#[derive(Args, Debug)]
pub(crate) struct UnmountArguments {
    /// The directory
    directory: PathBuf,
    /// Write the changes into the file; without it they are thrown away
    #[arg(long)]
    commit: bool,
    /// Commit although files are open for writing
    #[arg(long, requires = "commit")]
    force: bool,
    /// Give the file an integrity table
    #[arg(long, requires = "commit")]
    check: bool,
    /// Write the file anew instead of appending to it
    #[arg(long, requires = "commit")]
    rebuild: bool,
    /// Make one more image of the changed one
    #[arg(long, requires = "commit")]
    new_image: bool,
    /// Accepted for wimlib's sake
    #[arg(long, hide = true)]
    lazy: bool,
}

impl UnmountArguments {
    pub(crate) fn run(self, session: &Session) -> Verdict {
        let commit = self.commit.then_some(CommitOptions {
            force: self.force,
            make_integrity: self.check,
            rebuild: self.rebuild,
            new_image: self.new_image,
        });
        let done = session.run(|cx| mount::unmount(cx, &self.directory, commit))?;
        if session.shell.is_json() {
            session.shell.json("unmount", &done)?;
        }
        Ok(Outcome::Done)
    }
}
