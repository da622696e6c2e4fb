//! Update packages and a Windows 7 with Service Pack 1, made of nothing, as component-based servicing sees them.

use std::fmt::Write as _;

use wim_core::base::Architecture;
use wim_core::formats::cbs::{AssemblyIdentity, AssemblyVersion};
use wim_core::formats::hive::{CreateOptions, Hive, HiveVersion, RegValue};
use wim_core::servicing::hive_set::{HiveName, HiveOptions, HiveSet};
use wim_core::servicing::package_files::MemoryFiles;
use wim_core::servicing::target::ImageHints;
use wim_core::servicing::updates::names::{component_key_form, family_key_form};
use wim_core::servicing::updates::{Branch, Checked, ImageState, Judgement, UpdatePackage, check, judge};

use crate::driver_image::{MemoryImage, seven};

pub(crate) const TOKEN: &str = "31bf3856ad364e35";
pub(crate) const SP1: &str = "6.1.7601.17514";
const CBS: &str = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing";
pub(crate) const CLIENT: &str = "Microsoft-Windows-Client-Features-Package";

pub(crate) fn identity(name: &str, version: &str, architecture: &str) -> AssemblyIdentity {
    AssemblyIdentity {
        name: name.to_owned(),
        version: AssemblyVersion::parse(version).unwrap(),
        architecture: architecture.to_owned(),
        language: None,
        public_key_token: Some(TOKEN.to_owned()),
        kind: None,
        version_scope: Some("nonSxS".to_owned()),
    }
}

/// A Windows 7 SP1 as it comes from its medium: a few packages, one component in use, the stack of SP1, nothing pending.
pub(crate) fn seven_sp1(architecture: Architecture) -> MemoryImage {
    let mut image = seven(architecture);
    let arch = architecture.name();
    let components = Hive::create(HiveVersion::V1_5, &CreateOptions::default()).unwrap().finish().unwrap();
    image.put("\\Windows\\System32\\config\\COMPONENTS", components);
    for (name, language) in [
        (CLIENT, ""),
        ("Microsoft-Windows-Foundation-Package", ""),
        ("Microsoft-Windows-WindowsFoundation-LanguagePack-Package", "en-US"),
    ] {
        install(&mut image, &format!("{name}~{TOKEN}~{arch}~{language}~{SP1}"), 0x70);
    }
    image.put(&format!("\\Windows\\servicing\\Version\\{SP1}\\{arch}_installed"), *b"");
    // What Windows leaves behind when all sessions are done.
    let sessions = format!("{CBS}\\SessionsPending");
    image.edit(&[(HiveName::Software, &sessions, "Exclusive", RegValue::dword(0))]);
    use_component(&mut image, &identity("Microsoft-Windows-StorPort", SP1, arch));
    image
}

/// Records a package in the image.
pub(crate) fn install(image: &mut MemoryImage, id: &str, state: u32) {
    image.put(&format!("\\Windows\\servicing\\Packages\\{id}.mum"), *b"<assembly/>");
    let key = format!("{CBS}\\Packages\\{id}");
    image.edit(&[
        (HiveName::Software, &key, "CurrentState", RegValue::dword(state)),
        (HiveName::Software, &key, "InstallClient", RegValue::sz("test")),
    ]);
}

/// Puts a component into the store and makes it the winner.
pub(crate) fn use_component(image: &mut MemoryImage, component: &AssemblyIdentity) {
    let form = component_key_form(component).unwrap();
    image.put(&format!("\\Windows\\WinSxS\\Manifests\\{form}.manifest"), *b"<assembly/>");
    let version = component.version.to_string();
    let group = component.version.major_minor();
    let family =
        format!("Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners\\{}", family_key_form(component));
    let grouped = format!("{family}\\{group}");
    image.edit(&[
        (HiveName::Software, &family, "", RegValue::sz(&group)),
        (HiveName::Software, &grouped, "", RegValue::sz(&version)),
        (HiveName::Software, &grouped, &version, RegValue::binary([1])),
    ]);
}

/// An update package to be made, in the shape of the real ones.
#[derive(Clone)]
pub(crate) struct TestUpdate {
    pub(crate) kb: u32,
    pub(crate) version: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) created: &'static str,
    /// Least servicing stack.
    pub(crate) stack: &'static str,
    /// Package and version that it is for.
    pub(crate) parent: (&'static str, &'static str),
    pub(crate) elevate: &'static str,
    /// Name, version, and what the manifest holds beside its identity.
    pub(crate) components: Vec<(&'static str, &'static str, String)>,
    /// What the conditions of its update hold beside the components.
    pub(crate) condition: &'static str,
}

impl TestUpdate {
    /// An update for Windows 7 SP1 amd64 that brings one file.
    pub(crate) fn new(kb: u32) -> Self {
        Self {
            kb,
            version: "6.1.1.0",
            architecture: "amd64",
            created: "2015-01-01T00:00:00Z",
            stack: "6.0.0.0",
            parent: (CLIENT, SP1),
            elevate: "install",
            components: vec![("Test-Component", "6.1.7601.18000", file("test.dll", b"test"))],
            condition: "",
        }
    }

    fn id(&self, name: &str) -> String {
        format!(
            "<assemblyIdentity name=\"{name}\" version=\"{}\" language=\"neutral\" processorArchitecture=\"{}\" \
             publicKeyToken=\"{TOKEN}\"/>",
            self.version, self.architecture
        )
    }

    fn package(&self, name: &str, update: &str) -> String {
        let (parent, version) = self.parent;
        let (kb, arch) = (self.kb, self.architecture);
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" \
             description=\"Fix for KB{kb}\" creationTimeStamp=\"{}\">{}<package identifier=\"KB{kb}\" \
             releaseType=\"Update\"><parent buildCompare=\"EQ\" serviceCompare=\"EQ\" integrate=\"separate\" \
             disposition=\"detect\"><assemblyIdentity name=\"{parent}\" version=\"{version}\" language=\"neutral\" \
             processorArchitecture=\"{arch}\" publicKeyToken=\"{TOKEN}\"/></parent><installerAssembly \
             name=\"Microsoft-Windows-ServicingStack\" version=\"{}\" language=\"neutral\" \
             processorArchitecture=\"{arch}\" publicKeyToken=\"{TOKEN}\"/>{update}</package></assembly>",
            self.created,
            self.id(name),
            self.stack
        )
    }

    /// The name of its top package.
    pub(crate) fn top(&self) -> String {
        format!("Package_for_KB{}~{TOKEN}~{}~~{}", self.kb, self.architecture, self.version)
    }

    /// The files of its cabinet: a wrapper, a child, a deployment, components with their payload, catalogs.
    pub(crate) fn files(&self) -> MemoryFiles {
        let (kb, arch) = (self.kb, self.architecture);
        let child = format!("Package_1_for_KB{kb}");
        let wrapper = format!(
            "<update name=\"{kb}-2_neutral_PACKAGE\"><package integrate=\"hidden\">{}</package></update>",
            self.id(&child)
        );
        let deployment = identity(&format!("{kb:032x}"), self.components[0].1, arch);
        let (mut wanted, mut dependencies) = (String::new(), String::new());
        let mut files = MemoryFiles::new(&format!("KB{kb}.cab"));
        for (name, version, content) in &self.components {
            let component = identity(name, version, arch);
            let element = element(&component);
            wanted += &element;
            let _ = write!(
                dependencies,
                "<dependency discoverable=\"false\"><dependentAssembly dependencyType=\"install\">{element}\
                 </dependentAssembly></dependency>"
            );
            let form = component_key_form(&component).unwrap();
            files = files.with(&format!("{form}.manifest"), assembly(&component, content).into_bytes());
            for (file, bytes) in payloads(content) {
                files = files.with(&format!("{form}\\{file}"), bytes);
            }
        }
        let update = format!(
            "<update name=\"{kb}-1_neutral_GDR\"><applicable disposition=\"staged\"><updateComponent \
             elevate=\"{}\">{wanted}</updateComponent>{}</applicable><component>{}</component></update>",
            self.elevate,
            self.condition,
            element(&deployment)
        );
        let form = component_key_form(&deployment).unwrap();
        let manifest = assembly(&deployment, &format!("<deployment/>{dependencies}"));
        let child_id = format!("{}~{TOKEN}~{arch}~~{}", child.to_lowercase(), self.version);
        files
            .with("update.mum", self.package(&format!("Package_for_KB{kb}"), &wrapper).into_bytes())
            .with("update.cat", format!("catalog of KB{kb}").into_bytes())
            .with(&format!("{child_id}.mum"), self.package(&child, &update).into_bytes())
            .with(&format!("{child_id}.cat"), format!("catalog of {child}").into_bytes())
            .with(&format!("{form}.manifest"), manifest.into_bytes())
    }
}

fn element(identity: &AssemblyIdentity) -> String {
    format!(
        "<assemblyIdentity name=\"{}\" version=\"{}\" processorArchitecture=\"{}\" language=\"neutral\" \
         buildType=\"release\" publicKeyToken=\"{TOKEN}\" versionScope=\"nonSxS\"/>",
        identity.name, identity.version, identity.architecture
    )
}

fn assembly(identity: &AssemblyIdentity, content: &str) -> String {
    format!(
        "<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\">{}{content}</assembly>",
        element(identity)
    )
}

/// A file element for System32; its bytes are kept in a comment, where [`payloads`] finds them.
pub(crate) fn file(name: &str, bytes: &[u8]) -> String {
    let digest = wim_core::base::Digest::Sha256([0; 32]).of_same_kind(bytes).to_string();
    let digest: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&digest[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    format!(
        "<!--payload {name}={text}--><file name=\"{name}\" destinationPath=\"$(runtime.system32)\\\" \
         sourceName=\"{name}\" importPath=\"$(build.nttree)\\\"><securityDescriptor name=\"SDDL\"/><asmv2:hash \
         xmlns:asmv2=\"urn:schemas-microsoft-com:asm.v2\" xmlns:dsig=\"http://www.w3.org/2000/09/xmldsig#\">\
         <dsig:Transforms><dsig:Transform Algorithm=\"urn:schemas-microsoft-com:HashTransforms.Identity\"/>\
         </dsig:Transforms><dsig:DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha256\"/>\
         <dsig:DigestValue>{}</dsig:DigestValue></asmv2:hash></file><trustInfo><security><accessControl>\
         <securityDescriptorDefinitions><securityDescriptorDefinition name=\"SDDL\" sddl=\"O:BAD:(A;;FA;;;BA)\"/>\
         </securityDescriptorDefinitions></accessControl></security></trustInfo>",
        base64(&digest)
    )
}

fn payloads(content: &str) -> Vec<(String, Vec<u8>)> {
    let comments = content.split("<!--payload ").skip(1).filter_map(|rest| rest.split("-->").next());
    comments
        .filter_map(|text| text.split_once('='))
        .map(|(name, bytes)| (name.to_owned(), bytes.as_bytes().to_vec()))
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let sign = char::from(SIGNS[(group >> (18 - 6 * at) & 63) as usize]);
            text.push(if at <= chunk.len() { sign } else { '=' });
        }
    }
    text
}

/// Reads the state of an image.
pub(crate) fn state(image: &MemoryImage) -> ImageState {
    let mut hives = HiveSet::new(image, HiveOptions::default());
    ImageState::read(image, &mut hives, ImageHints::default(), &mut Vec::new()).unwrap()
}

/// Judges one package.
pub(crate) fn judge_one(image: &MemoryImage, files: &MemoryFiles) -> Judgement {
    judge_branch(image, files, Branch::General)
}

pub(crate) fn judge_branch(image: &MemoryImage, files: &MemoryFiles, branch: Branch) -> Judgement {
    let package = UpdatePackage::load(files, branch).unwrap();
    let mut hives = HiveSet::new(image, HiveOptions::default());
    judge(&package, &state(image), &mut hives).unwrap()
}

/// Checks several packages together.
pub(crate) fn check_all(image: &MemoryImage, files: &[MemoryFiles]) -> Vec<Checked> {
    let packages: Vec<UpdatePackage<'_>> =
        files.iter().map(|files| UpdatePackage::load(files, Branch::General).unwrap()).collect();
    let mut hives = HiveSet::new(image, HiveOptions::default());
    check(&packages, &state(image), &mut hives).unwrap()
}
