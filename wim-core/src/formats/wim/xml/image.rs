//! What the XML says of one image.

use super::element::Element;
use crate::base::FileTime;

/// The IMAGE element of one image; its INDEX is its place in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageXml(Element);

/// The version under WINDOWS/VERSION.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct WindowsVersion {
    /// 6 for Windows 7.
    pub major: u32,
    /// 1 for Windows 7.
    pub minor: u32,
    /// 7601 for Windows 7 with Service Pack 1.
    pub build: u32,
    /// Build of the service pack.
    pub service_pack_build: u32,
    /// Number of the service pack.
    pub service_pack_level: u32,
}

impl Default for ImageXml {
    fn default() -> Self {
        Self(Element::new("IMAGE"))
    }
}

impl ImageXml {
    pub(super) fn new(element: Element) -> Self {
        Self(element)
    }

    /// The element itself.
    #[must_use]
    pub fn element(&self) -> &Element {
        &self.0
    }

    /// The element itself, for changing.
    pub fn element_mut(&mut self) -> &mut Element {
        &mut self.0
    }

    fn text(&self, path: &[&str]) -> Option<&str> {
        self.0.text_at(path).filter(|text| !text.is_empty())
    }

    /// NAME.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.text(&["NAME"])
    }

    /// DESCRIPTION.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.text(&["DESCRIPTION"])
    }

    /// DISPLAYNAME, which Windows Setup shows.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.text(&["DISPLAYNAME"])
    }

    /// DISPLAYDESCRIPTION.
    #[must_use]
    pub fn display_description(&self) -> Option<&str> {
        self.text(&["DISPLAYDESCRIPTION"])
    }

    /// FLAGS: the edition as given to `imagex /flags`.
    #[must_use]
    pub fn flags(&self) -> Option<&str> {
        self.text(&["FLAGS"])
    }

    /// WINDOWS/EDITIONID.
    #[must_use]
    pub fn edition_id(&self) -> Option<&str> {
        self.text(&["WINDOWS", "EDITIONID"])
    }

    /// A text below IMAGE by the names of its elements; none when absent or empty.
    #[must_use]
    pub fn property(&self, path: &[&str]) -> Option<&str> {
        self.text(path)
    }

    /// WINDOWS/ARCH: `PROCESSOR_ARCHITECTURE_*`, 0 for x86 and 9 for x64.
    #[must_use]
    pub fn architecture(&self) -> Option<u32> {
        self.text(&["WINDOWS", "ARCH"])?.trim().parse().ok()
    }

    /// WINDOWS/VERSION; none without MAJOR, absent numbers are 0.
    #[must_use]
    pub fn version(&self) -> Option<WindowsVersion> {
        let number =
            |name| self.text(&["WINDOWS", "VERSION", name]).and_then(|text| text.trim().parse::<u32>().ok());
        Some(WindowsVersion {
            major: number("MAJOR")?,
            minor: number("MINOR").unwrap_or(0),
            build: number("BUILD").unwrap_or(0),
            service_pack_build: number("SPBUILD").unwrap_or(0),
            service_pack_level: number("SPLEVEL").unwrap_or(0),
        })
    }

    /// A number such as DIRCOUNT; a hint only.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        self.text(&[name])?.trim().parse().ok()
    }

    /// CREATIONTIME or LASTMODIFICATIONTIME.
    #[must_use]
    pub fn time(&self, name: &str) -> Option<FileTime> {
        let part = |half| {
            let text = self.text(&[name, half])?.trim();
            u32::from_str_radix(text.strip_prefix("0x").or(text.strip_prefix("0X"))?, 16).ok()
        };
        Some(FileTime(u64::from(part("HIGHPART")?) << 32 | u64::from(part("LOWPART")?)))
    }

    /// Sets CREATIONTIME or LASTMODIFICATIONTIME.
    pub fn set_time(&mut self, name: &str, time: FileTime) {
        let element = self.0.child_mut(name);
        element.set_text("HIGHPART", &format!("0x{:08X}", time.0 >> 32));
        element.set_text("LOWPART", &format!("0x{:08X}", time.0 & 0xFFFF_FFFF));
    }

    /// Sets the text of an element directly below IMAGE; an empty text removes it.
    pub fn set(&mut self, name: &str, text: &str) {
        if text.is_empty() {
            self.0.remove(name);
        } else {
            self.0.set_text(name, text);
        }
    }

    /// Sets a text below IMAGE by the names of its elements, making those that are absent.
    pub fn set_property(&mut self, path: &[&str], text: &str) {
        if let [parents @ .., name] = path {
            let parent = parents.iter().fold(&mut self.0, |element, name| element.child_mut(name));
            parent.set_text(name, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_two_hexadecimal_halves() {
        let mut image = ImageXml::default();
        image.set_time("CREATIONTIME", FileTime(0x01CB_8934_6A2B_1C00));
        assert_eq!(image.property(&["CREATIONTIME", "HIGHPART"]), Some("0x01CB8934"));
        assert_eq!(image.time("CREATIONTIME"), Some(FileTime(0x01CB_8934_6A2B_1C00)));
        assert_eq!(image.time("LASTMODIFICATIONTIME"), None);
    }

    #[test]
    fn properties_are_made_on_the_way() {
        let mut image = ImageXml::default();
        image.set_property(&["WINDOWS", "VERSION", "MAJOR"], "6");
        image.set_property(&["WINDOWS", "VERSION", "MINOR"], "1");
        assert_eq!(image.version().map(|v| (v.major, v.minor, v.build)), Some((6, 1, 0)));
        image.set("NAME", "x");
        image.set("NAME", "");
        assert_eq!(image.name(), None);
    }
}
