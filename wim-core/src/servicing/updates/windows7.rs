//! What updates of Windows 7 SP1 need that their packages do not say, and the order that they go in.
//!
//! Sources stand with each entry: articles of Microsoft's knowledge base, the prerequisites that they state, and the order
//! that integrators of Windows 7 have settled on (updates.md 7.1). The table advises and sorts; whether an update fits an
//! image is decided by its own manifests. It knows nothing of other versions of Windows.

use super::package::Kb;
use crate::formats::cbs::AssemblyVersion;

/// How firm a need is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// The article states it as a prerequisite.
    Stated,
    /// It goes first when both are there, and is missed when it is not.
    Advised,
}

/// Something that is to be in the image first.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Any of these satisfies it; the first is the one to get.
    pub any_of: &'static [u32],
    /// A servicing stack of at least this version satisfies it too.
    pub stack: Option<AssemblyVersion>,
    /// How firm it is.
    pub strength: Strength,
    /// What it is for.
    pub why: &'static str,
}

/// What is known of one update.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its article.
    pub kb: u32,
    /// Place in the order; equal ones go by their date.
    pub step: u8,
    /// What it is.
    pub title: &'static str,
    /// What goes before it.
    pub needs: &'static [Need],
    /// Updates that take its place.
    pub replaced_by: &'static [u32],
    /// Where all this is from.
    pub source: &'static str,
}

/// Place of an update that the table does not list.
pub const OTHER_STEP: u8 = 70;
/// Place of a servicing stack that the table does not list.
pub const STACK_STEP: u8 = 75;
/// Place of a rollup that the table does not list.
pub const ROLLUP_STEP: u8 = 80;
/// The last month of free support, as packages write when they were made; what is younger is for Extended Security
/// Updates (lifecycle of Windows 7: 14 January 2020).
const FREE_SUPPORT_ENDS: &str = "2020-01-31";
/// Articles after that date that need no such licence: servicing stacks and the preparation of the licence itself.
const FREE_AFTERWARDS: [u32; 5] = [4_538_483, 4_575_903, 4_550_738, 4_555_449, 4_562_030];

const fn version(build: u16, revision: u16) -> Option<AssemblyVersion> {
    Some(AssemblyVersion([6, 1, build, revision]))
}

// UNVERIFIED: the versions of these two stacks, which the packages themselves would settle. They count only where an image has
// such a stack and no record of any of the articles.
const STACK_2015: Need = Need {
    any_of: &[3_020_369, 3_177_467, 4_490_628, 4_516_655, 4_523_206, 4_531_786, 4_536_952],
    stack: version(7601, 18766),
    strength: Strength::Stated,
    why: "servicing stack of April 2015 or later",
};
const STACK_2019: Need = Need {
    any_of: &[4_490_628, 4_516_655, 4_523_206, 4_531_786, 4_536_952],
    stack: version(7601, 24383),
    strength: Strength::Stated,
    why: "servicing stack of March 2019 or later, which knows SHA-2 signatures",
};
const SHA2: Need = Need {
    any_of: &[4_474_419],
    stack: None,
    strength: Strength::Stated,
    why: "SHA-2 signatures, which all updates since August 2019 have alone",
};
const STACK_2020: Need = Need {
    any_of: &[4_536_952],
    stack: None,
    strength: Strength::Stated,
    why: "servicing stack of January 2020",
};
const NVME: Need = Need {
    any_of: &[2_990_941],
    stack: None,
    strength: Strength::Advised,
    why: "the NVMe driver that it corrects",
};
// Later stacks are signed with SHA-2 alone, so only this one can come before them.
const STACK_BEFORE_SHA2: Need = Need { any_of: &[4_490_628], strength: Strength::Advised, ..STACK_2019 };

/// The table, in order.
pub const ENTRIES: &[Entry] = &[
    Entry {
        kb: 976_932,
        step: 0,
        title: "Service Pack 1",
        needs: &[],
        replaced_by: &[],
        source: "KB976932; installed by setup media with SP1, not by packages",
    },
    Entry {
        kb: 3_020_369,
        step: 10,
        title: "servicing stack of April 2015",
        needs: &[],
        replaced_by: &[3_177_467, 4_490_628, 4_516_655, 4_523_206, 4_531_786, 4_536_952],
        source: "KB3020369; replaced per KB3177467",
    },
    Entry {
        kb: 3_177_467,
        step: 11,
        title: "servicing stack of September 2016",
        needs: &[],
        replaced_by: &[4_490_628, 4_516_655, 4_523_206, 4_531_786, 4_536_952],
        source: "KB3177467; replaced per KB4490628",
    },
    Entry {
        kb: 4_490_628,
        step: 12,
        title: "servicing stack of March 2019",
        needs: &[],
        replaced_by: &[4_516_655, 4_523_206, 4_531_786, 4_536_952],
        source: "KB4490628; signed with SHA-1 and SHA-2, so that it goes before KB4474419",
    },
    Entry {
        kb: 3_033_929,
        step: 20,
        title: "SHA-2 signatures, 2015",
        needs: &[],
        replaced_by: &[4_474_419],
        source: "KB3033929; contained in KB4474419",
    },
    Entry {
        kb: 4_474_419,
        step: 21,
        title: "SHA-2 signatures, 2019",
        needs: &[STACK_BEFORE_SHA2],
        replaced_by: &[],
        source: "KB4472027 (requirement of SHA-2 signatures), KB4474419",
    },
    Entry {
        kb: 3_125_574,
        step: 30,
        title: "convenience rollup of April 2016",
        needs: &[STACK_2015],
        replaced_by: &[],
        source: "KB3125574: its prerequisite is KB3020369",
    },
    Entry {
        kb: 2_685_811,
        step: 40,
        title: "kernel-mode driver framework 1.11",
        needs: &[],
        replaced_by: &[],
        source: "KB2685811; in none of the rollups",
    },
    Entry {
        kb: 2_685_813,
        step: 41,
        title: "user-mode driver framework 1.11",
        needs: &[],
        replaced_by: &[],
        source: "KB2685813; in none of the rollups",
    },
    Entry {
        kb: 2_990_941,
        step: 50,
        title: "NVMe driver (stornvme.sys)",
        needs: &[],
        replaced_by: &[],
        source: "KB2990941; needed in install.wim and in both images of boot.wim, in none of the rollups",
    },
    Entry {
        kb: 3_087_873,
        step: 51,
        title: "correction of the NVMe driver's port driver",
        needs: &[NVME],
        replaced_by: &[],
        source: "KB3087873: stop error 0x7E after KB2990941. UNVERIFIED whether its article states KB2990941 as a \
                 prerequisite; its package does not ask for it",
    },
    Entry {
        kb: 2_999_226,
        step: 60,
        title: "universal C runtime",
        needs: &[],
        replaced_by: &[],
        source: "KB2999226: its prerequisite is Service Pack 1, which its package checks",
    },
    Entry {
        kb: 4_516_655,
        step: 75,
        title: "servicing stack of September 2019",
        needs: &[SHA2, STACK_BEFORE_SHA2],
        replaced_by: &[4_523_206, 4_531_786, 4_536_952],
        source: "KB4516655",
    },
    Entry {
        kb: 4_523_206,
        step: 76,
        title: "servicing stack of November 2019",
        needs: &[SHA2, STACK_BEFORE_SHA2],
        replaced_by: &[4_531_786, 4_536_952],
        source: "KB4523206",
    },
    Entry {
        kb: 4_531_786,
        step: 77,
        title: "servicing stack of December 2019",
        needs: &[SHA2, STACK_BEFORE_SHA2],
        replaced_by: &[4_536_952],
        source: "KB4531786",
    },
    Entry {
        kb: 4_536_952,
        step: 78,
        title: "servicing stack of January 2020",
        needs: &[SHA2, STACK_BEFORE_SHA2],
        replaced_by: &[],
        source: "KB4536952",
    },
    Entry {
        kb: 4_534_310,
        step: 80,
        title: "last monthly rollup of free support, January 2020",
        needs: &[STACK_2019, SHA2, STACK_2020],
        replaced_by: &[],
        source: "KB4534310: its prerequisites are KB4490628, KB4474419 and KB4536952",
    },
    Entry {
        kb: 4_538_483,
        step: 90,
        title: "preparation of Extended Security Updates licences",
        needs: &[SHA2, STACK_2019],
        replaced_by: &[4_575_903],
        source: "KB4538483",
    },
    Entry {
        kb: 4_575_903,
        step: 91,
        title: "preparation of Extended Security Updates licences",
        needs: &[SHA2, STACK_2019],
        replaced_by: &[],
        source: "KB4575903",
    },
];

/// What the table knows of an update.
#[must_use]
pub fn entry(kb: Kb) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.kb == kb.0)
}

/// Whether a package for Windows 7 SP1, made at `creation_time`, is for machines with an Extended Security Updates licence.
#[must_use]
pub fn is_extended_security_update(kb: Option<Kb>, creation_time: &str) -> bool {
    let is_free = kb.is_some_and(|kb| FREE_AFTERWARDS.contains(&kb.0) || entry(kb).is_some());
    let date = creation_time.get(..10).unwrap_or("");
    date.len() == 10 && date > FREE_SUPPORT_ENDS && !is_free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_agrees_with_itself() {
        for pair in ENTRIES.windows(2) {
            assert!(pair[0].step <= pair[1].step, "{} before {}", pair[0].kb, pair[1].kb);
        }
        for known in ENTRIES {
            assert_eq!(entry(Kb(known.kb)).unwrap().title, known.title, "{} is there twice", known.kb);
            assert!(!known.source.is_empty());
            for need in known.needs {
                assert!(!need.any_of.contains(&known.kb));
                // Whatever satisfies a need must be able to go first, the servicing stacks of later steps apart.
                let first = entry(Kb(need.any_of[0])).unwrap();
                assert!(first.step < known.step, "{} needs {}", known.kb, first.kb);
            }
            for newer in known.replaced_by {
                assert!(entry(Kb(*newer)).is_none_or(|newer| newer.step > known.step), "{newer}");
            }
        }
    }

    #[test]
    fn updates_after_the_end_of_support_are_told() {
        assert!(!is_extended_security_update(Some(Kb(4_534_310)), "2020-01-09T00:00:00Z"));
        assert!(is_extended_security_update(Some(Kb(4_539_601)), "2020-02-07T00:00:00Z"));
        assert!(is_extended_security_update(None, "2022-02-07T00:00:00Z"));
        assert!(!is_extended_security_update(Some(Kb(4_538_483)), "2020-02-07T00:00:00Z"));
        assert!(!is_extended_security_update(Some(Kb(2_999_226)), ""));
    }
}
