//! Folders that a run which was killed left in `$WinPEDriver$`.
//!
//! Their names say which process made them; one that still runs keeps its own, and so does every one for a day: it may run on another
//! machine, or where nobody can tell. Setup would look into them for drivers. Nothing else is ever deleted here.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// How names of temporary folders end.
pub(super) const SUFFIX: &str = ".wim-tmp";

/// How long a folder is left alone since something changed in it.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// How the names of this process's temporary folders begin.
pub(super) fn prefix() -> String {
    format!(".{}-", std::process::id())
}

/// Deletes what killed runs left in `root`; what cannot be deleted stays, and harms no more than before.
pub(super) fn clear(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_litter = name.to_str().and_then(maker).is_some_and(|process| !may_run(process));
        let metadata = entry.metadata().ok().filter(|metadata| is_litter && metadata.is_dir());
        let age = metadata.and_then(|metadata| metadata.modified().ok()?.elapsed().ok());
        if age.is_some_and(|age| age > GRACE) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The process that made a temporary folder of this name; none for other names.
fn maker(name: &str) -> Option<u32> {
    let (process, rest) = name.strip_prefix('.')?.strip_suffix(SUFFIX)?.split_once('-')?;
    (!rest.is_empty()).then(|| process.parse().ok()).flatten()
}

/// True for this process, and for others that the system lists as running.
fn may_run(process: u32) -> bool {
    process == std::process::id() || Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Elsewhere a folder cannot be opened for its time.
    #[cfg(unix)]
    #[test]
    fn only_what_dead_processes_left_goes() {
        let root = tempfile::tempdir().unwrap();
        let own = format!("{}x{SUFFIX}", prefix());
        // No system numbers a process so high.
        let (dead, young) = (format!(".{}-x{SUFFIX}", u32::MAX), format!(".{}-y{SUFFIX}", u32::MAX));
        let names = [own.as_str(), dead.as_str(), young.as_str(), ".x.wim-tmp", "nvme_1", ".1-.other"];
        for name in names {
            let folder = root.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("file"), name).unwrap();
            if name != young {
                fs::File::open(&folder).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
            }
        }
        clear(root.path());
        let mut left: Vec<String> = fs::read_dir(root.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = [own.as_str(), young.as_str(), ".x.wim-tmp", "nvme_1", ".1-.other"];
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}
