//! What integrating a package would do, as data; carried out by hand here, the image then has the update.

use wim_core::base::{Architecture, Digest};
use wim_core::formats::hive::RegValue;
use wim_core::image::WimPath;
use wim_core::servicing::hive_set::{HiveName, HiveOptions, HiveSet};
use wim_core::servicing::package_files::{MemoryFiles, PackageFiles as _};
use wim_core::servicing::updates::names::{component_key_form, deployment_key_form, family_key_form};
use wim_core::servicing::updates::{
    Branch, ComponentClass, PlannedAction, UpdatePackage, UpdatePlan, judge, plan,
};

use crate::driver_image::MemoryImage;
use crate::updates_fixture::{
    SP1, TOKEN, TestUpdate, file, identity, install, judge_one, seven_sp1, state, use_component,
};

fn image() -> MemoryImage {
    let mut image = seven_sp1(Architecture::Amd64);
    let nt = "Microsoft\\Windows NT\\CurrentVersion";
    image.edit(&[(HiveName::Software, nt, "SystemRoot", RegValue::sz("C:\\Windows"))]);
    image
}

fn try_plan(image: &MemoryImage, files: &MemoryFiles) -> wim_core::base::Result<UpdatePlan> {
    let package = UpdatePackage::load(files, Branch::General).unwrap();
    let state = state(image);
    let mut hives = HiveSet::new(image, HiveOptions::default());
    let judgement = judge(&package, &state, &mut hives).unwrap();
    plan(&package, &judgement, &state, image, &mut hives)
}

fn plan_of(image: &MemoryImage, update: &TestUpdate) -> UpdatePlan {
    try_plan(image, &update.files()).unwrap()
}

/// Does what a plan says.
fn carry_out(image: &mut MemoryImage, files: &MemoryFiles, plan: &UpdatePlan) {
    for planned in &plan.files {
        let source =
            files.list().iter().find(|file| file.path.eq_ignore_ascii_case(&planned.source)).unwrap();
        image.put(&planned.path.to_string(), files.read(source, u64::MAX).unwrap());
    }
    for link in &plan.links {
        let bytes = image.bytes(&link.target.to_string()).unwrap();
        image.put(&link.path.to_string(), bytes);
    }
    let changes = {
        let mut hives = HiveSet::new(image, HiveOptions::default());
        for edit in plan.registry.iter().chain(&plan.records) {
            match &edit.action {
                PlannedAction::CreateKey => hives.create_key(edit.hive, &edit.key, "plan").unwrap(),
                PlannedAction::DeleteKey => hives.delete_key(edit.hive, &edit.key, "plan").unwrap(),
                PlannedAction::SetValue(name, data) => {
                    hives.set(edit.hive, &edit.key, name, data.clone(), "plan").unwrap();
                }
            }
        }
        hives.finish().unwrap().0
    };
    image.apply(&changes);
}

fn with_registry(keys: &str) -> TestUpdate {
    let mut update = TestUpdate::new(1_111_111);
    update.components[0].2 += &format!("<registryKeys>{keys}</registryKeys>");
    update
}

#[test]
fn a_plan_that_is_carried_out_leaves_an_image_that_has_the_update() {
    let (mut image, mut update) = (image(), TestUpdate::new(1_111_111));
    update.components.push(("Microsoft-Windows-StorPort", "6.1.7601.18969", file("storport.sys", b"port")));
    let index = "DerivedData\\VersionedIndex\\6.1.7601.17514 (win7sp1_rtm.101119-1850)";
    image.edit(&[(HiveName::Components, index, "x", RegValue::dword(1))]);
    image.put("\\Windows\\system32\\TEST.DLL", *b"older");
    let files = update.files();
    let plan = plan_of(&image, &update);

    let classes: Vec<_> = plan.components.iter().map(|c| (c.class, c.replaces.as_deref())).collect();
    assert_eq!(
        classes,
        [
            (ComponentClass::NewWinner, None),
            (ComponentClass::NewWinner, None),
            (ComponentClass::NewWinner, Some(SP1))
        ]
    );
    // Spelt as the image spells it.
    let link = plan.links.iter().find(|link| link.replaces).unwrap();
    assert_eq!(link.path.to_string(), "\\Windows\\System32\\TEST.DLL");
    assert_eq!(link.security.as_deref(), Some("O:BAD:(A;;FA;;;BA)"));
    assert!(plan.files.iter().all(|file| file.in_package));

    carry_out(&mut image, &files, &plan);
    assert_eq!(image.bytes("\\Windows\\System32\\test.dll").unwrap()[..], *b"test");
    let judgement = judge_one(&image, &files);
    assert_eq!(judgement.outcome.label(), "already there", "{:?}", judgement.outcome);
    let after = state(&image);
    assert!(after.findings.is_empty(), "{:?}", after.findings);
    let component = identity("Test-Component", "6.1.7601.18000", "amd64");
    let mut hives = HiveSet::new(&image, HiveOptions::default());
    let winner = after.winner(&mut hives, &component).unwrap().unwrap();
    assert!(winner.is_recorded && winner.version == component.version);
    assert!(hives.subkeys(HiveName::Components, "DerivedData\\VersionedIndex").unwrap().is_empty());

    // The rules of the store: identity, digest of the manifest, marks of deployments, catalogs by their digests.
    let form = component_key_form(&component).unwrap();
    let key = format!("DerivedData\\Components\\{form}");
    let value = |name: &str| image.value(HiveName::Components, &key, name).unwrap().data;
    assert_eq!(value("identity"), component.to_string().as_bytes());
    let manifest = image.bytes(&format!("\\Windows\\WinSxS\\Manifests\\{form}.manifest")).unwrap();
    assert!(Digest::Sha256(value("S256H").try_into().unwrap()).matches(&manifest));
    assert_eq!(value("f!test.dll"), 1_u32.to_le_bytes());
    let deployment = identity(&format!("{:032x}", 1_111_111), "6.1.7601.18000", "amd64");
    let deployment_form = deployment_key_form(&deployment).unwrap();
    assert!(value(&format!("c!{deployment_form}")).is_empty());
    let key = format!("CanonicalData\\Deployments\\{deployment_form}");
    let thumbprint = image.value(HiveName::Components, &key, "CatalogThumbprint").unwrap().as_str().unwrap();
    assert!(image.bytes(&format!("\\Windows\\WinSxS\\Catalogs\\{thumbprint}.cat")).is_some());
    let marks = image.registry(HiveName::Components);
    let marks: Vec<_> =
        marks.keys().filter(|(k, name)| *k == key && name.contains("!CBS_package_1_for")).collect();
    assert_eq!(marks.len(), 3, "{marks:?}");

    // A second plan is refused, since there is nothing to do.
    assert!(try_plan(&image, &files).unwrap_err().to_string().contains("already there"));
}

#[test]
fn registry_values_of_components_are_planned_with_what_was_there() {
    let keys = "<registryKey keyName=\"HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\test\"><registryValue \
        name=\"Path\" valueType=\"REG_SZ\" value=\"$(runtime.system32)\\test.dll\"/><registryValue name=\"Old\" \
        valueType=\"REG_DWORD\" value=\"0x00000002\"/></registryKey><registryKey \
        keyName=\"HKEY_CLASSES_ROOT\\CLSID\\{1}\"/>";
    let mut image = image();
    image.edit(&[(HiveName::System, "ControlSet001\\Services\\test", "Old", RegValue::dword(1))]);
    let plan = plan_of(&image, &with_registry(keys));
    let edits: Vec<String> = plan.registry.iter().map(ToString::to_string).collect();
    assert_eq!(
        edits,
        [
            "SYSTEM\\ControlSet001\\Services\\test, Path = C:\\Windows\\System32\\test.dll",
            "SYSTEM\\ControlSet001\\Services\\test, Old = 0x2",
            "SOFTWARE\\Classes\\CLSID\\{1} (key)",
        ]
    );
    assert_eq!(plan.registry[1].old, Some(RegValue::dword(1)));
    assert!(!plan.notes.is_empty(), "there is no sibling to copy records from, and that is said");
}

#[test]
fn what_is_not_certain_is_refused_by_name() {
    let value = |text: &str| {
        with_registry(&format!(
            "<registryKey keyName=\"HKEY_LOCAL_MACHINE\\SOFTWARE\\X\">{text}</registryKey>"
        ))
    };
    let mut with_macro = TestUpdate::new(1_111_111);
    with_macro.components[0].2 =
        with_macro.components[0].2.replace("runtime.system32", "runtime.userProfile");
    let mut leading_out = TestUpdate::new(1_111_111);
    leading_out.components[0].2 = leading_out.components[0].2.replace(
        "destinationPath=\"$(runtime.system32)\\\"",
        "destinationPath=\"$(runtime.system32)\\..\\..\\..\\x\"",
    );
    for (update, word) in [
        (with_macro, "$(runtime.userProfile)"),
        (leading_out, "\"..\""),
        (value("<registryValue name=\"v\" valueType=\"REG_LINK\" value=\"\"/>"), "REG_LINK"),
        (value("<registryValue name=\"v\" valueType=\"REG_DWORD\" value=\"many\"/>"), "many"),
        (with_registry("<registryKey keyName=\"HKEY_CURRENT_USER\\X\"/>"), "no current user"),
        (with_registry("<registryKey keyName=\"HKEY_LOCAL_MACHINE\\HARDWARE\\X\"/>"), "no hive"),
    ] {
        let error = try_plan(&image(), &update.files()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(word) && text.contains("amd64_test-component_"), "{word}: {text}");
        assert!(error.remedy_text().is_some(), "{text}");
    }
    // Merging is work for an installer, which the judgement says already.
    let merging =
        value("<registryValue name=\"v\" valueType=\"REG_SZ\" value=\"\" operationHint=\"append\"/>");
    assert_eq!(judge_one(&image(), &merging.files()).outcome.label(), "needs an installer");
}

#[test]
fn records_are_copied_from_a_sibling_of_the_image() {
    let mut image = image();
    let sibling = format!("Package_for_KB2222222~{TOKEN}~amd64~~6.1.1.0");
    install(&mut image, &sibling, 0x70);
    let key = format!("Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\Packages\\{sibling}");
    let reference =
        [&18_u32.to_le_bytes()[..], &1_u32.to_le_bytes()[..], b"P~t~x86~~1.0.0.0.u", b"8"].concat();
    image.edit(&[
        (HiveName::Software, &format!("{key}\\Owners"), &sibling, RegValue::dword(0x20070)),
        (HiveName::Software, &key, "Trusted", RegValue::dword(1)),
        (
            HiveName::Components,
            "CanonicalData\\Deployments\\x",
            "i!CBS_package_1_for_kb2222222~x",
            RegValue::binary(reference),
        ),
    ]);
    let update = TestUpdate::new(1_111_111);
    let plan = plan_of(&image, &update);
    let text: Vec<String> = plan.records.iter().map(ToString::to_string).collect();
    let top = update.top();
    assert!(text.iter().any(|line| line.contains(&format!("{top}, Trusted = 0x1"))), "{text:#?}");
    assert!(text.iter().any(|line| line.contains(&format!("{top}\\Owners, {top} = 0x20070"))), "{text:#?}");
    let is_reference = |line: &&String| line.contains("i!CBS_");
    assert!(text.iter().find(is_reference).unwrap().ends_with("38"), "the data \"8\" was copied: {text:#?}");
}

#[test]
fn records_of_components_are_compared_with_those_of_the_image() {
    let mut image = image();
    let mut update = TestUpdate::new(1_111_111);
    update.components.push((
        "Microsoft-Windows-StorPort",
        "6.1.7601.18969",
        file("storport.sys", b"port") + &file("new.sys", b"new"),
    ));
    let before = component_key_form(&identity("Microsoft-Windows-StorPort", SP1, "amd64")).unwrap();
    let form =
        component_key_form(&identity("Microsoft-Windows-StorPort", "6.1.7601.18969", "amd64")).unwrap();
    let deployment = identity(&format!("{:032x}", 1_111_111), "6.1.7601.18000", "amd64");
    let mark = format!("c!{}", deployment_key_form(&deployment).unwrap());
    let key = |form: &str| format!("DerivedData\\Components\\{form}");
    image.edit(&[(HiveName::Components, &key(&before), "f!storport.sys", RegValue::dword(0x201))]);
    let planned = |plan: &UpdatePlan, name: &str| {
        let is_it = |action: &PlannedAction| matches!(action, PlannedAction::SetValue(n, _) if n == name);
        plan.records.iter().find(|edit| edit.key == key(&form) && is_it(&edit.action)).cloned()
    };
    let plan = plan_of(&image, &update);
    let data = |name: &str| match planned(&plan, name).unwrap().action {
        PlannedAction::SetValue(_, data) => data.as_dword(),
        _ => None,
    };
    // Flags that nobody has explained are those of the version before; a file that it does not have is a plain one.
    assert_eq!((data("f!storport.sys"), data("f!new.sys")), (Some(0x201), Some(1)));
    assert_eq!(planned(&plan, &mark).unwrap().old, None);

    // The component is in the store already, with a mark that is no mark; then with the right one.
    image.edit(&[(HiveName::Components, &key(&form), &mark, RegValue::dword(7))]);
    assert_eq!(planned(&plan_of(&image, &update), &mark).unwrap().old, Some(RegValue::dword(7)));
    image.edit(&[(HiveName::Components, &key(&form), &mark, RegValue::binary([]))]);
    assert!(planned(&plan_of(&image, &update), &mark).is_none());
}

#[test]
fn an_older_component_goes_into_the_store_alone() {
    let mut image = image();
    use_component(&mut image, &identity("Other", "6.1.7601.19000", "amd64"));
    let mut update = TestUpdate::new(1_111_111);
    update.components.push(("Other", "6.1.7601.18000", file("other.dll", b"other")));
    let plan = plan_of(&image, &update);
    assert_eq!(plan.components[2].class, ComponentClass::StoreOnly);
    assert!(plan.files.iter().any(|file| file.path.to_string().ends_with("\\other.dll")));
    let other = WimPath::parse("\\Windows\\System32\\other.dll").unwrap();
    assert!(!plan.links.iter().any(|link| link.path == other));
    let family = family_key_form(&identity("Other", "6.1.7601.18000", "amd64"));
    assert!(!plan.records.iter().any(|edit| edit.key.contains(&family)));
}
