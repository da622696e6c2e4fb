//! Whether the parts of a package fit an image: parents, child packages, updates, components.
//!
//! Source: updates.md 4.1 and 7.2, and the packages of real updates. Answers have three values: where the meaning of an
//! element is not known for certain and matters, the answer is a maybe with its reason. Order, prerequisites and installers
//! are judged in `judge.rs`.

use std::collections::HashMap;

use super::image_state::{ImageState, InstalledPackage, PackageState};
use super::package::{MAX_CHILD_DEPTH, PackageEntry, UpdatePackage};
use crate::base::Result;
use crate::formats::cbs::{
    AssemblyIdentity, AssemblyVersion, Comparison, Condition, Elevation, PackageId, Parent, Update,
};
use crate::servicing::hive_set::HiveSet;

/// Most findings that are kept to explain a no.
const MAX_REASONS: usize = 8;
/// Longest chain of updates that name each other as triggers; real ones have two links.
const MAX_TRIGGER_DEPTH: usize = 32;

/// Whether something holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It does.
    Yes,
    /// It does not, and why.
    No(String),
    /// It cannot be told, and why.
    Maybe(String),
}

/// An update that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedUpdate {
    /// The package that holds it.
    pub package: PackageId,
    /// Its name.
    pub update: String,
    /// Deployments to install.
    pub deployments: Vec<AssemblyIdentity>,
    /// Names of drivers' INF files.
    pub drivers: Vec<String>,
}

/// What came of looking at a package.
#[derive(Clone, Debug, Default)]
pub(super) struct Evaluation {
    /// Packages to install, children before their parents.
    pub packages: Vec<PackageId>,
    /// Updates with content of their own that apply.
    pub applied: Vec<AppliedUpdate>,
    /// Why parts do not apply.
    pub reasons: Vec<String>,
    /// Why it cannot be told whether parts apply.
    pub doubts: Vec<String>,
    /// Updates whose components are all there in the same or a newer version: component and version in the image.
    pub present: Vec<(String, AssemblyVersion)>,
    /// Packages that were looked at, by lower-case name, and whether they apply.
    judged: HashMap<String, bool>,
}

/// The updates of one package, each asked once.
struct Asked<'m> {
    updates: &'m [Update],
    /// The first update of each name.
    by_name: HashMap<&'m str, usize>,
    /// What each came to, by position; none while that is being found out.
    answers: HashMap<usize, Option<Answer>>,
}

impl<'m> Asked<'m> {
    fn new(updates: &'m [Update]) -> Self {
        let mut by_name = HashMap::new();
        for (position, update) in updates.iter().enumerate() {
            by_name.entry(update.name.as_str()).or_insert(position);
        }
        Self { updates, by_name, answers: HashMap::new() }
    }
}

impl Evaluation {
    fn reason(&mut self, reason: String) {
        if self.reasons.len() < MAX_REASONS && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    fn doubt(&mut self, doubt: String) {
        if self.doubts.len() < MAX_REASONS && !self.doubts.contains(&doubt) {
            self.doubts.push(doubt);
        }
    }
}

/// Which line of fixes a version belongs to, by its fourth number (updates.md 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// General: 16xxx to 19xxx.
    General,
    /// Limited: 20xxx to 23xxx.
    Limited,
    /// Both: 24xxx and above, since the rollups of 2016.
    Single,
}

impl Distribution {
    /// The distribution of a version of Windows Vista or 7.
    #[must_use]
    pub fn of(version: AssemblyVersion) -> Self {
        let [_, _, _, revision] = version.0;
        match revision {
            0..20_000 => Self::General,
            20_000..24_000 => Self::Limited,
            24_000.. => Self::Single,
        }
    }
}

/// A component of an update against the image.
enum Lift {
    /// The image has it, or a newer one.
    Present(AssemblyVersion),
    /// The update brings something newer.
    Applies,
    /// The image has no version of it, and the update does not add it.
    Absent,
    /// The image's version is another branch, service level or build than the update lifts.
    TooFar(AssemblyVersion),
    /// The word for how far it lifts is not known.
    Unknown,
}

/// Looks at packages against one image.
pub(super) struct Evaluator<'a, 'v> {
    /// What the image has.
    pub state: &'a ImageState,
    /// Its hives, for the components in use.
    pub hives: &'a mut HiveSet<'v>,
}

impl Evaluator<'_, '_> {
    /// Looks at a package with everything below it.
    ///
    /// # Errors
    /// What reading the image's hives gives.
    pub(super) fn package(&mut self, package: &UpdatePackage<'_>) -> Result<Evaluation> {
        let mut evaluation = Evaluation::default();
        self.entry(package, package.top(), 0, &mut evaluation)?;
        Ok(evaluation)
    }

    /// Looks at one package; true when it is to be installed.
    fn entry(
        &mut self,
        package: &UpdatePackage<'_>,
        entry: &PackageEntry,
        depth: usize,
        found: &mut Evaluation,
    ) -> Result<bool> {
        if depth > MAX_CHILD_DEPTH {
            found.doubt(format!("child packages are nested more than {MAX_CHILD_DEPTH} deep"));
            return Ok(false);
        }
        // A package that is reached twice is looked at once; one that reaches itself adds nothing.
        let key = entry.id.to_string().to_lowercase();
        if let Some(&applies) = found.judged.get(&key) {
            return Ok(applies);
        }
        found.judged.insert(key.clone(), false);
        match self.parents(&entry.manifest.parents) {
            Answer::Yes => {}
            Answer::No(reason) => {
                found.reason(format!("{}: {reason}", entry.id.name));
                return Ok(false);
            }
            Answer::Maybe(doubt) => {
                found.doubt(format!("{}: {doubt}", entry.id.name));
                return Ok(false);
            }
        }
        let (mut applies, mut asked) = (false, Asked::new(&entry.manifest.updates));
        for (position, update) in entry.manifest.updates.iter().enumerate() {
            match self.conditions(&mut asked, position, 0, found)? {
                Answer::Yes => applies |= self.content(package, entry, update, depth, found)?,
                Answer::No(reason) => found.reason(reason),
                Answer::Maybe(doubt) => found.doubt(doubt),
            }
        }
        if applies {
            found.packages.push(entry.id.clone());
            found.judged.insert(key, true);
        }
        Ok(applies)
    }

    /// Takes what an update holds, its child packages judged; true when there is something to install.
    fn content(
        &mut self,
        package: &UpdatePackage<'_>,
        entry: &PackageEntry,
        update: &Update,
        depth: usize,
        found: &mut Evaluation,
    ) -> Result<bool> {
        let mut applies = false;
        for child in &update.packages {
            match package.package(&child.identity) {
                Some(child) => applies |= self.entry(package, child, depth + 1, found)?,
                // One that the image is to have already, such as a language pack of a feature.
                None if !child.is_contained => {}
                None => {
                    found.doubt(format!("its child {} is not in the file", child.identity.package_id()));
                }
            }
        }
        if !update.components.is_empty() || !update.drivers.is_empty() {
            applies = true;
            found.applied.push(AppliedUpdate {
                package: entry.id.clone(),
                update: update.name.clone(),
                deployments: update.components.clone(),
                drivers: update.drivers.iter().map(|driver| driver.inf.clone()).collect(),
            });
        }
        Ok(applies)
    }

    /// Whether all conditions of an update hold. Each update is asked once; one that asks for itself, by whatever way, adds
    /// nothing to its own answer.
    fn conditions(
        &mut self,
        asked: &mut Asked<'_>,
        position: usize,
        depth: usize,
        found: &mut Evaluation,
    ) -> Result<Answer> {
        if let Some(Some(answer)) = asked.answers.get(&position) {
            return Ok(answer.clone());
        }
        let Some(update) = asked.updates.get(position) else { return Ok(Answer::Yes) };
        asked.answers.insert(position, None);
        let mut result = Answer::Yes;
        let conditions = update.applicable.as_ref().map_or(&[][..], |applicable| &applicable.conditions);
        for condition in conditions {
            let answer = match condition {
                Condition::UpdateComponent { elevate, components } => {
                    self.components(update, *elevate, components, found)?
                }
                Condition::DetectUpdate { names } => self.detect(asked, names, depth, found)?,
                Condition::Unknown { element } => {
                    Answer::Maybe(format!("{}: what <{element}> asks of an image is not known", update.name))
                }
            };
            match answer {
                Answer::Yes => {}
                Answer::No(_) => {
                    result = answer;
                    break;
                }
                Answer::Maybe(_) => result = answer,
            }
        }
        asked.answers.insert(position, Some(result.clone()));
        Ok(result)
    }

    /// Whether any of the updates of that name applies.
    fn detect(
        &mut self,
        asked: &mut Asked<'_>,
        names: &[String],
        depth: usize,
        found: &mut Evaluation,
    ) -> Result<Answer> {
        let mut result = Answer::No("the updates that it follows do not apply".to_owned());
        for name in names {
            let position = asked.by_name.get(name.as_str()).copied();
            let answer = match position.map(|position| (position, asked.answers.get(&position))) {
                Some((_, Some(None))) => continue,
                Some((_, Some(Some(answer)))) => answer.clone(),
                Some((_, None)) if depth >= MAX_TRIGGER_DEPTH => {
                    Answer::Maybe(format!("updates follow each other more than {MAX_TRIGGER_DEPTH} deep"))
                }
                Some((position, None)) => self.conditions(asked, position, depth + 1, found)?,
                None => {
                    Answer::Maybe(format!("it follows the update {name}, which its package does not have"))
                }
            };
            match answer {
                Answer::Yes => return Ok(Answer::Yes),
                Answer::Maybe(_) => result = answer,
                Answer::No(_) => {}
            }
        }
        Ok(result)
    }

    /// Whether any of the components can be lifted.
    fn components(
        &mut self,
        update: &Update,
        elevate: Elevation,
        components: &[AssemblyIdentity],
        found: &mut Evaluation,
    ) -> Result<Answer> {
        let (mut present, mut reason) = (Vec::new(), None);
        for component in components {
            match self.lift(component, elevate)? {
                Lift::Applies => return Ok(Answer::Yes),
                Lift::Present(version) => present.push((component.name.clone(), version)),
                Lift::Absent => {
                    reason.get_or_insert_with(|| {
                        let language = component.language.as_deref().map(|l| format!(" ({l})"));
                        format!(
                            "{}: the image has no {}{}",
                            update.name,
                            component.name,
                            language.unwrap_or_default()
                        )
                    });
                }
                Lift::TooFar(version) => {
                    reason.get_or_insert_with(|| {
                        format!(
                            "{}: {} {version} of the image is on another branch or level than {}",
                            update.name, component.name, component.version
                        )
                    });
                }
                Lift::Unknown => {
                    return Ok(Answer::Maybe(format!(
                        "{}: how far it may lift {} is said in a word that is not known",
                        update.name, component.name
                    )));
                }
            }
        }
        let Some(reason) = reason else {
            let newest = present.first().map(|(name, version)| format!("{name} {version}"));
            found.present.append(&mut present);
            let what = newest.unwrap_or_else(|| "nothing".to_owned());
            return Ok(Answer::No(format!("{}: the image has {what} already", update.name)));
        };
        Ok(Answer::No(reason))
    }

    fn lift(&mut self, component: &AssemblyIdentity, elevate: Elevation) -> Result<Lift> {
        let Some(winner) = self.state.winner(self.hives, component)? else {
            return Ok(match elevate {
                Elevation::Install => Lift::Applies,
                Elevation::Unknown => Lift::Unknown,
                _ => Lift::Absent,
            });
        };
        let (has, brings) = (winner.version, component.version);
        if has >= brings {
            return Ok(Lift::Present(has));
        }
        let ([a, b, c, _], [d, e, f, _]) = (has.0, brings.0);
        let same_line = (a, b) == (d, e);
        let same_level = same_line && c == f;
        let (from, to) = (Distribution::of(has), Distribution::of(brings));
        let same_distribution = from == to || from == Distribution::Single || to == Distribution::Single;
        let reaches = match elevate {
            Elevation::Install => true,
            Elevation::ServiceLevel => same_line,
            Elevation::Distribution => same_level,
            Elevation::Revision => same_level && same_distribution,
            Elevation::Unknown => return Ok(Lift::Unknown),
        };
        Ok(if reaches { Lift::Applies } else { Lift::TooFar(has) })
    }

    /// Whether the parents of a package are in the image: all elements of them hold, or none.
    fn parents(&self, parents: &[Parent]) -> Answer {
        let answers: Vec<Answer> = parents.iter().map(|parent| self.parent(parent)).collect();
        if answers.iter().all(|answer| *answer == Answer::Yes) {
            return Answer::Yes;
        }
        if answers.contains(&Answer::Yes) {
            // UNVERIFIED: whether Windows wants all parent elements of a package or one of each set. Packages with several
            // of which an image has some would tell.
            return Answer::Maybe(
                "only some of its parents are in the image, and how Windows joins them is not known"
                    .to_owned(),
            );
        }
        let maybe = answers.iter().find(|answer| matches!(answer, Answer::Maybe(_)));
        maybe.or(answers.first()).cloned().unwrap_or(Answer::Yes)
    }

    /// Whether any alternative of a parent element is in the image.
    fn parent(&self, parent: &Parent) -> Answer {
        let mut result = None;
        let alternatives = parent.alternatives.iter().map(|identity| self.alternative(parent, identity));
        for answer in alternatives.chain(parent.nested.iter().map(|nested| self.parent(nested))) {
            match (&answer, &result) {
                (Answer::Yes, _) => return Answer::Yes,
                (Answer::Maybe(_), _) | (Answer::No(_), None) => result = Some(answer),
                // A parent of another version tells more than one that is not there at all.
                (Answer::No(reason), Some(Answer::No(_))) if reason.contains("the image has") => {
                    result = Some(answer);
                }
                (Answer::No(_), Some(_)) => {}
            }
        }
        result.unwrap_or(Answer::Yes)
    }

    fn alternative(&self, parent: &Parent, identity: &AssemblyIdentity) -> Answer {
        let wanted = identity.package_id();
        let is_staged_enough = parent.disposition.eq_ignore_ascii_case("staged");
        let is_there = |package: &InstalledPackage| {
            package.is_installed(self.state)
                || is_staged_enough && package.state == Some(PackageState::Staged)
        };
        let candidates = self.state.packages.iter();
        let mut found = candidates.filter(|p| p.id.is_same_family(&wanted) && is_there(p)).peekable();
        if found.peek().is_none() {
            return Answer::No(format!("{} {} is not installed", wanted.name, wanted.version));
        }
        let mut result = None;
        for package in found {
            let answer = compare_versions(parent, &wanted, package.id.version);
            if answer == Answer::Yes {
                return answer;
            }
            result = Some(answer);
        }
        result.unwrap_or(Answer::Yes)
    }
}

/// Whether a parent of version `has` will do for one that is asked for.
///
/// The default for the fourth number is "the same or newer" (updates.md 7.2); how `serviceCompare` splits the third number
/// is not published, so that what depends on it is a maybe.
fn compare_versions(parent: &Parent, wanted: &PackageId, has: AssemblyVersion) -> Answer {
    let rule = parent.rule;
    if has == wanted.version {
        return Answer::Yes;
    }
    let no = || Answer::No(format!("it is for {} {}, and the image has {has}", wanted.name, wanted.version));
    let maybe = |what: &str| {
        Answer::Maybe(format!(
            "it is for {} {}, the image has {has}, and what {what} means there is not known",
            wanted.name, wanted.version
        ))
    };
    let ([a, b, c, d], [e, f, g, h]) = (has.0, wanted.version.0);
    if (a, b) != (e, f) || c < g {
        return no();
    }
    if c > g {
        return match (rule.build, rule.service) {
            (_, Some(Comparison::GreaterOrEqual)) => maybe("serviceCompare=\"GE\""),
            (Some(Comparison::GreaterOrEqual), _) => Answer::Yes,
            (Some(Comparison::Other), _) | (_, Some(Comparison::Other)) => maybe("its comparison"),
            _ => no(),
        };
    }
    let is_other_distribution = Distribution::of(has) != Distribution::of(wanted.version);
    if rule.distribution == Some(Comparison::Equal) && is_other_distribution {
        return no();
    }
    match rule.revision {
        Some(Comparison::Equal) => no(),
        Some(Comparison::Other) => maybe("its revisionCompare"),
        Some(Comparison::GreaterOrEqual) | None if d >= h => Answer::Yes,
        _ => no(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::cbs::VersionRule;

    #[test]
    fn versions_of_parents_are_compared_field_by_field() {
        use Comparison::{Equal, GreaterOrEqual};
        let wanted = PackageId::parse("P~t~amd64~~6.1.7601.17514").unwrap();
        let ask = |rule: VersionRule, has: &str| {
            let parent = Parent {
                disposition: "detect".into(),
                integrate: String::new(),
                set: None,
                rule,
                alternatives: Vec::new(),
                nested: Vec::new(),
            };
            compare_versions(&parent, &wanted, AssemblyVersion::parse(has).unwrap())
        };
        let none = VersionRule::default();
        let strict = VersionRule { build: Some(Equal), service: Some(Equal), ..none };
        let lenient = VersionRule { build: Some(Equal), service: Some(GreaterOrEqual), ..none };
        assert_eq!(ask(strict, "6.1.7601.17514"), Answer::Yes);
        assert_eq!(ask(strict, "6.1.7601.18000"), Answer::Yes);
        assert!(matches!(ask(strict, "6.1.7600.16385"), Answer::No(_)));
        assert!(matches!(ask(strict, "6.2.7601.17514"), Answer::No(_)));
        assert!(matches!(ask(strict, "6.1.7602.17514"), Answer::No(_)));
        assert!(matches!(ask(lenient, "6.1.7602.1"), Answer::Maybe(_)));
        assert!(matches!(ask(none, "6.1.7601.17000"), Answer::No(_)));
        let exact = VersionRule { revision: Some(Equal), ..none };
        assert!(matches!(ask(exact, "6.1.7601.18000"), Answer::No(_)));
        let general = VersionRule { distribution: Some(Equal), ..none };
        assert!(matches!(ask(general, "6.1.7601.22000"), Answer::No(_)));
    }

    #[test]
    fn distributions_are_told_by_the_fourth_number() {
        let of = |revision| Distribution::of(AssemblyVersion([6, 1, 7601, revision]));
        assert_eq!(
            [of(17514), of(19160), of(20000), of(23999), of(24000), of(65535)],
            [
                Distribution::General,
                Distribution::General,
                Distribution::Limited,
                Distribution::Limited,
                Distribution::Single,
                Distribution::Single
            ]
        );
    }
}
