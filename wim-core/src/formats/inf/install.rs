//! An install section with all that belongs to it, put together: files, registry, services, framework, co-installers.
//!
//! Source: drivers.md 1.5. `Include` and `Needs` are followed into INFs that the caller brings (those of the image); nothing is
//! run, and sections that only matter on a running Windows are passed over.

use std::collections::HashSet;
use std::sync::Arc;

use super::decoration::TargetWindows;
use super::files::{self, FileCopy};
use super::lexer::{Entry, Position};
use super::registry::{self, RegLine};
use super::section::{Inf, Section, parse_number};
use super::service::{self, Service};
use crate::base::{Architecture, Error};

/// Deepest chain of `Needs`.
const MAX_INCLUDE_DEPTH: usize = 8;
/// Most sections visited for one install section.
const MAX_VISITED: usize = 2_000;
/// Most findings kept for one install section.
const MAX_FINDINGS: usize = 100;
/// Feature score of a section that gives none.
pub const DEFAULT_FEATURE_SCORE: u8 = 0xFF;

/// INFs that `Include` can name.
pub trait IncludedInfs {
    /// The INF of that file name; none when there is none.
    fn open(&self, name: &str) -> Option<Arc<Inf>>;

    /// A package begins to read them: what others read before does not count.
    fn begin_work(&self) {}

    /// Refuses a package for which one of them [`Inf::is_exhausted`], since what it includes was then read in part.
    ///
    /// # Errors
    /// `Limit`.
    fn check_work(&self) -> crate::base::Result<()> {
        Ok(())
    }
}

/// No INFs to include.
pub struct NoIncludes;

impl IncludedInfs for NoIncludes {
    fn open(&self, _: &str) -> Option<Arc<Inf>> {
        None
    }
}

/// Everything an install section says.
#[derive(Debug)]
pub struct Install {
    /// Its actual name, with the decoration that was chosen.
    pub section: String,
    /// Files it copies from the package.
    pub copies: Vec<FileCopy>,
    /// Names of files that an included INF copies: they are the operating system's.
    pub inbox_files: Vec<String>,
    /// Registry lines of the section itself; `HKR` is the device's software key.
    pub software: Vec<RegLine>,
    /// Registry lines of `.HW`; `HKR` is the device's hardware key.
    pub hardware: Vec<RegLine>,
    /// Services.
    pub services: Vec<Service>,
    /// Kernel framework: service and the version it needs (`1.11`).
    pub kmdf: Vec<(String, String)>,
    /// Names of co-installer files, from `CoInstallers32`.
    pub coinstallers: Vec<String>,
    /// `ExcludeID`.
    pub exclude_ids: Vec<String>,
    /// `CopyINF`: INFs that Windows takes along from beside this one when it installs the device.
    pub copy_infs: Vec<String>,
    /// `FeatureScore`.
    pub feature_score: u8,
    /// `*IfType` of a network adapter: 6 for Ethernet, 71 for Wi-Fi.
    pub interface_type: Option<u32>,
    /// INFs that are included, as spelt, each once.
    pub included: Vec<String>,
    /// Why nothing of it can be trusted: a name that leads out of where files belong.
    pub refused: Option<Error>,
    /// What is odd or missing.
    pub findings: Vec<Error>,
}

impl Install {
    /// The service that is the device's function driver.
    #[must_use]
    pub fn function_driver(&self) -> Option<&Service> {
        self.services.iter().find(|s| s.is_function_driver())
    }
}

/// The actual name of install section `name` for `arch`: `X.NT<arch>`, `X.NT`, `X`, the first that is there.
#[must_use]
pub fn actual_section(inf: &Inf, name: &str, arch: Architecture) -> Option<String> {
    let by_arch = format!("{name}.NT{arch}");
    let nt = format!("{name}.NT");
    [by_arch.as_str(), nt.as_str(), name].into_iter().find_map(|n| inf.section(n)).map(|s| s.name.clone())
}

/// Puts together install section `name` of `inf` for `target`; none when it is not there in any decoration.
#[must_use]
pub fn install(
    inf: &Arc<Inf>,
    name: &str,
    target: &TargetWindows,
    includes: &dyn IncludedInfs,
) -> Option<Install> {
    let section = actual_section(inf, name, target.arch)?;
    let mut walk = Walk {
        out: Install {
            section: section.clone(),
            copies: Vec::new(),
            inbox_files: Vec::new(),
            software: Vec::new(),
            hardware: Vec::new(),
            services: Vec::new(),
            kmdf: Vec::new(),
            coinstallers: Vec::new(),
            exclude_ids: Vec::new(),
            copy_infs: Vec::new(),
            feature_score: DEFAULT_FEATURE_SCORE,
            interface_type: None,
            included: Vec::new(),
            refused: None,
            findings: Vec::new(),
        },
        includes,
        visited: HashSet::new(),
        open: Vec::new(),
        package_inf: inf.clone(),
    };
    walk.visit(inf, &section, Part::Main, 0);
    for part in [Part::Hardware, Part::Services, Part::CoInstallers, Part::Wdf] {
        let suffixed = format!("{section}.{}", part.suffix());
        if inf.section(&suffixed).is_some() {
            walk.visit(inf, &suffixed, part, 0);
        } else if !section.eq_ignore_ascii_case(name) {
            let undecorated = format!("{name}.{}", part.suffix());
            if let Some(other) = inf.section(&undecorated) {
                let text = format!("[{}] is not used: the install section is [{section}]", other.name);
                let e = inf.error(other.position, text);
                walk.find(e);
            }
        }
    }
    Some(walk.out)
}

/// The sections of an install section that matter offline.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Part {
    Main,
    Hardware,
    Services,
    CoInstallers,
    Wdf,
}

impl Part {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Hardware => "HW",
            Self::Services => "Services",
            Self::CoInstallers => "CoInstallers",
            Self::Wdf => "Wdf",
        }
    }
}

struct Walk<'a> {
    out: Install,
    includes: &'a dyn IncludedInfs,
    visited: HashSet<(String, String)>,
    /// The sections that are being read, each because the one before needs it.
    open: Vec<(String, String)>,
    package_inf: Arc<Inf>,
}

impl Walk<'_> {
    fn find(&mut self, e: Error) {
        if self.out.findings.len() < MAX_FINDINGS {
            self.out.findings.push(e);
        }
    }

    /// Reads a section after what it needs; each section counts once.
    fn visit(&mut self, inf: &Arc<Inf>, name: &str, part: Part, depth: usize) {
        let Some(section) = inf.section(name) else { return };
        let place = (inf.name().to_lowercase(), name.to_lowercase());
        if self.open.contains(&place) {
            let text =
                format!("[{name}] is needed by what it needs itself: Include and Needs go round in a circle");
            self.out.refused.get_or_insert(inf.error(section.position, text));
            return;
        }
        if self.visited.len() >= MAX_VISITED || !self.visited.insert(place.clone()) {
            return;
        }
        self.open.push(place);
        self.needs(inf, section, part, depth);
        self.open.pop();
        match part {
            Part::Main => self.main(inf, section),
            Part::Hardware => {
                let lines = self.registry(inf, section);
                self.out.hardware.extend(lines);
            }
            Part::Services => self.services(inf, section),
            Part::CoInstallers => self.coinstallers(inf, section),
            Part::Wdf => self.wdf(inf, section),
        }
    }

    fn needs(&mut self, inf: &Arc<Inf>, section: &Section, part: Part, depth: usize) {
        let names = inf.list(section, "Include");
        let needs = inf.list(section, "Needs");
        if names.is_empty() && needs.is_empty() {
            return;
        }
        if depth >= MAX_INCLUDE_DEPTH {
            let text = format!("Needs reaches deeper than {MAX_INCLUDE_DEPTH} sections; a cycle?");
            self.find(inf.error(section.position, text));
            return;
        }
        let mut infs = Vec::new();
        for name in names {
            let is_known = self.out.included.iter().any(|known| known.eq_ignore_ascii_case(&name));
            if !is_known && self.out.included.len() < MAX_FINDINGS {
                self.out.included.push(name.clone());
            }
            match self.includes.open(&name) {
                Some(included) => infs.push(included),
                None => {
                    let at = section.value("Include").map_or(section.position, |field| field.position);
                    self.find(inf.error(at, format!("includes {name}, which the image does not have")));
                }
            }
        }
        infs.push(inf.clone());
        for name in needs {
            match infs.iter().find(|candidate| candidate.section(&name).is_some()).cloned() {
                Some(found) => self.visit(&found, &name, part, depth + 1),
                // A missing INF has been reported; a missing section of one that is there has not.
                None if infs.len() > 1 => {
                    let at = section.value("Needs").map_or(section.position, |field| field.position);
                    self.find(inf.error(at, format!("needs section [{name}], which no included INF has")));
                }
                None => {}
            }
        }
    }

    fn main(&mut self, inf: &Arc<Inf>, section: &Section) {
        self.copies(inf, section);
        let lines = self.registry(inf, section);
        self.out.software.extend(lines);
        self.out.exclude_ids.extend(inf.list(section, "ExcludeID"));
        self.out.copy_infs.extend(inf.list(section, "CopyINF"));
        if let Some(field) = section.value("*IfType") {
            self.out.interface_type = parse_number(&inf.expand(field));
        }
        if self.out.feature_score == DEFAULT_FEATURE_SCORE
            && let Some(field) = section.value("FeatureScore")
        {
            let text = inf.expand(field);
            let digits = text.trim().trim_start_matches("0x").trim_start_matches("0X");
            match u8::from_str_radix(digits, 16) {
                Ok(score) => self.out.feature_score = score,
                Err(_) => self.find(inf.error(field.position, format!("{text:?} is no feature score"))),
            }
        }
    }

    fn copies(&mut self, inf: &Arc<Inf>, section: &Section) {
        for entry in section.with_key("CopyFiles") {
            for field in &entry.values {
                let value = inf.expand(field).trim().to_owned();
                if value.is_empty() || inf.is_exhausted() {
                    continue;
                }
                let mut findings = Vec::new();
                let copies = match files::copy_files(inf, &value, field.position, &mut findings) {
                    Ok(copies) => copies,
                    Err(e) => {
                        self.out.refused.get_or_insert(e);
                        continue;
                    }
                };
                if Arc::ptr_eq(inf, &self.package_inf) {
                    findings.into_iter().for_each(|e| self.find(e));
                    self.out.copies.extend(copies);
                } else {
                    self.out.inbox_files.extend(copies.into_iter().map(|copy| copy.destination_name));
                }
            }
        }
    }

    /// The registry lines that a section's AddReg, DelReg and BitReg name.
    fn registry(&mut self, inf: &Inf, section: &Section) -> Vec<RegLine> {
        type Reader = fn(&Inf, &Entry) -> Result<RegLine, Error>;
        const READERS: [(&str, Reader); 3] = [
            ("DelReg", registry::delete_line),
            ("AddReg", registry::add_line),
            ("BitReg", registry::bit_line),
        ];
        let mut lines = Vec::new();
        for (key, read) in READERS {
            for name in inf.list(section, key) {
                let Some(list) = inf.section(name.trim()) else {
                    let at = section.value(key).map_or(section.position, |field| field.position);
                    self.find(inf.error(at, format!("{key} names section [{name}], which is not there")));
                    continue;
                };
                for entry in list.entries.iter().take_while(|_| !inf.is_exhausted()) {
                    match read(inf, entry) {
                        Ok(line) => lines.push(line),
                        Err(e) => self.find(e),
                    }
                }
            }
        }
        lines
    }

    fn services(&mut self, inf: &Arc<Inf>, section: &Section) {
        for entry in section.with_key("AddService") {
            let Some((mut service, install, log)) = service::add_service(inf, entry) else { continue };
            if let Some(what) = service.name_fault() {
                self.out.refused.get_or_insert(inf.error(entry.position, what));
                continue;
            }
            match install.as_deref().and_then(|name| inf.section(name)) {
                Some(install) => {
                    service::read_install_section(inf, install, &mut service);
                    service.registry = self.registry(inf, install);
                }
                None => {
                    let name = install.unwrap_or_default();
                    let text = format!("service {}: its section [{name}] is not there", service.name);
                    self.find(inf.error(entry.position, text));
                }
            }
            let lines = log.as_deref().and_then(|name| inf.section(name)).map(|s| self.registry(inf, s));
            if let (Some(event_log), Some(lines)) = (service.event_log.as_mut(), lines) {
                event_log.registry = lines;
            }
            service.inbox = !Arc::ptr_eq(inf, &self.package_inf);
            // A section reached on two ways, or a later line, replaces an earlier one of the same name.
            self.out.services.retain(|other| !other.name.eq_ignore_ascii_case(&service.name));
            self.out.services.push(service);
        }
    }

    fn coinstallers(&mut self, inf: &Arc<Inf>, section: &Section) {
        self.copies(inf, section);
        for line in self.registry(inf, section) {
            if let registry::RegAction::Set { data, .. } = &line.action
                && line.value.as_deref().is_some_and(|v| v.eq_ignore_ascii_case("CoInstallers32"))
            {
                let (pairs, _) = data.as_chunks::<2>();
                let units: Vec<u16> = pairs.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
                let text = String::from_utf16_lossy(&units);
                // Each string is `file.dll,EntryPoint`.
                let files = text.split('\0').filter_map(|s| s.split(',').next()).map(str::trim);
                self.out.coinstallers.extend(files.filter(|s| !s.is_empty()).map(str::to_owned));
            }
        }
    }

    fn wdf(&mut self, inf: &Arc<Inf>, section: &Section) {
        for entry in section.with_key("KmdfService") {
            let (Some(service), Some(name)) = (inf.field(entry, 0), inf.field(entry, 1)) else { continue };
            let version = inf
                .section(name.trim())
                .and_then(|list| list.value("KmdfLibraryVersion"))
                .map(|field| inf.expand(field).trim().to_owned());
            match version.filter(|v| is_kmdf_version(v)) {
                Some(version) => self.out.kmdf.push((service.trim().to_owned(), version)),
                None => {
                    let text = format!("[{name}] gives no KmdfLibraryVersion");
                    self.find(inf.error(entry.position, text));
                }
            }
        }
    }
}

/// True for `major.minor`.
fn is_kmdf_version(text: &str) -> bool {
    let mut parts = text.split('.');
    let number = |part: Option<&str>| part.is_some_and(|p| parse_number(p).is_some());
    number(parts.next()) && number(parts.next()) && parts.next().is_none()
}

/// The place of an install section's header, for messages.
#[must_use]
pub fn section_position(inf: &Inf, name: &str) -> Position {
    inf.section(name).map(|section| section.position).unwrap_or_default()
}
