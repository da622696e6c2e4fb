//! Checks of a package by itself: traps of decorations, and names of things that it does not bring.
//!
//! Source: drivers.md 1.4, 1.5 and 6.5. Windows accepts most of these and then does something else than the maker meant, or
//! nothing; each finding has its line and column.

use std::collections::HashSet;

use super::lint::{LintFinding, Severity};
use super::package::Package;
use super::select::Selection;
use crate::base::{Architecture, Error};
use crate::formats::hive::{RegValue, reg_type};
use crate::formats::inf::decoration::Decoration;
use crate::formats::inf::models::{self, Manufacturer};
use crate::formats::inf::registry::{RegAction, RegLine, RegRoot};
use crate::formats::inf::{Install, TargetWindows};

/// What is odd about a package for one Windows; `selection` is what of it applies there, if anything does.
#[must_use]
pub fn lint_package(
    package: &Package<'_>,
    target: &TargetWindows,
    selection: Option<&Selection>,
) -> Vec<LintFinding> {
    let mut findings = Vec::new();
    let lines = models::manufacturers(package.inf());
    for line in &lines {
        decorations(package, line, target, &mut findings);
    }
    orphans(package, &lines, &mut findings);
    for selected in selection.map(|selection| selection.installs.as_slice()).unwrap_or_default() {
        missing_parts(package, &selected.install, &mut findings);
    }
    findings.sort();
    findings.dedup();
    findings.reverse();
    findings
}

fn finding(severity: Severity, e: &Error) -> LintFinding {
    LintFinding { severity, text: e.to_string() }
}

/// A line whose best decoration names a section that is not there, while another that would fit is.
fn decorations(
    package: &Package<'_>,
    line: &Manufacturer,
    target: &TargetWindows,
    findings: &mut Vec<LintFinding>,
) {
    let inf = package.inf();
    let fits =
        |text: &&String| Decoration::parse(text).is_ok_and(|decoration| decoration.fits(target).is_ok());
    let exists = |name: &str| inf.section(name).is_some();
    let chosen = crate::formats::inf::decoration::select(
        &line.models_section,
        &line.decorations,
        target,
        crate::formats::inf::Undecorated::Refuse,
        &exists,
    );
    if let Some(section) = chosen.section.filter(|section| !exists(section)) {
        let others: Vec<String> = line
            .decorations
            .iter()
            .filter(fits)
            .map(|text| format!("{}.{text}", line.models_section))
            .filter(|name| exists(name))
            .collect();
        let text = match others.first() {
            Some(other) => format!(
                "Windows takes [{section}], which is not there, so no device is served; it does not fall back to [{other}]"
            ),
            None => format!("Windows takes [{section}], which is not there: nothing for this Windows"),
        };
        let severity = if others.is_empty() { Severity::Note } else { Severity::Warning };
        findings.push(finding(severity, &inf.error(line.position, text)));
    }
    let undecorated = line.decorations.is_empty()
        || line.decorations.iter().any(|text| Decoration::parse(text).is_ok_and(|d| d.arch.is_none()));
    if undecorated && target.arch != Architecture::X86 {
        let text = format!(
            "names [{}] without an architecture, which Windows on {} passes over",
            line.models_section, target.arch
        );
        findings.push(finding(Severity::Note, &inf.error(line.position, text)));
    }
    // Before Windows 10 1607 a build number makes the whole decoration invalid.
    let with_build = line
        .decorations
        .iter()
        .find(|text| Decoration::parse(text).is_ok_and(|d| d.build.is_some() && d.arch == Some(target.arch)));
    if let Some(text) = with_build.filter(|_| (target.major, target.build) < (10, 14310)) {
        let text = format!("decoration {text} has a build number, which this Windows does not understand");
        findings.push(finding(Severity::Note, &inf.error(line.position, text)));
    }
}

/// Models sections with a decoration that no line of `[Manufacturer]` names: Windows never reads them.
fn orphans(package: &Package<'_>, lines: &[Manufacturer], findings: &mut Vec<LintFinding>) {
    let inf = package.inf();
    let named: HashSet<String> = lines
        .iter()
        .flat_map(|line| {
            line.decorations.iter().map(|text| format!("{}.{text}", line.models_section).to_lowercase())
        })
        .collect();
    let stems: HashSet<String> = lines.iter().map(|line| line.models_section.to_lowercase()).collect();
    for section in inf.sections() {
        let name = section.name.to_lowercase();
        let Some((stem, decoration)) = name.split_once(".nt") else { continue };
        let is_models = stems.contains(stem) && Decoration::parse(&format!("nt{decoration}")).is_ok();
        if is_models && !named.contains(&name) && !section.entries.is_empty() {
            let text =
                format!("[{}] is named by no line of [Manufacturer], so it serves no device", section.name);
            findings.push(finding(Severity::Warning, &inf.error(section.position, text)));
        }
    }
}

/// Services without their binary, filters without a service, co-installers without a file.
fn missing_parts(package: &Package<'_>, install: &Install, findings: &mut Vec<LintFinding>) {
    let inf = package.inf();
    let copied: HashSet<String> = install
        .copies
        .iter()
        .map(|copy| copy.destination_name.to_lowercase())
        .chain(install.inbox_files.iter().map(|name| name.to_lowercase()))
        .collect();
    for service in install.services.iter().filter(|service| !service.inbox && service.is_kernel()) {
        if let Some(binary) = service.binary_name()
            && !copied.contains(&binary.to_lowercase())
        {
            let text =
                format!("service {} runs {binary}, which [{}] does not copy", service.name, install.section);
            let boots = matches!(service.start_type, Some(0 | 1));
            let severity = if boots { Severity::Error } else { Severity::Warning };
            findings.push(finding(severity, &inf.error(service.position, text)));
        }
    }
    class_filters(package, install, findings);
    for line in &install.hardware {
        let is_filter = names_filters(line);
        for name in strings_of(line).iter().filter(|name| is_filter && !name.is_empty()) {
            if !install.services.iter().any(|service| service.name.eq_ignore_ascii_case(name)) {
                let text = format!("filter {name} is no service that [{}] adds", install.section);
                findings.push(finding(Severity::Note, &inf.error(line.position, text)));
            }
        }
    }
    for name in install.coinstallers.iter().filter(|name| !copied.contains(&name.to_lowercase())) {
        let text = format!("co-installer {name} is not copied by [{}]", install.section);
        let severity = Severity::Note;
        let at = crate::formats::inf::install::section_position(inf, &install.section);
        findings.push(finding(severity, &inf.error(at, text)));
    }
}

fn names_filters(line: &RegLine) -> bool {
    let is = |known: &&str| line.value.as_deref().is_some_and(|value| known.eq_ignore_ascii_case(value));
    ["UpperFilters", "LowerFilters"].iter().any(is)
}

/// The strings that a line writes.
fn strings_of(line: &RegLine) -> Vec<String> {
    match &line.action {
        RegAction::Append(texts) => texts.clone(),
        RegAction::Set { kind, data, .. } if *kind == reg_type::MULTI_SZ || *kind == reg_type::SZ => {
            let value = RegValue::new(*kind, data.clone());
            value.as_multi_sz().or_else(|| value.as_str().map(|text| vec![text])).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// Filters of whole device classes that are no service of the package: of the boot disk's class they stop Windows.
fn class_filters(package: &Package<'_>, install: &Install, findings: &mut Vec<LintFinding>) {
    let of_services = install.services.iter().flat_map(|service| &service.registry);
    let lines = install.software.iter().chain(&install.hardware).chain(of_services);
    let is_of_class = |line: &&RegLine| {
        line.root == RegRoot::LocalMachine && line.key.to_ascii_lowercase().contains("\\control\\class\\")
    };
    for line in lines.filter(is_of_class).filter(|line| names_filters(line)) {
        for name in strings_of(line).iter().filter(|name| !name.trim().is_empty()) {
            if !install.services.iter().any(|service| service.name.eq_ignore_ascii_case(name.trim())) {
                let text = format!(
                    "class filter {name} is no service that [{}] adds; without it in the image Windows stops when it boots (0x7B)",
                    install.section
                );
                findings.push(finding(Severity::Error, &package.inf().error(line.position, text)));
            }
        }
    }
}
