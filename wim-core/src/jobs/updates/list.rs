//! `package list`: what an image has.

use serde::Serialize;

use super::with_images;
use crate::base::{Context, Result};
use crate::jobs::clock::ReportTime;
use crate::jobs::registry::Target;
use crate::servicing::updates::{ImageState, InstalledPackage, PackageState};

/// The packages of one image, and what else tells whether updates go in.
#[derive(Clone, Debug, Serialize)]
pub struct ImagePackages {
    /// Number of the image.
    pub image: u32,
    /// Its name in the XML data.
    pub name: Option<String>,
    /// Its edition.
    pub edition: Option<String>,
    /// Architecture.
    pub architecture: String,
    /// Windows version: `6.1.7601`.
    pub version: String,
    /// Version of the newest servicing stack.
    pub servicing_stack: Option<String>,
    /// Languages of its language packs.
    pub languages: Vec<String>,
    /// Why it is not to be serviced now; empty when nothing is pending.
    pub pending: Vec<String>,
    /// The wcp.dll with the base manifest that compressed manifests are deltas of; none in Windows 7.
    pub base_manifest: Option<String>,
    /// True when there is no SOFTWARE hive, so that states are not known.
    pub approximate: bool,
    /// Its packages, sorted by name.
    pub packages: Vec<PackageLine>,
    /// Records that disagree, and what was odd.
    pub findings: Vec<String>,
}

/// One package of an image.
#[derive(Clone, Debug, Serialize)]
pub struct PackageLine {
    /// Its name, as CBS writes it.
    pub package: String,
    /// The article it belongs to.
    pub kb: Option<String>,
    /// Its state; none when only its `.mum` file is there.
    pub state: Option<PackageState>,
    /// True when its `.mum` file is there.
    pub has_manifest: bool,
    /// Who installed it.
    pub client: Option<String>,
    /// When it was installed.
    pub installed_at: Option<ReportTime>,
}

/// Lists the packages of each image that the target names.
///
/// # Errors
/// Those of opening the WIM; `NotFound` for an image that holds no Windows.
pub fn list(cx: &Context<'_>, target: &Target) -> Result<Vec<ImagePackages>> {
    with_images(cx, target, |image| {
        let windows = &image.state.target.windows;
        let findings = image.state.findings.iter().chain(&image.warnings).cloned().collect();
        Ok(ImagePackages {
            image: image.index.number(),
            name: image.name,
            edition: image.edition,
            architecture: windows.arch.name().to_owned(),
            version: format!("{}.{}.{}", windows.major, windows.minor, windows.build),
            servicing_stack: image.state.stack.map(|version| version.to_string()),
            languages: image.state.languages(),
            pending: image.state.pending.clone(),
            base_manifest: image.base.as_ref().map(|base| base.found_in.clone()),
            approximate: image.state.is_approximate,
            packages: lines(image.state),
            findings,
        })
    })
}

fn lines(state: &ImageState) -> Vec<PackageLine> {
    let line = |package: &InstalledPackage| PackageLine {
        package: package.id.to_string(),
        kb: package.kb().map(|kb| kb.to_string()),
        state: package.state,
        has_manifest: package.has_manifest,
        client: package.client.clone(),
        installed_at: package.installed_at.map(ReportTime),
    };
    state.packages.iter().map(line).collect()
}
