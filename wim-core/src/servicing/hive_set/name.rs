//! The hives of an image by name, and where they lie.
//!
//! Places follow registry hives as Windows XP to 11 keep them. Hives of single users have no name here: they are found in the
//! image by `HiveSet::user_hives`.

/// A hive of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HiveName {
    /// `HKLM\SYSTEM`.
    System,
    /// `HKLM\SOFTWARE`.
    Software,
    /// `HKLM\DRIVERS`, from Windows 8 on.
    Drivers,
    /// `HKLM\COMPONENTS`, which only servicing loads.
    Components,
    /// `HKU\.DEFAULT`: the settings of LocalSystem.
    Default,
    /// Template of new users' `HKCU`.
    DefaultUser,
    /// `HKLM\SAM`.
    Sam,
    /// `HKLM\SECURITY`.
    Security,
    /// `config\ELAM`.
    Elam,
    /// `config\BBI`.
    Bbi,
    /// `config\BCD-Template`.
    BcdTemplate,
    /// `HKLM\SCHEMA`.
    Schema,
    /// `HKU\S-1-5-19`.
    LocalService,
    /// `HKU\S-1-5-20`.
    NetworkService,
    /// `AppCompat\Programs\Amcache.hve`.
    Amcache,
    /// `HKLM\BCD00000000`: the boot store of a disk.
    Bcd,
    /// A hive added by its path: see [`HiveSet::add_path`](super::HiveSet::add_path).
    Other(u16),
}

impl HiveName {
    /// All hives that have a place of their own.
    pub const ALL: [Self; 16] = [
        Self::System,
        Self::Software,
        Self::Drivers,
        Self::Components,
        Self::Default,
        Self::DefaultUser,
        Self::Sam,
        Self::Security,
        Self::Elam,
        Self::Bbi,
        Self::BcdTemplate,
        Self::Schema,
        Self::LocalService,
        Self::NetworkService,
        Self::Amcache,
        Self::Bcd,
    ];

    /// Where it lies in an image; the first that exists counts.
    #[must_use]
    pub fn paths(self) -> &'static [&'static str] {
        match self {
            Self::System => &["\\Windows\\System32\\config\\SYSTEM"],
            Self::Software => &["\\Windows\\System32\\config\\SOFTWARE"],
            Self::Drivers => &["\\Windows\\System32\\config\\DRIVERS"],
            Self::Components => &["\\Windows\\System32\\config\\COMPONENTS"],
            Self::Default => &["\\Windows\\System32\\config\\DEFAULT"],
            Self::DefaultUser => {
                &["\\Users\\Default\\NTUSER.DAT", "\\Documents and Settings\\Default User\\NTUSER.DAT"]
            }
            Self::Sam => &["\\Windows\\System32\\config\\SAM"],
            Self::Security => &["\\Windows\\System32\\config\\SECURITY"],
            Self::Elam => &["\\Windows\\System32\\config\\ELAM"],
            Self::Bbi => &["\\Windows\\System32\\config\\BBI"],
            Self::BcdTemplate => &["\\Windows\\System32\\config\\BCD-Template"],
            Self::Schema => &["\\Windows\\System32\\SMI\\Store\\Machine\\SCHEMA.DAT"],
            Self::LocalService => &["\\Windows\\ServiceProfiles\\LocalService\\NTUSER.DAT"],
            Self::NetworkService => &["\\Windows\\ServiceProfiles\\NetworkService\\NTUSER.DAT"],
            Self::Amcache => &["\\Windows\\AppCompat\\Programs\\Amcache.hve"],
            Self::Bcd => &["\\Boot\\BCD", "\\EFI\\Microsoft\\Boot\\BCD"],
            Self::Other(_) => &[],
        }
    }

    /// How people call it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::System => "SYSTEM",
            Self::Software => "SOFTWARE",
            Self::Drivers => "DRIVERS",
            Self::Components => "COMPONENTS",
            Self::Default => "DEFAULT",
            Self::DefaultUser => "default user",
            Self::Sam => "SAM",
            Self::Security => "SECURITY",
            Self::Elam => "ELAM",
            Self::Bbi => "BBI",
            Self::BcdTemplate => "BCD-Template",
            Self::Schema => "SCHEMA",
            Self::LocalService => "LocalService",
            Self::NetworkService => "NetworkService",
            Self::Amcache => "Amcache",
            Self::Bcd => "BCD00000000",
            Self::Other(_) => "hive",
        }
    }
}
