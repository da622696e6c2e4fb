//! Compression levels: a number on wimlib's scale, with three names.

/// How hard an encoder works: wimlib's scale, where 20 is quick, 50 the default and 100 thorough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u32);

impl Level {
    /// `fast`: greedy or lazy parsing.
    pub const FAST: Self = Self(20);
    /// `normal`: what wimlib does by default.
    pub const NORMAL: Self = Self(50);
    /// `max`: the smallest output at an acceptable speed.
    pub const MAX: Self = Self(100);

    /// A level on wimlib's numeric scale; 0 stands for the default, as there.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        if number == 0 { Self::NORMAL } else { Self(number) }
    }

    /// The level as a number on wimlib's scale, at least 1.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::NORMAL
    }
}
