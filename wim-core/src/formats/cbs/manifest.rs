//! Deployments and components: the `.manifest` files of a package and of `WinSxS\Manifests` (updates.md 4.2, 4.3).
//!
//! A deployment lists the components that are installed together; a component says which files, directories and registry
//! values it brings, how they are protected, and which installers of Windows have to run. The content of what needs an
//! installer is not modelled: it is named, so that it can be refused by name.

use roxmltree::Node;

use super::document::{attribute, bad, child, elements, named, read_document, text};
use super::identity::AssemblyIdentity;
use super::registry::{RegistryKeyEntry, read_keys};
use crate::base::{Digest, Error, Result, Sha1Digest, base64};

/// A deployment or a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentManifest {
    /// Which assembly it is.
    pub identity: AssemblyIdentity,
    /// True for a deployment: it lists components and brings nothing of its own.
    pub is_deployment: bool,
    /// Other assemblies.
    pub dependencies: Vec<Dependency>,
    /// Files.
    pub files: Vec<FileEntry>,
    /// Directories.
    pub directories: Vec<DirectoryEntry>,
    /// Registry keys.
    pub registry_keys: Vec<RegistryKeyEntry>,
    /// Categories that it joins; most mean that an installer has to run.
    pub memberships: Vec<Membership>,
    /// Security descriptors, by name.
    pub security: Vec<SecurityDefinition>,
    /// Names of other elements that hold something, each once.
    pub other_elements: Vec<String>,
}

/// What a dependency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyKind {
    /// A component of a deployment: installed with it.
    Install,
    /// Must be there.
    Prerequisite,
    /// Anything else.
    Other,
}

/// A `dependency` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The assembly.
    pub identity: AssemblyIdentity,
    /// What it is for.
    pub kind: DependencyKind,
    /// True for the satellites in the languages of the image.
    pub is_resources: bool,
}

/// A `file` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its name in the store and, unless [`Self::destination_name`] says otherwise, where it goes.
    pub name: String,
    /// Folder that it goes to, with macros, as written; none when it stays in the store.
    pub destination: Option<String>,
    /// Its name there, when it differs.
    pub destination_name: Option<String>,
    /// Name in the package, when it differs.
    pub source_name: Option<String>,
    /// Folder in the package, when not that of the component.
    pub source_path: Option<String>,
    /// More names, with macros, as written: hard links.
    pub links: Vec<String>,
    /// Name of its security descriptor among the definitions.
    pub security: Option<String>,
    /// Digests of its bytes.
    pub digests: Vec<Digest>,
}

/// A `directory` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The folder, with macros, as written.
    pub destination: String,
    /// Name of its security descriptor among the definitions.
    pub security: Option<String>,
}

/// A `categoryMembership` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// `typeName` of the category: `BootRecovery`, `Service` …
    pub category: String,
    /// True when there is data for an installer in it.
    pub has_data: bool,
}

/// A security descriptor with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityDefinition {
    /// Name that files and keys use.
    pub name: String,
    /// The descriptor in SDDL.
    pub sddl: String,
}

impl ComponentManifest {
    /// Reads a manifest; `name` is what messages call the file.
    ///
    /// # Errors
    /// `Format` for text that is no manifest, also for a compressed one that nobody expanded, `Limit` for too much of it,
    /// `Unsupported` for a digest of an unknown algorithm.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        read_document(bytes, name, read_manifest)
    }

    /// The SDDL of that name.
    #[must_use]
    pub fn sddl(&self, name: &str) -> Option<&str> {
        self.security.iter().find(|d| d.name.eq_ignore_ascii_case(name)).map(|d| d.sddl.as_str())
    }
}

fn read_manifest(root: Node<'_, '_>) -> Result<ComponentManifest> {
    let identity =
        child(root, "assemblyIdentity").ok_or_else(|| bad(root, "the assembly has no assemblyIdentity"))?;
    let mut manifest = ComponentManifest {
        identity: AssemblyIdentity::read(identity)?,
        is_deployment: false,
        dependencies: Vec::new(),
        files: Vec::new(),
        directories: Vec::new(),
        registry_keys: read_keys(root),
        memberships: Vec::new(),
        security: Vec::new(),
        other_elements: Vec::new(),
    };
    for element in elements(root) {
        match element.tag_name().name() {
            "assemblyIdentity" | "registryKeys" => {}
            "deployment" => manifest.is_deployment = true,
            "dependency" => read_dependency(element, &mut manifest.dependencies)?,
            "file" => manifest.files.push(read_file(element)?),
            "directories" => manifest.directories.extend(named(element, "directory").map(read_directory)),
            "memberships" => {
                manifest.memberships.extend(named(element, "categoryMembership").map(read_membership));
            }
            "trustInfo" => read_security(element, &mut manifest.security),
            other => {
                let is_empty = elements(element).next().is_none() && element.attributes().next().is_none();
                if !is_empty && !manifest.other_elements.iter().any(|known| known == other) {
                    manifest.other_elements.push(other.to_owned());
                }
            }
        }
    }
    Ok(manifest)
}

fn read_dependency(node: Node<'_, '_>, found: &mut Vec<Dependency>) -> Result<()> {
    let is_resources = text(node, "resourceType").eq_ignore_ascii_case("resources");
    for dependent in named(node, "dependentAssembly") {
        let kind = match text(dependent, "dependencyType").as_str() {
            "install" => DependencyKind::Install,
            "prerequisite" => DependencyKind::Prerequisite,
            _ => DependencyKind::Other,
        };
        for identity in named(dependent, "assemblyIdentity") {
            // A dependency on whatever version there is names no assembly that could be looked for.
            let has_version = identity.attribute("version").is_some_and(|version| version != "*");
            if has_version || kind == DependencyKind::Install {
                let identity = AssemblyIdentity::read(identity)?;
                found.push(Dependency { identity, kind, is_resources });
            }
        }
    }
    Ok(())
}

fn read_file(node: Node<'_, '_>) -> Result<FileEntry> {
    let name = text(node, "name");
    let is_plain = |name: &str| {
        !name.is_empty()
            && name.split('\\').all(|part| !matches!(part, "" | "." | ".."))
            && !name.contains(['/', ':', '\0'])
    };
    let other_name = |attribute_name: &str| attribute(node, attribute_name).filter(|other| !other.is_empty());
    let (destination_name, source_name) = (other_name("destinationName"), other_name("sourceName"));
    for name in [Some(&name), destination_name.as_ref(), source_name.as_ref()].into_iter().flatten() {
        if !is_plain(name) {
            return Err(bad(node, format!("{name:?} cannot be the name of a file")));
        }
    }
    Ok(FileEntry {
        destination: attribute(node, "destinationPath").filter(|path| !path.is_empty()),
        destination_name: destination_name.filter(|other| *other != name),
        source_name: source_name.filter(|other| *other != name),
        source_path: attribute(node, "sourcePath").filter(|path| !matches!(path.as_str(), "" | "." | ".\\")),
        links: named(node, "link").map(|link| text(link, "destination")).collect(),
        security: child(node, "securityDescriptor").map(|security| text(security, "name")),
        digests: named(node, "hash").map(read_digest).collect::<Result<_>>()?,
        name,
    })
}

fn read_directory(node: Node<'_, '_>) -> DirectoryEntry {
    DirectoryEntry {
        destination: text(node, "destinationPath"),
        security: child(node, "securityDescriptor").map(|security| text(security, "name")),
    }
}

fn read_membership(node: Node<'_, '_>) -> Membership {
    let category = child(node, "id").map(|id| text(id, "typeName")).unwrap_or_default();
    Membership { category, has_data: elements(node).any(|element| element.tag_name().name() != "id") }
}

fn read_security(trust_info: Node<'_, '_>, found: &mut Vec<SecurityDefinition>) {
    let definitions = trust_info
        .descendants()
        .filter(|node| node.is_element() && node.tag_name().name() == "securityDescriptorDefinition");
    found.extend(
        definitions.map(|node| SecurityDefinition { name: text(node, "name"), sddl: text(node, "sddl") }),
    );
}

/// Reads a `hash` element: the digest of the file's plain bytes.
fn read_digest(node: Node<'_, '_>) -> Result<Digest> {
    let transforms = named(node, "Transforms").flat_map(|transforms| named(transforms, "Transform"));
    for transform in transforms {
        let algorithm = text(transform, "Algorithm");
        if algorithm != "urn:schemas-microsoft-com:HashTransforms.Identity" {
            let message = format!("a digest of bytes transformed by {algorithm:?}");
            return Err(Error::unsupported(message).at(bad(transform, "").place().clone()));
        }
    }
    let value = child(node, "DigestValue").and_then(|value| value.text()).unwrap_or("");
    let bytes = base64::decode(value).ok_or_else(|| bad(node, format!("{value:?} is not base64")))?;
    let algorithm = child(node, "DigestMethod").map(|method| text(method, "Algorithm")).unwrap_or_default();
    let wrong_length = || bad(node, format!("{} bytes are no digest of {algorithm:?}", bytes.len()));
    match algorithm.rsplit('#').next().unwrap_or("") {
        "sha1" => Ok(Digest::Sha1(Sha1Digest(bytes.as_slice().try_into().map_err(|_| wrong_length())?))),
        "sha256" => Ok(Digest::Sha256(bytes.as_slice().try_into().map_err(|_| wrong_length())?)),
        _ => Err(Error::unsupported(format!("a digest of the algorithm {algorithm:?}"))
            .at(bad(node, "").place().clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ErrorKind;

    const DIGEST: &str = r#"<asmv2:hash xmlns:asmv2="urn:schemas-microsoft-com:asm.v2" xmlns:dsig="http://www.w3.org/2000/09/xmldsig#">
<dsig:Transforms><dsig:Transform Algorithm="urn:schemas-microsoft-com:HashTransforms.Identity"/></dsig:Transforms>
<dsig:DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/><dsig:DigestValue>qZk+NkcGgWq6PiVxeFDCbJzQ2J0=</dsig:DigestValue></asmv2:hash>"#;

    fn manifest(content: &str) -> Result<ComponentManifest> {
        let identity = r#"<assemblyIdentity name="C" version="6.1.7601.1" processorArchitecture="amd64" versionScope="nonSxS"/>"#;
        let text =
            format!("<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\">{identity}{content}</assembly>");
        ComponentManifest::parse("c.manifest", text.as_bytes())
    }

    #[test]
    fn a_component_is_read_whole() {
        let file = format!(
            "<file name=\"a.dll\" destinationPath=\"$(runtime.system32)\\\" sourceName=\"a.dll\" sourcePath=\".\\\">\
             <securityDescriptor name=\"S\"/><link destination=\"$(runtime.windows)\\b.dll\"/>{DIGEST}</file>"
        );
        let rest = r#"<directories><directory destinationPath="$(runtime.windows)\x\"><securityDescriptor name="S"/></directory></directories>
<registryKeys><registryKey keyName="HKEY_LOCAL_MACHINE\SOFTWARE\X" owner="true"><registryValue name="v" valueType="REG_DWORD" value="0x1" mutable="true" operationHint="append"/></registryKey></registryKeys>
<memberships><categoryMembership><id typeName="Service"/><categoryInstance/></categoryMembership><categoryMembership><id typeName="BootRecovery"/></categoryMembership></memberships>
<trustInfo><security><accessControl><securityDescriptorDefinitions><securityDescriptorDefinition name="S" sddl="D:"/></securityDescriptorDefinitions></accessControl></security></trustInfo>
<instrumentation><events/></instrumentation><instrumentation><events/></instrumentation><rescache/>
<dependency resourceType="Resources"><dependentAssembly dependencyType="prerequisite"><assemblyIdentity name="C.Resources" version="6.1.7601.1" language="*" processorArchitecture="amd64"/></dependentAssembly></dependency>"#;
        let found = manifest(&(file + rest)).unwrap();
        assert!(found.files[0].digests[0].matches(b"abc"), "{:?}", found.files);
        assert_eq!(found.files[0].links, ["$(runtime.windows)\\b.dll"]);
        assert_eq!((found.files[0].source_name.as_ref(), found.files[0].source_path.as_ref()), (None, None));
        assert_eq!(found.registry_keys[0].values[0].operation_hint.as_deref(), Some("append"));
        assert_eq!(found.memberships.iter().map(|m| m.has_data).collect::<Vec<_>>(), [true, false]);
        assert_eq!(
            (found.sddl("s"), found.other_elements.as_slice()),
            (Some("D:"), &["instrumentation".to_owned()][..])
        );
        assert!(found.dependencies[0].is_resources && !found.is_deployment);
        assert_eq!(
            found.identity.to_string(),
            "C, Culture=neutral, Version=6.1.7601.1, PublicKeyToken=none, ProcessorArchitecture=amd64, versionScope=NonSxS"
        );
    }

    #[test]
    fn names_that_lead_elsewhere_and_odd_digests_are_refused() {
        for name in ["..\\a", "a/b", "C:a", "\\a", "a\\..\\b", "a:s"] {
            let error = manifest(&format!("<file name=\"{name}\"/>")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format, "{name}");
        }
        let kind = |text: String| manifest(&format!("<file name=\"a\">{text}</file>")).unwrap_err().kind();
        assert_eq!(kind(DIGEST.replace("sha1", "sha256")), ErrorKind::Format);
        assert_eq!(kind(DIGEST.replace("sha1", "md4")), ErrorKind::Unsupported);
        assert_eq!(kind(DIGEST.replace(".Identity", ".Other")), ErrorKind::Unsupported);
        assert_eq!(kind(DIGEST.replace("qZk+", "qZk?")), ErrorKind::Format);
    }
}
