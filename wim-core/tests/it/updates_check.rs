//! Every outcome that a package can have for an image, one test each, and the order of several.

use wim_core::base::Architecture;
use wim_core::formats::hive::RegValue;
use wim_core::servicing::hive_set::HiveName;
use wim_core::servicing::package_files::MemoryFiles;
use wim_core::servicing::updates::{Branch, Kb, Outcome, PackageState};

use crate::driver_image::{MemoryImage, windows};
use crate::updates_fixture::{
    CLIENT, SP1, TOKEN, TestUpdate, check_all, file, identity, install, judge_branch, judge_one, seven_sp1,
    state, use_component,
};

const CBS: &str = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing";

fn image() -> MemoryImage {
    seven_sp1(Architecture::Amd64)
}

fn label(image: &MemoryImage, update: &TestUpdate) -> (&'static str, String) {
    let outcome = judge_one(image, &update.files()).outcome;
    (outcome.label(), outcome.reason())
}

#[test]
fn the_state_of_an_image_is_read_from_its_records() {
    let mut image = image();
    install(&mut image, &format!("Package_for_KB1234567~{TOKEN}~amd64~~6.1.1.0"), 0x50);
    let state = state(&image);
    assert_eq!(state.stack.unwrap().to_string(), SP1);
    assert_eq!((state.packages.len(), state.languages()), (4, vec!["en-US".to_owned()]));
    assert!(
        state.pending.is_empty() && state.findings.is_empty(),
        "{:?} {:?}",
        state.pending,
        state.findings
    );
    assert!(state.has_kb(Kb(1_234_567)) && !state.has_kb(Kb(7_654_321)));
    let storport = identity("Microsoft-Windows-StorPort", "6.1.7601.1", "amd64");
    assert_eq!(state.versions_in_store(&storport).len(), 1);
    // A key form that differs in its hash alone is another component.
    let other = identity("Microsoft-Windows-StorPort", "6.1.7601.1", "x86");
    assert!(state.versions_in_store(&other).is_empty());
    assert_eq!(PackageState::from_number(0x70), PackageState::Installed);
}

#[test]
fn records_that_disagree_are_told() {
    let mut image = image();
    image.put(&format!("\\Windows\\servicing\\Packages\\Lost~{TOKEN}~amd64~~1.0.0.0.mum"), *b"");
    let key = format!("{CBS}\\Packages\\Gone~{TOKEN}~amd64~~1.0.0.0");
    image.edit(&[(HiveName::Software, &key, "CurrentState", RegValue::dword(0x70))]);
    let findings = state(&image).findings.join("\n");
    assert!(findings.contains("Gone~") && findings.contains("its .mum file is not there"), "{findings}");
    assert!(findings.contains("Lost~") && findings.contains("CBS does not know it"), "{findings}");
}

#[test]
fn applicable() {
    assert_eq!(label(&image(), &TestUpdate::new(1_111_111)), ("applicable", String::new()));
}

#[test]
fn already_there() {
    let (mut image, update) = (image(), TestUpdate::new(1_111_111));
    install(&mut image, &update.top(), 0x70);
    let (outcome, why) = label(&image, &update);
    assert_eq!(outcome, "already there");
    assert!(why.contains("Package_for_KB1111111") && why.contains("installed"), "{why}");
}

#[test]
fn staged_only_is_not_there() {
    let (mut image, update) = (image(), TestUpdate::new(1_111_111));
    install(&mut image, &update.top(), 0x40);
    assert_eq!(label(&image, &update).0, "applicable");
}

#[test]
fn superseded_by_a_newer_version_of_the_package() {
    let (mut image, update) = (image(), TestUpdate::new(1_111_111));
    install(&mut image, &update.top().replace("6.1.1.0", "6.1.1.7"), 0x70);
    let (outcome, why) = label(&image, &update);
    assert!(outcome == "superseded" && why.contains("6.1.1.7"), "{outcome} {why}");
}

#[test]
fn superseded_by_components_that_are_as_new() {
    let mut image = image();
    use_component(&mut image, &identity("Test-Component", "6.1.7601.18000", "amd64"));
    let (outcome, why) = label(&image, &TestUpdate::new(1_111_111));
    assert!(outcome == "superseded" && why.contains("Test-Component 6.1.7601.18000"), "{outcome} {why}");
}

#[test]
fn superseded_as_the_table_and_the_image_record_it() {
    let mut image = image();
    install(&mut image, &format!("Package_for_KB4490628~{TOKEN}~amd64~~6.1.1.2"), 0x70);
    let (outcome, why) = label(&image, &TestUpdate::new(3_020_369));
    assert!(outcome == "superseded" && why.contains("KB4490628"), "{outcome} {why}");
    let update = TestUpdate::new(1_111_111);
    install(&mut image, &update.top(), 0x50);
    assert_eq!(label(&image, &update).0, "superseded");
}

#[test]
fn not_applicable_to_another_architecture() {
    let update = TestUpdate { architecture: "x86", ..TestUpdate::new(1_111_111) };
    let (outcome, why) = label(&image(), &update);
    assert_eq!((outcome, why.as_str()), ("not applicable", "it is for x86, and the image is amd64"));
}

#[test]
fn not_applicable_without_the_service_pack() {
    let mut image = windows(Architecture::Amd64, (6, 1, 7600));
    install(&mut image, &format!("{CLIENT}~{TOKEN}~amd64~~6.1.7600.16385"), 0x70);
    let (outcome, why) = label(&image, &TestUpdate::new(1_111_111));
    assert_eq!(outcome, "not applicable");
    assert!(why.contains("6.1.7601.17514, and the image has 6.1.7600.16385"), "{why}");
}

#[test]
fn not_applicable_without_its_parent() {
    let update = TestUpdate { parent: ("Other-Package", SP1), ..TestUpdate::new(1_111_111) };
    let (outcome, why) = label(&image(), &update);
    assert!(outcome == "not applicable" && why.contains("Other-Package"), "{outcome} {why}");
}

#[test]
fn not_applicable_where_it_updates_what_is_not_there() {
    let update = TestUpdate { elevate: "revision", ..TestUpdate::new(1_111_111) };
    let (outcome, why) = label(&image(), &update);
    assert!(
        outcome == "not applicable" && why.contains("the image has no Test-Component"),
        "{outcome} {why}"
    );
}

#[test]
fn prerequisite_missing_names_the_article() {
    let (outcome, why) = label(&image(), &TestUpdate::new(3_125_574));
    assert!(outcome == "prerequisite missing" && why.starts_with("KB3020369"), "{outcome} {why}");
    // Any later servicing stack will do, known by its article or by its version.
    let mut by_kb = image();
    install(&mut by_kb, &format!("Package_for_KB4490628~{TOKEN}~amd64~~6.1.1.2"), 0x70);
    assert_eq!(label(&by_kb, &TestUpdate::new(3_125_574)).0, "applicable");
    let mut by_version = image();
    by_version.put("\\Windows\\servicing\\Version\\6.1.7601.24383\\amd64_installed", *b"");
    assert_eq!(label(&by_version, &TestUpdate::new(3_125_574)).0, "applicable");
}

#[test]
fn prerequisite_missing_when_the_package_asks_for_a_newer_stack() {
    let update = TestUpdate { stack: "6.1.7601.23505", ..TestUpdate::new(1_111_111) };
    let (outcome, why) = label(&image(), &update);
    assert_eq!(outcome, "prerequisite missing");
    assert!(why.contains("KB4490628") && why.contains("6.1.7601.23505 or later; the image has"), "{why}");
}

#[test]
fn all_prerequisites_of_the_last_rollup_are_named() {
    let (outcome, why) = label(&image(), &TestUpdate::new(4_534_310));
    assert_eq!(outcome, "prerequisite missing");
    for kb in ["KB4490628", "KB4474419", "KB4536952"] {
        assert!(why.contains(kb), "{why}");
    }
}

#[test]
fn needs_an_installer_and_says_which() {
    let mut update = TestUpdate::new(1_111_111);
    update.components[0].2 += "<instrumentation><events/></instrumentation>";
    update.components.push((
        "Test-Service",
        "6.1.7601.18000",
        "<memberships><categoryMembership><id typeName=\"Service\"/><categoryInstance/></categoryMembership>\
         <categoryMembership><id typeName=\"BootRecovery\"/></categoryMembership></memberships><rescache/>"
            .to_owned(),
    ));
    let Outcome::NeedsInstaller { installers } = judge_one(&image(), &update.files()).outcome else {
        panic!("it needs installers");
    };
    let words: Vec<&str> = installers.iter().map(|need| need.installer.as_str()).collect();
    assert_eq!(words, ["instrumentation (event providers and counters)", "a service"]);
    assert!(installers[0].component.starts_with("amd64_test-component_"), "{installers:?}");
}

#[test]
fn an_installer_of_a_component_that_is_there_already_does_not_matter() {
    let mut image = image();
    use_component(&mut image, &identity("Test-Service", "6.1.7601.19000", "amd64"));
    let mut update = TestUpdate::new(1_111_111);
    update.components.push(("Test-Service", "6.1.7601.18000", "<mof name=\"x\"/>".to_owned()));
    assert_eq!(label(&image, &update).0, "applicable");
}

#[test]
fn pending_image_in_all_its_forms() {
    let software = |key: &str, value: &str, data: RegValue| {
        let mut image = image();
        image.edit(&[(HiveName::Software, &format!("{CBS}{key}"), value, data)]);
        image
    };
    let mut with_file = image();
    with_file.put("\\Windows\\WinSxS\\pending.xml", *b"<PendingTransaction/>");
    let mut in_store = image();
    in_store.edit(&[(HiveName::Components, "", "PendingXmlIdentifier", RegValue::binary([1, 2]))]);
    let mut half_done = image();
    install(&mut half_done, &format!("Other~{TOKEN}~amd64~~1.0.0.0"), 0x60);
    for (image, word) in [
        (software("\\RebootPending", "x", RegValue::dword(1)), "RebootPending"),
        (software("\\PackagesPending", "x", RegValue::dword(1)), "PackagesPending"),
        (software("\\SessionsPending", "Exclusive", RegValue::dword(3)), "SessionsPending"),
        (software("\\SessionsPending\\1_2", "x", RegValue::dword(0)), "SessionsPending"),
        (software("", "Unserviceable", RegValue::dword(1)), "Unserviceable"),
        (with_file, "pending.xml"),
        (in_store, "COMPONENTS"),
        (half_done, "installation pending"),
    ] {
        let (outcome, why) = label(&image, &TestUpdate::new(1_111_111));
        assert!(outcome == "pending image" && why.contains(word), "{word}: {outcome} {why}");
    }
}

#[test]
fn unknown_says_why() {
    let update = TestUpdate { condition: "<detectNone/>", ..TestUpdate::new(1_111_111) };
    let (outcome, why) = label(&image(), &update);
    assert!(outcome == "unknown" && why.contains("<detectNone>"), "{outcome} {why}");
}

#[test]
fn an_image_without_records_is_not_judged() {
    let image = windows(Architecture::Amd64, (6, 1, 7601));
    let (outcome, why) = label(&image, &TestUpdate::new(1_111_111));
    assert!(outcome == "unknown" && why.contains("servicing\\Packages"), "{outcome} {why}");
}

#[test]
fn an_extended_security_update_is_not_forced() {
    let mut image = image();
    for kb in [4_490_628, 4_474_419] {
        install(&mut image, &format!("Package_for_KB{kb}~{TOKEN}~amd64~~6.1.1.2"), 0x70);
    }
    let update = TestUpdate { created: "2021-03-01T00:00:00Z", ..TestUpdate::new(5_000_841) };
    let (outcome, why) = label(&image, &update);
    assert!(outcome == "unknown" && why.contains("Extended Security Updates"), "{outcome} {why}");
}

/// The shape of KB3087873: the limited branch follows a limited winner, or is forced by another top package.
#[test]
fn branches_follow_the_image_unless_one_is_asked_for() {
    let storport = |version| {
        let mut image = image();
        use_component(&mut image, &identity("Microsoft-Windows-StorPort", version, "amd64"));
        image
    };
    let update = |version, elevate| TestUpdate {
        elevate,
        components: vec![("Microsoft-Windows-StorPort", version, file("storport.sys", b"x"))],
        ..TestUpdate::new(1_111_111)
    };
    let general = update("6.1.7601.18969", "revision");
    let limited = update("6.1.7601.23172", "revision");
    assert_eq!(label(&storport(SP1), &general).0, "applicable");
    assert_eq!(label(&storport(SP1), &limited).0, "not applicable");
    assert_eq!(label(&storport("6.1.7601.22000"), &limited).0, "applicable");
    assert_eq!(label(&storport("6.1.7601.22000"), &general).0, "superseded");
    assert_eq!(label(&storport("6.1.7600.16385"), &general).0, "not applicable");
    let forced = update("6.1.7601.23172", "distribution");
    assert_eq!(label(&storport(SP1), &forced).0, "applicable");
    assert_eq!(label(&storport("6.1.7600.16385"), &update("6.1.7601.18969", "serviceLevel")).0, "applicable");
    // Without a package for it, the one branch that there is is taken, and that is said.
    let judgement = judge_branch(&storport(SP1), &general.files(), Branch::Limited);
    assert_eq!(judgement.outcome, Outcome::Applicable);
    assert!(judgement.notes.iter().any(|note| note.contains("update-bf.mum")), "{:?}", judgement.notes);
}

#[test]
fn updates_that_trigger_each_other_in_circles_come_to_an_end() {
    let condition =
        "<detectUpdate><update name=\"1111111-1_neutral_GDR\"/><update name=\"gone\"/></detectUpdate>";
    let update = TestUpdate { condition, ..TestUpdate::new(1_111_111) };
    assert_eq!(label(&image(), &update).0, "unknown");
}

fn kbs(files: &[MemoryFiles], image: &MemoryImage) -> Vec<(String, &'static str, Option<usize>)> {
    use wim_core::servicing::package_files::PackageFiles as _;
    let checked = check_all(image, files);
    checked
        .iter()
        .map(|one| (files[one.package].name().to_owned(), one.judgement.outcome.label(), one.order))
        .collect()
}

#[test]
fn the_nvme_set_is_ordered_with_its_prerequisites() {
    let made = |kb: u32, created| TestUpdate { created, ..TestUpdate::new(kb) }.files();
    let files = [
        made(3_087_873, "2015-08-14T17:41:44Z"),
        made(2_999_226, "2015-07-21T10:16:47Z"),
        made(4_534_310, "2020-01-09T00:00:00Z"),
        made(2_990_941, "2014-09-01T00:00:00Z"),
        made(4_474_419, "2019-09-01T00:00:00Z"),
        made(3_125_574, "2016-04-01T00:00:00Z"),
        made(4_536_952, "2020-01-01T00:00:00Z"),
        made(4_490_628, "2019-03-01T00:00:00Z"),
    ];
    let order: Vec<String> = kbs(&files, &image())
        .into_iter()
        .map(|(name, outcome, order)| format!("{} {name} {outcome}", order.unwrap_or(0)))
        .collect();
    assert_eq!(
        order,
        [
            "1 KB4490628.cab applicable",
            "2 KB4474419.cab applicable",
            "3 KB3125574.cab applicable",
            "4 KB2990941.cab applicable",
            "5 KB3087873.cab applicable",
            "6 KB2999226.cab applicable",
            "7 KB4536952.cab applicable",
            "8 KB4534310.cab applicable",
        ]
    );
    let checked = check_all(&image(), &files);
    assert_eq!(checked[4].after, [Kb(2_990_941)]);
    assert_eq!(checked[7].after, [Kb(4_474_419), Kb(4_490_628), Kb(4_536_952)]);
}

#[test]
fn what_is_given_is_not_missing_and_the_rest_is_named() {
    let files = [TestUpdate::new(4_534_310).files(), TestUpdate::new(4_474_419).files()];
    let checked = check_all(&image(), &files);
    assert_eq!((checked[0].package, checked[0].order), (1, Some(1)));
    let why = checked[1].judgement.outcome.reason();
    assert!(why.contains("KB4490628") && why.contains("KB4536952") && !why.contains("KB4474419"), "{why}");
    // The correction of a driver that is not there goes in, with a word about it.
    let checked = check_all(&image(), &[TestUpdate::new(3_087_873).files()]);
    assert_eq!(checked[0].order, Some(1));
    assert!(checked[0].judgement.notes[0].contains("KB2990941 is not there"), "{:?}", checked[0].judgement);
}

#[test]
fn of_several_versions_the_newest_wins_and_that_is_said() {
    let files = [
        TestUpdate { version: "6.1.1.1", ..TestUpdate::new(1_111_111) }.files(),
        TestUpdate { version: "6.1.1.3", ..TestUpdate::new(1_111_111) }.files(),
        TestUpdate { version: "6.1.1.3", ..TestUpdate::new(1_111_111) }.files(),
        TestUpdate { architecture: "x86", ..TestUpdate::new(1_111_111) }.files(),
        TestUpdate::new(3_020_369).files(),
        TestUpdate::new(4_490_628).files(),
    ];
    let checked = check_all(&image(), &files);
    let outcome = |package: usize| {
        let one = checked.iter().find(|one| one.package == package).unwrap();
        (one.judgement.outcome.label(), one.judgement.outcome.reason())
    };
    assert_eq!(outcome(1), ("applicable", String::new()));
    assert!(outcome(0).0 == "superseded" && outcome(0).1.contains("version 6.1.1.3"), "{:?}", outcome(0));
    assert!(outcome(2).0 == "superseded" && outcome(2).1.contains("the same package"), "{:?}", outcome(2));
    assert_eq!(outcome(3).0, "not applicable");
    assert!(outcome(4).0 == "superseded" && outcome(4).1.contains("KB4490628"), "{:?}", outcome(4));
}

#[test]
fn a_newer_version_that_does_not_apply_takes_nobodys_place() {
    let of =
        |version, parent, stack| TestUpdate { version, parent, stack, ..TestUpdate::new(1_111_111) }.files();
    let fits = (CLIENT, SP1);
    let files = [
        of("6.1.1.1", fits, "6.0.0.0"),
        // For something that the image does not have, and for a stack that it does not have.
        of("6.1.1.4", ("Other-Package", SP1), "6.0.0.0"),
        of("6.1.1.3", fits, "6.1.7601.23505"),
        of("6.1.1.2", fits, "6.0.0.0"),
    ];
    let lines = |files: &[MemoryFiles]| {
        let mut checked = check_all(&image(), files);
        checked.sort_by_key(|one| one.package);
        checked
    };
    let checked = lines(&files);
    let labels: Vec<&str> = checked.iter().map(|one| one.judgement.outcome.label()).collect();
    assert_eq!(labels, ["superseded", "not applicable", "prerequisite missing", "applicable"]);
    assert!(checked[0].judgement.outcome.reason().contains("version 6.1.1.2"), "{:?}", checked[0].judgement);
    let notes = checked[3].judgement.notes.join("\n");
    assert!(notes.contains("6.1.1.4, which is not taken: not applicable"), "{notes}");
    assert!(notes.contains("6.1.1.3, which is not taken: prerequisite missing"), "{notes}");
    // With the stack at hand the newer one goes.
    let [first, _, third, _] = files;
    let with_stack = [first, third, TestUpdate::new(4_490_628).files()];
    let labels: Vec<&str> = lines(&with_stack).iter().map(|one| one.judgement.outcome.label()).collect();
    assert_eq!(labels, ["superseded", "applicable", "applicable"]);
    // Of two that both lack it, the newer one is the one to get it for.
    let [first, third, _] = with_stack;
    let old = TestUpdate { stack: "6.1.7601.23505", ..TestUpdate::new(1_111_111) }.files();
    let labels: Vec<&str> = lines(&[old, third]).iter().map(|one| one.judgement.outcome.label()).collect();
    assert_eq!(labels, ["superseded", "prerequisite missing"]);
    drop(first);
}
