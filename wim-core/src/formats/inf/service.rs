//! AddService and the sections it points to: services, their event logs, their framework version.
//!
//! Source: drivers.md 1.10. It reads what is written; which registry values come of it is decided where drivers are
//! installed.

use super::lexer::{Entry, Position};
use super::registry::RegLine;
use super::section::{Inf, Section, parse_number};

/// A service an install section adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// AddService flags.
    pub flags: u32,
    /// `Type`.
    pub service_type: Option<u32>,
    /// `Start`.
    pub start_type: Option<u32>,
    /// `ErrorControl`.
    pub error_control: Option<u32>,
    /// Path of its binary, directory ids as `%SystemRoot%\…`.
    pub binary: Option<String>,
    /// `Group`.
    pub load_order_group: Option<String>,
    /// Name for people, expanded.
    pub display_name: Option<String>,
    /// The same as written.
    pub display_name_key: Option<String>,
    /// Description, expanded.
    pub description: Option<String>,
    /// The same as written.
    pub description_key: Option<String>,
    /// Services it needs.
    pub depends_on_services: Vec<String>,
    /// Groups it needs, without the plus sign.
    pub depends_on_groups: Vec<String>,
    /// Account of a user-mode service.
    pub start_name: Option<String>,
    /// Security descriptor in SDDL.
    pub security: Option<String>,
    /// `BootFlags`.
    pub boot_flags: Option<u32>,
    /// Registry lines; `HKR` is the service's key.
    pub registry: Vec<RegLine>,
    /// Its event log, if it has one.
    pub event_log: Option<EventLog>,
    /// An included INF of Windows adds it: it is the operating system's, not the package's.
    pub inbox: bool,
    /// Where the AddService line is.
    pub position: Position,
}

/// The event log registration of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLog {
    /// Log: `System` unless said otherwise.
    pub log: String,
    /// Name of the source.
    pub source: String,
    /// Registry lines; `HKR` is the source's key.
    pub registry: Vec<RegLine>,
}

impl Service {
    /// SPSVCINST_ASSOCSERVICE: it is the function driver of the device.
    pub const FUNCTION_DRIVER: u32 = 0x2;
    /// `Start` of a driver that the boot loader loads.
    pub const BOOT_START: u32 = 0;

    /// True for the device's function driver.
    #[must_use]
    pub fn is_function_driver(&self) -> bool {
        self.flags & Self::FUNCTION_DRIVER != 0
    }

    /// True for a kernel or file system driver.
    #[must_use]
    pub fn is_kernel(&self) -> bool {
        self.service_type.is_some_and(|t| t & 0xF != 0)
    }

    /// What keeps its name, or that of its event log, from being the name of one key; none when nothing does.
    pub(super) fn name_fault(&self) -> Option<String> {
        const LONGEST: usize = 255;
        let log = self.event_log.iter().flat_map(|log| [&log.log, &log.source]);
        let is_bad = |name: &&String| {
            name.contains(['\\', '/'])
                || matches!(name.as_str(), "." | "..")
                || name.encode_utf16().count() > LONGEST
        };
        let name = std::iter::once(&self.name).chain(log).find(is_bad)?;
        let shown: String = name.chars().take(80).collect();
        Some(format!(
            "{shown:?} cannot be the name of a service or of its event log: these are at most {LONGEST} characters without a backslash or slash, and not dots alone"
        ))
    }

    /// The file name of its binary.
    #[must_use]
    pub fn binary_name(&self) -> Option<&str> {
        let path = self.binary.as_deref()?;
        path.rsplit(['\\', '/']).next().filter(|name| !name.is_empty())
    }
}

/// Reads an AddService line; none for the NULL driver (`AddService = ,2`).
///
/// The names of the service-install and the event-log section are returned with it.
pub(super) fn add_service(inf: &Inf, entry: &Entry) -> Option<(Service, Option<String>, Option<String>)> {
    let text = |index| inf.field(entry, index).map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    let name = text(0)?;
    let mut service = Service {
        flags: text(1).and_then(|t| parse_number(&t)).unwrap_or(0),
        position: entry.position,
        ..Service::default()
    };
    let log_section = text(3);
    if log_section.is_some() {
        service.event_log = Some(EventLog {
            log: text(4).unwrap_or_else(|| "System".to_owned()),
            source: text(5).unwrap_or_else(|| name.clone()),
            registry: Vec::new(),
        });
    }
    service.name = name;
    Some((service, text(2), log_section))
}

/// Fills in what a service-install section says, registry lines aside.
pub(super) fn read_install_section(inf: &Inf, section: &Section, service: &mut Service) {
    let text = |key: &str| {
        let field = section.value(key)?;
        Some(inf.expand(field).trim().to_owned()).filter(|t| !t.is_empty())
    };
    let number = |key: &str| text(key).and_then(|t| parse_number(&t));
    service.service_type = number("ServiceType");
    service.start_type = number("StartType");
    service.error_control = number("ErrorControl");
    service.binary = text("ServiceBinary");
    service.load_order_group = text("LoadOrderGroup");
    service.display_name = text("DisplayName");
    service.display_name_key = section.value("DisplayName").map(|field| field.text.clone());
    service.description = text("Description");
    service.description_key = section.value("Description").map(|field| field.text.clone());
    service.start_name = text("StartName");
    service.security = text("Security");
    service.boot_flags = number("BootFlags");
    for name in inf.list(section, "Dependencies") {
        match name.trim().strip_prefix('+') {
            Some(group) => service.depends_on_groups.push(group.to_owned()),
            None => service.depends_on_services.push(name.trim().to_owned()),
        }
    }
}
