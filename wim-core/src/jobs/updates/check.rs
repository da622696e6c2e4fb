//! `package check`: which packages go into an image, in which order, and why the others do not.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{OpenFile, Pieces, open_file, with_images};
use crate::base::{Context, Error, ErrorKind, Result};
use crate::jobs::archive::Scratch;
use crate::jobs::registry::Target;
use crate::servicing::updates::{
    Branch, Checked, Kb, Outcome, UpdatePackage, UpdatePlan, check as judge_all, plan,
};

/// Whether what integrating would do is told too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanMode {
    /// Outcomes only.
    Omit,
    /// For each package that applies: files, links, registry values and records.
    Make,
}

/// What is checked, and how.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// The WIM and its images.
    pub target: Target,
    /// Packages, in any order.
    pub files: Vec<PathBuf>,
    /// Which branch is wanted.
    pub branch: Branch,
    /// Whether plans are made.
    pub plan: PlanMode,
}

/// What the packages are to one image.
#[derive(Clone, Debug, Serialize)]
pub struct ImageCheck {
    /// Number of the image.
    pub image: u32,
    /// Its name in the XML data.
    pub name: Option<String>,
    /// Its edition.
    pub edition: Option<String>,
    /// Architecture.
    pub architecture: String,
    /// Windows version.
    pub version: String,
    /// Version of the newest servicing stack.
    pub servicing_stack: Option<String>,
    /// The packages: first those to install, in order, then the others.
    pub packages: Vec<PackageCheck>,
    /// What was odd about the image.
    pub findings: Vec<String>,
}

/// What one package is to an image.
#[derive(Clone, Debug, Serialize)]
pub struct PackageCheck {
    /// The file.
    pub path: String,
    /// The package's name, as CBS writes it; empty for a file that cannot be looked into.
    pub identity: String,
    /// The article it belongs to.
    pub kb: Option<String>,
    /// Place among those to install, counted from 1.
    pub order: Option<usize>,
    /// The outcome with its details.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The reason in words; empty for a package that simply applies.
    pub reason: String,
    /// Articles of other files that go before it because it needs them.
    pub after: Vec<String>,
    /// Updates inside it that apply.
    pub applies: Vec<String>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// What integrating it would do; with [`PlanMode::Make`], for packages that apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<UpdatePlan>,
    /// Why there is no plan, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_plan: Option<String>,
}

impl ImageCheck {
    /// True when at least one package is to be installed or is there already.
    #[must_use]
    pub fn anything_fits(&self) -> bool {
        self.packages.iter().any(|package| {
            package.outcome.is_to_install()
                || matches!(package.outcome, Outcome::AlreadyPresent { .. } | Outcome::Superseded { .. })
        })
    }

    /// True when a file is damaged, so that the answer about it is none.
    #[must_use]
    pub fn has_unreadable(&self) -> bool {
        self.packages.iter().any(|package| matches!(package.outcome, Outcome::Unreadable { .. }))
    }
}

/// Checks the packages against each image that the target names; what does not fit into memory goes to nameless files
/// beside the WIM.
///
/// # Errors
/// Those of opening the WIM and the packages; `NotFound` for an image that holds no Windows and for a file that is not
/// there. A package that is damaged, or of a kind that cannot be opened, is an [`Outcome`], since it says nothing about the
/// others.
pub fn check(cx: &Context<'_>, options: &CheckOptions) -> Result<Vec<ImageCheck>> {
    // A plan speaks of files that are proved to be there.
    let pieces = if options.plan == PlanMode::Make { Pieces::Rebuild } else { Pieces::WhenNeeded };
    let scratch = Scratch::beside(cx, &options.target.path);
    let (mut opened, mut unread) = (Vec::new(), Vec::new());
    for path in &options.files {
        match open_file(cx, path, &scratch, pieces) {
            Ok(file) => opened.push(file),
            Err(error) => unread.push(unread_line(path, error)?),
        }
    }
    let (mut files, mut packages) = (Vec::new(), Vec::new());
    for file in &opened {
        match UpdatePackage::load(&*file.files, options.branch) {
            Ok(package) => {
                files.push(file);
                packages.push(package);
            }
            Err(error) => unread.push(unread_line(&file.path, error)?),
        }
    }
    with_images(cx, &options.target, |image| {
        let mut lines = Vec::new();
        packages.iter_mut().for_each(|package| package.set_base_manifest(image.base.clone()));
        for one in judge_all(&packages, image.state, image.hives)? {
            cx.cancel.check()?;
            let (Some(package), Some(file)) = (packages.get(one.package), files.get(one.package)) else {
                continue;
            };
            let mut line = describe(file, package, &one);
            if options.plan == PlanMode::Make && one.judgement.outcome == Outcome::Applicable {
                match plan(package, &one.judgement, image.state, image.view, image.hives) {
                    Ok(made) => line.plan = Some(made),
                    Err(error) => line.no_plan = Some(error.text_with_remedy()),
                }
            }
            lines.push(line);
        }
        lines.extend(unread.iter().cloned());
        let windows = &image.state.target.windows;
        Ok(ImageCheck {
            image: image.index.number(),
            name: image.name,
            edition: image.edition,
            architecture: windows.arch.name().to_owned(),
            version: format!("{}.{}.{}", windows.major, windows.minor, windows.build),
            servicing_stack: image.state.stack.map(|version| version.to_string()),
            packages: lines,
            findings: image.state.findings.iter().chain(&image.warnings).cloned().collect(),
        })
    })
}

/// The line of a package that cannot be looked into.
///
/// # Errors
/// `error` itself when it is not about a package: nothing is there, a folder has none in it, it cannot be read.
fn unread_line(path: &Path, error: Error) -> Result<PackageCheck> {
    // A slip of the user's, and no answer about an update. A file may lack something all the same: the next part of its set, say.
    if error.kind() == ErrorKind::NotFound && !path.is_file() {
        return Err(error);
    }
    let notes = error.remedy_text().map(str::to_owned).into_iter().collect();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Its path has a line of its own.
    let text = error.to_string();
    let why = text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned();
    let outcome = Outcome::of_error(error, why)?;
    Ok(PackageCheck {
        path: path.display().to_string(),
        identity: String::new(),
        kb: Kb::find(&name).map(|kb| kb.to_string()),
        order: None,
        reason: outcome.reason(),
        outcome,
        after: Vec::new(),
        applies: Vec::new(),
        notes,
        plan: None,
        no_plan: None,
    })
}

fn describe(file: &OpenFile, package: &UpdatePackage<'_>, one: &Checked) -> PackageCheck {
    let judgement = &one.judgement;
    PackageCheck {
        path: file.path.display().to_string(),
        identity: package.top().id.to_string(),
        kb: package.kb().map(|kb| kb.to_string()),
        order: one.order,
        reason: judgement.outcome.reason(),
        outcome: judgement.outcome.clone(),
        after: one.after.iter().map(ToString::to_string).collect(),
        applies: judgement.applied.iter().map(|update| update.update.clone()).collect(),
        notes: judgement.notes.clone(),
        plan: None,
        no_plan: None,
    }
}
