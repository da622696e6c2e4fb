//! Processor architectures of Windows, under the names and numbers that its files give them.
//!
//! Sources: the PE file header's machine numbers, the WIM's XML `ARCH` (PROCESSOR_ARCHITECTURE_* numbers), the names of INF
//! decorations. It knows nothing of which architecture runs on which.

use std::fmt;

/// A processor architecture that a Windows image or a driver is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 32-bit Intel.
    X86,
    /// 64-bit Intel and AMD.
    Amd64,
    /// Itanium.
    Ia64,
    /// 32-bit ARM.
    Arm,
    /// 64-bit ARM.
    Arm64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::X86, Self::Amd64, Self::Ia64, Self::Arm, Self::Arm64];

    /// The name in INF decorations and store folders: `x86`, `amd64`, `ia64`, `arm`, `arm64`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86",
            Self::Amd64 => "amd64",
            Self::Ia64 => "ia64",
            Self::Arm => "arm",
            Self::Arm64 => "arm64",
        }
    }

    /// The architecture of that name, compared without case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// The architecture of a `Machine` number of a PE file header.
    #[must_use]
    pub const fn from_pe_machine(machine: u16) -> Option<Self> {
        match machine {
            0x014C => Some(Self::X86),
            0x8664 => Some(Self::Amd64),
            0x0200 => Some(Self::Ia64),
            0x01C0 | 0x01C2 | 0x01C4 => Some(Self::Arm),
            0xAA64 => Some(Self::Arm64),
            _ => None,
        }
    }

    /// The architecture of a PROCESSOR_ARCHITECTURE_* number, as in the XML data of a WIM.
    #[must_use]
    pub const fn from_windows_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::X86),
            5 => Some(Self::Arm),
            6 => Some(Self::Ia64),
            9 => Some(Self::Amd64),
            12 => Some(Self::Arm64),
            _ => None,
        }
    }

    /// Its PROCESSOR_ARCHITECTURE_* number.
    #[must_use]
    pub const fn windows_number(self) -> u16 {
        match self {
            Self::X86 => 0,
            Self::Arm => 5,
            Self::Ia64 => 6,
            Self::Amd64 => 9,
            Self::Arm64 => 12,
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for a in Architecture::ALL {
            assert_eq!(Architecture::from_name(&a.name().to_uppercase()), Some(a));
            assert_eq!(Architecture::from_windows_number(u32::from(a.windows_number())), Some(a));
        }
        assert_eq!(Architecture::from_pe_machine(0x8664), Some(Architecture::Amd64));
        assert_eq!(Architecture::from_pe_machine(0), None);
        assert_eq!(Architecture::from_name("mips"), None);
    }
}
