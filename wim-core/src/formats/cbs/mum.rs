//! Packages: `update.mum` and its children (updates.md 4.1).
//!
//! A package names its parents, the servicing stack it needs, and its updates; an update holds child packages, deployments
//! or drivers and says which components of an image make it applicable. Unknown elements are kept by name, so that a
//! judgement can say what it does not know.

use roxmltree::Node;

use super::document::{attribute, bad, child, elements, named, read_document, text};
use super::identity::AssemblyIdentity;
use crate::base::Result;

/// Deepest nesting of `parent` elements that is followed.
const MAX_PARENT_DEPTH: usize = 8;

/// A package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageManifest {
    /// Which package it is.
    pub identity: AssemblyIdentity,
    /// `description` of the assembly, such as `Fix for KB2999226`.
    pub description: String,
    /// Where its maker tells of it.
    pub support_information: String,
    /// When it was made, as written: `2015-07-21T10:16:47Z`.
    pub creation_time: String,
    /// `KB2999226`, or any other short name.
    pub identifier: String,
    /// `Update`, `Hotfix`, `Security Update` …
    pub release_type: String,
    /// `possible`, `required`, or empty.
    pub restart: String,
    /// `permanent`, `removable`, or empty.
    pub permanence: String,
    /// Packages one of which must be in the image, for each element.
    pub parents: Vec<Parent>,
    /// The servicing stack that installs it, with its least version.
    pub installer: Option<AssemblyIdentity>,
    /// What it brings.
    pub updates: Vec<Update>,
    /// Names of child elements of `package` that are not known here.
    pub unknown: Vec<String>,
}

/// How a number of a version is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `EQ`.
    Equal,
    /// `GE`.
    GreaterOrEqual,
    /// Anything else.
    Other,
}

/// How the version of a parent is compared; none where the package does not say.
///
/// The third number of a version holds build and service level (7600 and 7601 are one build at two levels), the fourth
/// distribution and revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VersionRule {
    /// `buildCompare`.
    pub build: Option<Comparison>,
    /// `serviceCompare`.
    pub service: Option<Comparison>,
    /// `distributionCompare`.
    pub distribution: Option<Comparison>,
    /// `revisionCompare`.
    pub revision: Option<Comparison>,
}

/// A `parent` element: any of its alternatives satisfies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// `detect`: the parent is installed; `staged`: it is at least staged.
    pub disposition: String,
    /// `separate`, `standalone`, `delegate`, `hidden`.
    pub integrate: String,
    /// Group that it belongs to, if it says so.
    pub set: Option<String>,
    /// How versions are compared.
    pub rule: VersionRule,
    /// Packages that satisfy it.
    pub alternatives: Vec<AssemblyIdentity>,
    /// Parents within it.
    pub nested: Vec<Self>,
}

/// How far an update may lift a component above what the image has.
///
/// UNVERIFIED: the names alone are published; the meaning is read from KB3087873-v2, whose plain packages let LDR versions
/// follow LDR ones (`revision`) or GDR ones on a trigger (`distribution`), whose components still at 7600 need
/// `serviceLevel`, and from KB2999226, whose components are new (`install`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Elevation {
    /// Same build, service level and distribution (GDR or LDR).
    Revision,
    /// Same build and service level.
    Distribution,
    /// Same major and minor version.
    ServiceLevel,
    /// Any version, and where there is none.
    Install,
    /// A word that is not known here.
    Unknown,
}

/// One condition of `applicable`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A component of the image can be lifted to one of these.
    UpdateComponent {
        /// How far.
        elevate: Elevation,
        /// The components, with the versions that the update brings.
        components: Vec<AssemblyIdentity>,
    },
    /// Another update of the same package applies.
    DetectUpdate {
        /// Names of updates.
        names: Vec<String>,
    },
    /// An element that is not known here.
    Unknown {
        /// Its name.
        element: String,
    },
}

/// What makes an update applicable: all of its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applicable {
    /// `staged`: where the conditions fail, it is staged only.
    pub disposition: String,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// A package inside an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildPackage {
    /// Which package.
    pub identity: AssemblyIdentity,
    /// `hidden`, `visible` …
    pub integrate: String,
    /// False for one that is to be in the image already.
    pub is_contained: bool,
}

/// A driver inside an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverEntry {
    /// Name of its INF file.
    pub inf: String,
    /// Its component, if named.
    pub identity: Option<AssemblyIdentity>,
}

/// One update of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Its name, such as `2999226-2_neutral_GDR`.
    pub name: String,
    /// What people call it.
    pub display_name: String,
    /// When it applies; none means always.
    pub applicable: Option<Applicable>,
    /// Child packages.
    pub packages: Vec<ChildPackage>,
    /// Deployments.
    pub components: Vec<AssemblyIdentity>,
    /// Drivers.
    pub drivers: Vec<DriverEntry>,
    /// Names of child elements that are not known here.
    pub unknown: Vec<String>,
}

impl PackageManifest {
    /// Reads a package; `name` is what messages call the file.
    ///
    /// # Errors
    /// `Format` for text that is no package, `Limit` for too much of it, `Unsupported` for a compressed one.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        read_document(bytes, name, read_package)
    }
}

fn read_package(root: Node<'_, '_>) -> Result<PackageManifest> {
    let identity =
        child(root, "assemblyIdentity").ok_or_else(|| bad(root, "the assembly has no assemblyIdentity"))?;
    let package = child(root, "package").ok_or_else(|| bad(root, "the assembly has no package element"))?;
    let mut manifest = PackageManifest {
        identity: AssemblyIdentity::read(identity)?,
        description: text(root, "description"),
        support_information: text(root, "supportInformation"),
        creation_time: text(root, "creationTimeStamp"),
        identifier: text(package, "identifier"),
        release_type: text(package, "releaseType"),
        restart: text(package, "restart"),
        permanence: text(package, "permanence"),
        parents: Vec::new(),
        installer: None,
        updates: Vec::new(),
        unknown: Vec::new(),
    };
    for element in elements(package) {
        match element.tag_name().name() {
            "parent" => manifest.parents.push(read_parent(element, 0)?),
            "installerAssembly" => manifest.installer = Some(AssemblyIdentity::read(element)?),
            "update" => manifest.updates.push(read_update(element)?),
            // Words for programs that show packages.
            "customInformation" | "packageExtended" => {}
            other => manifest.unknown.push(other.to_owned()),
        }
    }
    Ok(manifest)
}

fn comparison(node: Node<'_, '_>, name: &str) -> Option<Comparison> {
    attribute(node, name).map(|text| match text.to_ascii_uppercase().as_str() {
        "EQ" => Comparison::Equal,
        "GE" => Comparison::GreaterOrEqual,
        _ => Comparison::Other,
    })
}

fn read_parent(node: Node<'_, '_>, depth: usize) -> Result<Parent> {
    if depth > MAX_PARENT_DEPTH {
        return Err(bad(node, format!("parents are nested more than {MAX_PARENT_DEPTH} deep")));
    }
    let rule = VersionRule {
        build: comparison(node, "buildCompare"),
        service: comparison(node, "serviceCompare"),
        distribution: comparison(node, "distributionCompare"),
        revision: comparison(node, "revisionCompare"),
    };
    Ok(Parent {
        disposition: text(node, "disposition"),
        integrate: text(node, "integrate"),
        set: attribute(node, "set"),
        rule,
        alternatives: named(node, "assemblyIdentity").map(AssemblyIdentity::read).collect::<Result<_>>()?,
        nested: named(node, "parent").map(|inner| read_parent(inner, depth + 1)).collect::<Result<_>>()?,
    })
}

fn read_update(node: Node<'_, '_>) -> Result<Update> {
    let mut update = Update {
        name: text(node, "name"),
        display_name: text(node, "displayName"),
        applicable: None,
        packages: Vec::new(),
        components: Vec::new(),
        drivers: Vec::new(),
        unknown: Vec::new(),
    };
    for element in elements(node) {
        let identities =
            || named(element, "assemblyIdentity").map(AssemblyIdentity::read).collect::<Result<Vec<_>>>();
        match element.tag_name().name() {
            "applicable" => update.applicable = Some(read_applicable(element)?),
            "package" => {
                let is_contained = !text(element, "contained").eq_ignore_ascii_case("false");
                let integrate = text(element, "integrate");
                update.packages.extend(identities()?.into_iter().map(|identity| ChildPackage {
                    identity,
                    integrate: integrate.clone(),
                    is_contained,
                }));
            }
            "component" => update.components.extend(identities()?),
            "driver" => {
                let identity = identities()?.into_iter().next();
                update.drivers.push(DriverEntry { inf: text(element, "inf"), identity });
            }
            // How it is shown and chosen; what it needs of other capabilities is a matter of Windows 10.
            "selectable" | "customInformation" | "declareCapability" => {}
            other => update.unknown.push(other.to_owned()),
        }
    }
    Ok(update)
}

fn read_applicable(node: Node<'_, '_>) -> Result<Applicable> {
    let mut conditions = Vec::new();
    for element in elements(node) {
        conditions.push(match element.tag_name().name() {
            "updateComponent" => Condition::UpdateComponent {
                elevate: match text(element, "elevate").as_str() {
                    "revision" => Elevation::Revision,
                    "distribution" => Elevation::Distribution,
                    "serviceLevel" => Elevation::ServiceLevel,
                    "install" => Elevation::Install,
                    _ => Elevation::Unknown,
                },
                components: named(element, "assemblyIdentity")
                    .map(AssemblyIdentity::read)
                    .collect::<Result<_>>()?,
            },
            "detectUpdate" => {
                let names = named(element, "update").map(|update| text(update, "name")).collect();
                Condition::DetectUpdate { names }
            }
            other => Condition::Unknown { element: other.to_owned() },
        });
    }
    Ok(Applicable { disposition: text(node, "disposition"), conditions })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<assembly xmlns="urn:schemas-microsoft-com:asm.v3" description="Fix" creationTimeStamp="2015-01-02T00:00:00Z">
<assemblyIdentity name="P" version="6.1.1.0" language="neutral" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35"/>
<package identifier="KB1" releaseType="Hotfix" restart="possible"><m:customInformation xmlns:m="x" a="b"/><oddity/>
<parent buildCompare="EQ" serviceCompare="GE" revisionCompare="LT" disposition="detect" integrate="separate">
<assemblyIdentity name="A" version="6.1.7601.17514" language="neutral" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35"/>
<parent set="s"><assemblyIdentity name="B" version="6.1.7601.17514" language="en-US" processorArchitecture="amd64"/></parent></parent>
<installerAssembly name="Stack" version="6.0.0.0" language="neutral" processorArchitecture="amd64"/>
<update name="u"><applicable disposition="staged"><updateComponent elevate="install"><assemblyIdentity name="C" version="1.2.3.4" processorArchitecture="x86"/></updateComponent>
<detectUpdate><update name="t"/></detectUpdate><detectNone/></applicable>
<component><assemblyIdentity name="D" version="1.2.3.4" processorArchitecture="x86"/></component>
<package integrate="hidden" contained="false"><assemblyIdentity name="E" version="1.2.3.4" processorArchitecture="x86"/></package>
<driver inf="x.inf"/></update></package></assembly>"#;

    #[test]
    fn a_package_is_read_whole() {
        let package = PackageManifest::parse("update.mum", TEXT.as_bytes()).unwrap();
        assert_eq!(
            (package.identifier.as_str(), package.unknown.as_slice()),
            ("KB1", &["oddity".to_owned()][..])
        );
        let parent = &package.parents[0];
        assert_eq!(parent.rule.build, Some(Comparison::Equal));
        assert_eq!(parent.rule.revision, Some(Comparison::Other));
        assert_eq!((parent.rule.distribution, parent.nested[0].set.as_deref()), (None, Some("s")));
        assert_eq!(parent.nested[0].alternatives[0].language.as_deref(), Some("en-US"));
        let update = &package.updates[0];
        let conditions = &update.applicable.as_ref().unwrap().conditions;
        assert!(
            matches!(&conditions[0], Condition::UpdateComponent { elevate: Elevation::Install, components } if components.len() == 1)
        );
        assert_eq!(conditions[1], Condition::DetectUpdate { names: vec!["t".to_owned()] });
        assert_eq!(conditions[2], Condition::Unknown { element: "detectNone".to_owned() });
        assert!(!update.packages[0].is_contained && update.drivers[0].inf == "x.inf");
    }

    #[test]
    fn errors_name_file_line_and_column() {
        let text = TEXT.replace("6.0.0.0", "6.0");
        let error = PackageManifest::parse("update.mum", text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("update.mum: line 7, column 1:"), "{error}");
        let error = PackageManifest::parse("x.mum", b"<a/>").unwrap_err().to_string();
        assert_eq!(error, "x.mum: line 1, column 1: the root element is <a> instead of <assembly>");
    }
}
