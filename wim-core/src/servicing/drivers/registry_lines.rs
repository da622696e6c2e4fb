//! Registry edits of drivers: services, event logs and the lines of AddReg, DelReg and BitReg, in an image's hives.
//!
//! Source: drivers.md 1.9 and 1.10. All writes go through [`HiveSet`], which journals them; what concerns a user's hive or
//! cannot be placed is reported and left out.

use super::boot::{self, BootStart};
use super::key_deletion::DeletionBudget;
use crate::base::{Architecture, Result};
use crate::formats::hive::{RegValue, reg_type};
use crate::formats::inf::registry::{RegAction, RegLine, RegRoot, SetCondition};
use crate::formats::inf::{Inf, Position, Service};
use crate::servicing::hive_set::{HiveName, HiveSet};

/// Which values may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// All.
    All,
    /// Only those that are absent: a package that is there already is completed, not changed.
    OnlyMissing,
}

/// How Windows 8 and later know the package whose values are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// `oemN.inf`.
    pub name: String,
    /// Its folder in the driver store, as values name it: `%SystemRoot%\\System32\\…`. It stands for directory id 13.
    pub folder: String,
}

/// Writes registry values of one package.
pub struct RegistryWriter<'h, 'v> {
    hives: &'h mut HiveSet<'v>,
    /// `ControlSet001` and so on: all that are written to.
    control_sets: Vec<String>,
    overwrite: Overwrite,
    arch: Architecture,
    publication: Option<Publication>,
    reason: String,
    findings: Vec<String>,
    /// Values that were so already.
    kept: Vec<KeptValue>,
    /// What may still be deleted with keys.
    deletions: DeletionBudget,
}

/// A value that was so already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptValue {
    /// Its hive.
    pub hive: HiveName,
    /// Its key.
    pub key: String,
    /// Its name.
    pub value: String,
    /// What it is.
    pub data: RegValue,
    /// Of a list, the strings that were to be in it.
    pub wanted: Vec<String>,
}

/// Services\<name>: NOCLOBBER flags of AddService.
mod keep {
    pub(super) const DISPLAY_NAME: u32 = 0x8;
    pub(super) const START_TYPE: u32 = 0x10;
    pub(super) const ERROR_CONTROL: u32 = 0x20;
    pub(super) const GROUP: u32 = 0x40;
    pub(super) const DEPENDENCIES: u32 = 0x80;
    pub(super) const DESCRIPTION: u32 = 0x100;
}

impl<'h, 'v> RegistryWriter<'h, 'v> {
    /// A writer whose edits carry `reason`.
    ///
    /// # Errors
    /// What reading the SYSTEM hive gives.
    pub fn new(hives: &'h mut HiveSet<'v>, overwrite: Overwrite, reason: &str) -> Result<Self> {
        let control_sets = hives.control_sets()?.iter().map(|set| format!("ControlSet{set:03}")).collect();
        Ok(Self {
            hives,
            control_sets,
            overwrite,
            arch: Architecture::Amd64,
            publication: None,
            reason: reason.to_owned(),
            findings: Vec::new(),
            kept: Vec::new(),
            deletions: DeletionBudget::default(),
        })
    }

    /// The same for a Windows of that architecture: one of 32 bits has a single view of its registry.
    #[must_use]
    pub fn of_architecture(mut self, arch: Architecture) -> Self {
        self.arch = arch;
        self
    }

    /// The same for a published package: services name their owners, and directory id 13 is known.
    #[must_use]
    pub fn published(mut self, publication: Publication) -> Self {
        self.publication = Some(publication);
        self
    }

    /// What could not be written, as text, and the values that were so already.
    #[must_use]
    pub fn finish(self) -> (Vec<String>, Vec<KeptValue>) {
        (self.findings, self.kept)
    }

    /// The control sets that are written to, as key names.
    #[must_use]
    pub fn control_sets(&self) -> Vec<String> {
        self.control_sets.clone()
    }

    /// A value.
    ///
    /// # Errors
    /// What reading the hive gives.
    pub fn get(&mut self, hive: HiveName, key: &str, value: &str) -> Result<Option<RegValue>> {
        self.hives.get(hive, key, value)
    }

    /// Sets a value, unless only missing ones are written and it is there.
    ///
    /// # Errors
    /// What editing the hive gives.
    pub fn set(&mut self, hive: HiveName, key: &str, value: &str, data: RegValue) -> Result<()> {
        let present = self.hives.get(hive, key, value)?;
        if present.as_ref() == Some(&data) {
            self.keep(hive, key, value, data);
            return Ok(());
        }
        if self.overwrite == Overwrite::OnlyMissing && present.is_some() {
            return Ok(());
        }
        if data.kind == reg_type::MULTI_SZ
            && let (Some(present), Some(wanted)) = (present, data.as_multi_sz())
        {
            self.keep_strings(hive, key, value, present, &wanted);
        }
        self.hives.set(hive, key, value, data, &self.reason)
    }

    /// Notes that this package relies on a value as it is, if it is there.
    ///
    /// # Errors
    /// What reading the hive gives.
    pub fn found(&mut self, hive: HiveName, key: &str, value: &str) -> Result<()> {
        if let Some(present) = self.hives.get(hive, key, value)? {
            self.keep(hive, key, value, present);
        }
        Ok(())
    }

    /// Notes a value that this package relies on and found.
    fn keep(&mut self, hive: HiveName, key: &str, value: &str, data: RegValue) {
        let is_list = data.kind == reg_type::MULTI_SZ;
        let wanted = if is_list { data.as_multi_sz().unwrap_or_default() } else { Vec::new() };
        self.kept.push(KeptValue { hive, key: key.to_owned(), value: value.to_owned(), data, wanted });
    }

    /// Notes those of the strings `wanted` that are in a list already.
    fn keep_strings(&mut self, hive: HiveName, key: &str, value: &str, data: RegValue, wanted: &[String]) {
        let mut found = data.as_multi_sz().unwrap_or_default();
        found.retain(|text| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(text)));
        if !found.is_empty() && data.kind == reg_type::MULTI_SZ {
            let (key, value) = (key.to_owned(), value.to_owned());
            self.kept.push(KeptValue { hive, key, value, data, wanted: found });
        }
    }

    /// Appends `text` to a list of `separator`-separated paths, once; `default` is the list where there is none.
    ///
    /// # Errors
    /// What editing the hive gives.
    pub fn append_path(
        &mut self,
        hive: HiveName,
        key: &str,
        value: &str,
        default: &str,
        text: &str,
    ) -> Result<usize> {
        let present = self.hives.get(hive, key, value)?;
        let list = present.as_ref().and_then(RegValue::as_str).unwrap_or_else(|| default.to_owned());
        if list.split(';').any(|part| part.trim().eq_ignore_ascii_case(text)) {
            return Ok(list.encode_utf16().count());
        }
        let joined =
            if list.is_empty() { text.to_owned() } else { format!("{};{text}", list.trim_end_matches(';')) };
        let length = joined.encode_utf16().count();
        let mut data = RegValue::expand_sz(&joined);
        if let Some(present) = present {
            data.kind = present.kind;
        }
        self.hives.set(hive, key, value, data, &self.reason)?;
        Ok(length)
    }

    /// Writes a service into every control set.
    ///
    /// # Errors
    /// What editing the hive gives.
    pub fn service(&mut self, inf: &Inf, service: &Service, start: u32) -> Result<()> {
        let name = &service.name;
        if let Some(security) = &service.security {
            self.findings
                .push(format!("service {name}: its security descriptor {security} is left to Windows"));
        }
        for set in self.control_sets.clone() {
            let key = format!("{set}\\Services\\{name}");
            let numbers = [
                ("Type", service.service_type, 0),
                ("Start", Some(start), keep::START_TYPE),
                ("ErrorControl", service.error_control, keep::ERROR_CONTROL),
                ("BootFlags", service.boot_flags, 0),
            ];
            for (value, number, flag) in numbers {
                if let Some(number) = number {
                    self.set_kept(&key, value, service.flags & flag != 0, RegValue::dword(number))?;
                }
            }
            let win32 = (!service.is_kernel()).then(|| "LocalSystem".to_owned());
            let (name_key, text_key) = (&service.display_name_key, &service.description_key);
            let display_name = self.indirect(service.display_name.as_ref(), name_key.as_deref());
            let description = self.indirect(service.description.as_ref(), text_key.as_deref());
            let texts = [
                ("Group", service.load_order_group.clone(), keep::GROUP),
                ("DisplayName", display_name, keep::DISPLAY_NAME),
                ("Description", description, keep::DESCRIPTION),
                ("ObjectName", service.start_name.clone().or(win32), 0),
            ];
            for (value, text, flag) in texts {
                if let Some(text) = text {
                    self.set_kept(&key, value, service.flags & flag != 0, RegValue::sz(&text))?;
                }
            }
            if let Some(path) = self.image_path(service, start) {
                self.set(HiveName::System, &key, "ImagePath", RegValue::expand_sz(&path))?;
            }
            self.append_owner(HiveName::System, &key)?;
            let lists = [
                ("DependOnService", &service.depends_on_services),
                ("DependOnGroup", &service.depends_on_groups),
            ];
            for (value, list) in lists {
                if !list.is_empty() {
                    let kept = service.flags & keep::DEPENDENCIES != 0;
                    self.set_kept(&key, value, kept, RegValue::multi_sz(list))?;
                }
            }
            self.lines(inf, &service.registry, &key)?;
            if let Some(log) = &service.event_log {
                let key = format!("{set}\\Services\\EventLog\\{}\\{}", log.log, log.source);
                self.lines(inf, &log.registry, &key)?;
            }
        }
        Ok(())
    }

    /// Writes what another install section says of a service that is written already: values that are not there, and strings of
    /// lists. The place of the first line that wants another value than is there; that one stays.
    ///
    /// # Errors
    /// What editing the hive gives.
    pub fn more_of_service(&mut self, service: &Service) -> Result<Option<Position>> {
        let mut conflict = None;
        for set in self.control_sets.clone() {
            let relative = format!("{set}\\Services\\{}", service.name);
            for line in service.registry.iter().filter(|line| line.root == RegRoot::Relative) {
                let value = line.value.as_deref().unwrap_or("");
                for (hive, key) in self.places(line, &relative) {
                    let present = self.hives.get(hive, &key, value)?;
                    match (&line.action, present) {
                        (RegAction::Set { kind, data, condition }, Some(present)) => {
                            let differs = present != self.data_of(*kind, data);
                            if differs && *condition != SetCondition::IfAbsent {
                                conflict.get_or_insert(line.position);
                            }
                        }
                        (RegAction::Set { .. } | RegAction::Append(_) | RegAction::CreateKey, _) => {
                            self.line(hive, &key, line)?;
                        }
                        // Deletions and bits are for a key that no other section has written to.
                        _ => {}
                    }
                }
            }
        }
        Ok(conflict)
    }

    /// A text as services of a published package have it: by its token, so that Windows shows it in its own language.
    fn indirect(&self, text: Option<&String>, written: Option<&str>) -> Option<String> {
        let text = text?;
        match (&self.publication, written.map(str::trim)) {
            (Some(publication), Some(token)) if is_one_token(token) => {
                Some(format!("@{},{token};{text}", publication.name))
            }
            _ => Some(text.clone()),
        }
    }

    /// [`image_path`], with directory id 13 put in.
    fn image_path(&self, service: &Service, start: u32) -> Option<String> {
        let Some(Publication { folder, .. }) = &self.publication else { return image_path(service, start) };
        let binary = service.binary.as_deref()?;
        match binary.strip_prefix(STORE_TOKEN) {
            Some(rest) if service.is_kernel() => {
                // Below \SystemRoot whatever the start type, as Windows has such drivers.
                let below = folder.strip_prefix("%SystemRoot%").unwrap_or(folder);
                Some(format!("\\SystemRoot{below}{rest}"))
            }
            Some(rest) => Some(format!("{folder}{rest}")),
            None => image_path(service, start),
        }
    }

    /// Appends texts to a list of strings, without doubling one.
    ///
    /// # Errors
    /// What editing the hive gives.
    pub fn append(&mut self, hive: HiveName, key: &str, value: &str, texts: &[String]) -> Result<()> {
        let present = self.hives.get(hive, key, value)?;
        let Some(mut list) = present.as_ref().map_or(Some(Vec::new()), RegValue::as_multi_sz) else {
            self.findings.push(format!(
                "{}\\{key}, value {value:?}, is no list of strings and stays; {} is not added to it",
                hive.label(),
                texts.join(", ")
            ));
            return Ok(());
        };
        if let Some(present) = present {
            self.keep_strings(hive, key, value, present, texts);
        }
        let before = list.len();
        for text in texts {
            if !list.iter().any(|other| other.eq_ignore_ascii_case(text)) {
                list.push(text.clone());
            }
        }
        if list.len() == before {
            return Ok(());
        }
        self.hives.set(hive, key, value, RegValue::multi_sz(&list), &self.reason)
    }

    /// Names a published package as an owner of a key; nothing for others.
    ///
    /// # Errors
    /// What editing the hive gives.
    pub fn append_owner(&mut self, hive: HiveName, key: &str) -> Result<()> {
        match self.publication.clone() {
            Some(Publication { name, .. }) => self.append(hive, key, OWNERS, &[name]),
            None => Ok(()),
        }
    }

    /// Sets a value whatever it was.
    ///
    /// # Errors
    /// What editing the hive gives.
    pub fn replace(&mut self, hive: HiveName, key: &str, value: &str, data: RegValue) -> Result<()> {
        self.hives.set(hive, key, value, data, &self.reason)
    }

    /// The data of a string value with directory id 13 put in.
    #[must_use]
    pub fn data_of(&self, kind: u32, data: &[u8]) -> RegValue {
        let value = RegValue::new(kind, data);
        let Some(Publication { folder, .. }) = &self.publication else { return value };
        let put_in = |text: String| text.replace(STORE_TOKEN, folder);
        let mut changed = match kind {
            reg_type::SZ | reg_type::EXPAND_SZ => value.as_str().map(|text| RegValue::sz(&put_in(text))),
            reg_type::MULTI_SZ => value
                .as_multi_sz()
                .map(|texts| RegValue::multi_sz(&texts.into_iter().map(put_in).collect::<Vec<_>>())),
            _ => None,
        };
        if let Some(changed) = &mut changed {
            changed.kind = kind;
        }
        let names_store = || {
            let token: Vec<u8> = STORE_TOKEN.encode_utf16().flat_map(u16::to_le_bytes).collect();
            data.windows(token.len()).any(|window| window == token)
        };
        changed.filter(|_| names_store()).unwrap_or(value)
    }

    /// Sets a value of the SYSTEM hive, unless it is there and `kept` (a NOCLOBBER flag).
    fn set_kept(&mut self, key: &str, value: &str, kept: bool, data: RegValue) -> Result<()> {
        if kept && let Some(present) = self.hives.get(HiveName::System, key, value)? {
            self.keep(HiveName::System, key, value, present);
            return Ok(());
        }
        self.set(HiveName::System, key, value, data)
    }

    /// Applies lines whose `HKR` is `relative`, a key of the SYSTEM hive.
    ///
    /// # Errors
    /// `Format` with its place for a line about what no driver may decide; what editing the hives gives.
    pub fn lines(&mut self, inf: &Inf, lines: &[RegLine], relative: &str) -> Result<()> {
        for line in lines {
            if let Some(key) = key_of_windows(line) {
                let what =
                    format!("it writes to or deletes {key}, by which Windows starts or knows its drives");
                let error = inf.error(line.position, what);
                return Err(error.remedy("no driver needs that; get the package from its vendor"));
            }
            let places = self.places(line, relative);
            if places.is_empty() {
                let what = format!("registry line for {:?} {} is left to Windows", line.root, line.key);
                self.findings.push(inf.error(line.position, what).to_string());
            }
            for (hive, key) in places {
                self.line(hive, &key, line)?;
            }
        }
        Ok(())
    }

    /// Deletes a key with all below it, and tells what of the image goes with it.
    fn delete_key(&mut self, hive: HiveName, key: &str) -> Result<()> {
        let deleted = self.deletions.delete(self.hives, hive, key, &self.reason)?;
        // A package that is completed has deleted its own when it was added.
        if let Some(count) = deleted.filter(|_| self.overwrite == Overwrite::All) {
            let label = hive.label();
            self.findings.push(format!(
                "the key {label}\\{key} of this image, {count} values in all, is deleted; it comes back when the driver goes"
            ));
        }
        Ok(())
    }

    /// The hive and key, or keys in several control sets, that a line is about; none when it is no part of an image's
    /// machine-wide registry.
    fn places(&mut self, line: &RegLine, relative: &str) -> Vec<(HiveName, String)> {
        let below = |prefix: &str| match line.key.as_str() {
            "" => prefix.to_owned(),
            key => format!("{prefix}\\{key}"),
        };
        let is_redirected = line.wow64 && self.arch != Architecture::X86;
        match line.root {
            RegRoot::Relative => vec![(HiveName::System, below(relative))],
            RegRoot::ClassesRoot => {
                let prefix = if is_redirected { "Classes\\Wow6432Node" } else { "Classes" };
                vec![(HiveName::Software, below(prefix))]
            }
            RegRoot::CurrentUser | RegRoot::Users => Vec::new(),
            RegRoot::LocalMachine => {
                let Some((root, rest)) = line.key.split_once('\\') else { return Vec::new() };
                match root.to_ascii_uppercase().as_str() {
                    "SOFTWARE" if is_redirected => vec![(HiveName::Software, format!("Wow6432Node\\{rest}"))],
                    "SOFTWARE" => vec![(HiveName::Software, rest.to_owned())],
                    "SYSTEM" => {
                        let (set, tail) = rest.split_once('\\').unwrap_or((rest, ""));
                        if !set.eq_ignore_ascii_case("CurrentControlSet") {
                            return vec![(HiveName::System, rest.to_owned())];
                        }
                        let below = |set: &String| match tail {
                            "" => set.clone(),
                            tail => format!("{set}\\{tail}"),
                        };
                        self.control_sets.iter().map(|set| (HiveName::System, below(set))).collect()
                    }
                    _ => Vec::new(),
                }
            }
        }
    }

    fn line(&mut self, hive: HiveName, key: &str, line: &RegLine) -> Result<()> {
        let value = line.value.as_deref().unwrap_or("");
        let reason = self.reason.clone();
        match &line.action {
            RegAction::CreateKey => self.hives.create_key(hive, key, &reason),
            RegAction::Set { kind, data, condition } => {
                match (condition, self.hives.get(hive, key, value)?) {
                    (SetCondition::IfAbsent, Some(present)) => {
                        self.keep(hive, key, value, present);
                        return Ok(());
                    }
                    (SetCondition::IfPresent, None) => return Ok(()),
                    _ => {}
                }
                let data = self.data_of(*kind, data);
                self.set(hive, key, value, data)
            }
            RegAction::Append(texts) => self.append(hive, key, value, texts),
            RegAction::RemoveString(text) => {
                let Some(present) = self.hives.get(hive, key, value)? else { return Ok(()) };
                let mut list = present.as_multi_sz().unwrap_or_default();
                let before = list.len();
                list.retain(|other| !other.eq_ignore_ascii_case(text));
                if list.len() == before {
                    return Ok(());
                }
                self.hives.set(hive, key, value, RegValue::multi_sz(&list), &reason)
            }
            // Neither does anything when there is nothing.
            RegAction::DeleteValue => self.hives.delete_value(hive, key, value, &reason),
            RegAction::DeleteKey => self.delete_key(hive, key),
            RegAction::Bits { set, mask, byte } => {
                let Some(mut present) = self.hives.get(hive, key, value)? else { return Ok(()) };
                if let Some(slot) = present.data.get_mut(*byte as usize) {
                    *slot = if *set { *slot | mask } else { *slot & !mask };
                }
                self.hives.set(hive, key, value, present, &reason)
            }
        }
    }
}

/// The key of the SYSTEM hive that a line is about, if it is one of those by which Windows finds its control set, its setup and its drives.
fn key_of_windows(line: &RegLine) -> Option<String> {
    const KEYS: [&str; 3] = ["Select", "Setup", "MountedDevices"];
    let mut names = line.key.split('\\').map(str::trim).filter(|name| !name.is_empty());
    let is_system = line.root == RegRoot::LocalMachine
        && names.next().is_some_and(|root| root.eq_ignore_ascii_case("SYSTEM"));
    let key = names.next().filter(|_| is_system)?;
    let key = KEYS.iter().find(|known| known.eq_ignore_ascii_case(key))?;
    Some(format!("HKLM\\SYSTEM\\{key}"))
}

/// The list of published INFs that a service or a file belongs to.
pub const OWNERS: &str = "Owners";
/// What an INF writes for a package's own folder in the driver store.
pub(super) const STORE_TOKEN: &str = "%13%";

/// True for `%token%` and nothing around it.
pub(super) fn is_one_token(text: &str) -> bool {
    let inner = text.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
    inner.is_some_and(|inner| !inner.is_empty() && !inner.contains('%'))
}

/// The start type a service gets.
#[must_use]
pub fn start_type(service: &Service, class_guid: &str, boot_start: BootStart) -> Option<u32> {
    let written = service.start_type?;
    let raise = boot_start == BootStart::Raise
        && service.is_function_driver()
        && service.is_kernel()
        && written == 3
        && boot::can_hold_the_boot_disk(class_guid);
    Some(if raise { Service::BOOT_START } else { written })
}

/// `ImagePath` as Windows writes it: boot-start drivers relative to the Windows folder, other kernel drivers below
/// `\SystemRoot`, programs with `%SystemRoot%`.
#[must_use]
pub(super) fn image_path(service: &Service, start: u32) -> Option<String> {
    const ROOT: &str = "%SystemRoot%\\";
    let binary = service.binary.as_deref()?;
    let Some((root, rest)) = binary.split_at_checked(ROOT.len()) else { return Some(binary.to_owned()) };
    if !service.is_kernel() || !root.eq_ignore_ascii_case(ROOT) {
        return Some(binary.to_owned());
    }
    Some(if start == Service::BOOT_START { rest.to_owned() } else { format!("\\SystemRoot\\{rest}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(service_type: u32, binary: &str) -> Service {
        Service {
            service_type: Some(service_type),
            start_type: Some(3),
            flags: Service::FUNCTION_DRIVER,
            binary: Some(binary.into()),
            ..Service::default()
        }
    }

    #[test]
    fn image_paths_depend_on_kind_and_start() {
        let driver = service(1, "%SystemRoot%\\System32\\drivers\\x.sys");
        assert_eq!(image_path(&driver, 0).unwrap(), "System32\\drivers\\x.sys");
        assert_eq!(image_path(&driver, 3).unwrap(), "\\SystemRoot\\System32\\drivers\\x.sys");
        let program = service(0x10, "%SystemRoot%\\System32\\x.exe");
        assert_eq!(image_path(&program, 2).unwrap(), "%SystemRoot%\\System32\\x.exe");
        assert_eq!(image_path(&service(1, "C:\\x.sys"), 0).unwrap(), "C:\\x.sys");
    }

    #[test]
    fn only_drivers_that_may_hold_the_boot_disk_are_raised() {
        let usb = boot::class_by_name("USB").unwrap().guid;
        let mouse = boot::class_by_name("Mouse").unwrap().guid;
        let driver = service(1, "x.sys");
        assert_eq!(start_type(&driver, usb, BootStart::Raise), Some(0));
        assert_eq!(start_type(&driver, usb, BootStart::AsWritten), Some(3));
        assert_eq!(start_type(&driver, mouse, BootStart::Raise), Some(3));
    }
}
