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
    /// Folder for what does not fit into memory.
    pub scratch: PathBuf,
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
}

/// Checks the packages against each image that the target names.
///
/// # Errors
/// Those of opening the WIM and the packages; `NotFound` for an image that holds no Windows.
pub fn check(cx: &Context<'_>, options: &CheckOptions) -> Result<Vec<ImageCheck>> {
    // A plan speaks of files that are proved to be there.
    let pieces = if options.plan == PlanMode::Make { Pieces::Rebuild } else { Pieces::WhenNeeded };
    let scratch = Scratch::new(cx, &options.scratch);
    let (mut files, mut unreadable) = (Vec::new(), Vec::new());
    for path in &options.files {
        match open_file(cx, path, &scratch, pieces) {
            Ok(file) => files.push(file),
            // A kind of package that cannot be opened yet says nothing about the others.
            Err(error) if error.kind() == ErrorKind::Unsupported => unreadable.push(unknown(path, &error)),
            Err(error) => return Err(error),
        }
    }
    let packages: Vec<UpdatePackage<'_>> =
        files.iter().map(|file| UpdatePackage::load(&*file.files, options.branch)).collect::<Result<_>>()?;
    with_images(cx, &options.target, |image| {
        let mut lines = Vec::new();
        for one in judge_all(&packages, image.state, image.hives)? {
            cx.cancel.check()?;
            let (Some(package), Some(file)) = (packages.get(one.package), files.get(one.package)) else {
                continue;
            };
            let mut line = describe(file, package, &one);
            if options.plan == PlanMode::Make && one.judgement.outcome == Outcome::Applicable {
                match plan(package, &one.judgement, image.state, image.view, image.hives) {
                    Ok(made) => line.plan = Some(made),
                    Err(error) => line.no_plan = Some(error.to_string()),
                }
            }
            lines.push(line);
        }
        lines.extend(unreadable.iter().cloned());
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
fn unknown(path: &Path, error: &Error) -> PackageCheck {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let why = error.message().to_owned();
    PackageCheck {
        path: path.display().to_string(),
        identity: String::new(),
        kb: Kb::find(&name).map(|kb| kb.to_string()),
        order: None,
        reason: why.clone(),
        outcome: Outcome::Unknown { why },
        after: Vec::new(),
        applies: Vec::new(),
        notes: error.remedy_text().map(str::to_owned).into_iter().collect(),
        plan: None,
        no_plan: None,
    }
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
