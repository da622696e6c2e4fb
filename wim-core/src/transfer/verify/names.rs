//! Names that are sound in an image, but not everywhere it may be applied.
//!
//! Windows keeps such names itself, in directories where case matters and through interfaces below Win32: they are remarks. Names
//! that no file can have are damage, which loading the image finds.

use crate::base::{Error, ErrorKind, Place, windows_name};
use crate::image::{NodeId, Tree};

/// Longest path of a remark, in bytes.
const PATH_BYTES: usize = 512;

/// Calls `remark` for every name that Win32 refuses, and for every one that differs from the one before it in case only.
pub(super) fn odd_names(tree: &Tree, remark: &mut dyn FnMut(Error)) {
    let mut say = |node: NodeId, message: String, remedy: &str| {
        let place = Place::Path(tree.path_text(node, PATH_BYTES));
        remark(Error::new(ErrorKind::Unsupported, message).at(place).remedy(remedy));
    };
    for visit in tree.walk(tree.root()) {
        let children = tree.children(visit.node);
        for &child in children {
            let name = &tree.node(child).name;
            if let Some(fault) = windows_name::name_fault(&String::from_utf16_lossy(name)) {
                let message = format!("Win32 refuses this name: {fault}");
                say(child, message, "rename it with wim update if Windows is to use it");
            }
        }
        for pair in children.windows(2) {
            let [first, second] = pair else { continue };
            let (first, name) = (&tree.node(*first).name, &tree.node(*second).name);
            if first.eq_ignore_case(name) {
                let message =
                    format!("differs from {first:?} in case only; Windows opens the one or the other");
                say(
                    *second,
                    message,
                    "rename or delete one of them with wim update if Windows is to use them",
                );
            }
        }
    }
}
