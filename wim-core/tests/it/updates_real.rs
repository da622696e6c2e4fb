//! Real updates of Windows 7 and a Windows RE: their names recomputed, their parts counted, judged against a made image.

use std::path::Path;

use wim_core::base::{Architecture, Cancel, Context, Digest, Silent};
use wim_core::formats::hive::RegValue;
use wim_core::jobs::archive::Scratch;
use wim_core::jobs::packages;
use wim_core::servicing::hive_set::{HiveName, HiveOptions, HiveSet};
use wim_core::servicing::updates::{
    Branch, Judgement, Outcome, UpdatePackage, UpdatePlan, check, judge, plan,
};

use crate::driver_image::MemoryImage;
use crate::samples::real_data;
use crate::updates_fixture::{TOKEN, identity, install, seven_sp1, state, use_component};

const UCRT: &str = "updates/Windows6.1-KB2999226-x64.msu";
const STORPORT: &str = "updates/Windows6.1-KB3087873-v2-x64.msu";
const WINRE: &str = "updates/Windows6.1-KB2883457-amd64.cab";

fn open(path: &Path) -> packages::OpenPackage {
    let cancel = Cancel::new();
    {
        let cx = Context::new(&Silent, &cancel);
        packages::open(&cx, path, &Scratch::new(&cx, &std::env::temp_dir())).unwrap()
    }
}

/// A Windows 7 SP1 amd64, as far as these packages look at it.
fn image() -> MemoryImage {
    let mut image = seven_sp1(Architecture::Amd64);
    let nt = "Microsoft\\Windows NT\\CurrentVersion";
    image.edit(&[(HiveName::Software, nt, "SystemRoot", RegValue::sz("C:\\Windows"))]);
    // Server editions and embedded ones have others; a client has this parent of every KB3087873 package for en-US.
    install(
        &mut image,
        &format!("Microsoft-Windows-EmbeddedCore-Package~{TOKEN}~amd64~~6.1.7601.17514"),
        0x40,
    );
    use_component(&mut image, &identity("Microsoft-Windows-IoLoggingDll", "6.1.7600.16385", "amd64"));
    image
}

fn judged(image: &MemoryImage, path: &Path, branch: Branch) -> (Judgement, Option<UpdatePlan>) {
    let open = open(path);
    let package = UpdatePackage::load(&open.files, branch).unwrap();
    let state = state(image);
    let mut hives = HiveSet::new(image, HiveOptions::default());
    let judgement = judge(&package, &state, &mut hives).unwrap();
    let plan = match judgement.outcome {
        Outcome::Applicable => Some(plan(&package, &judgement, &state, image, &mut hives).unwrap()),
        _ => None,
    };
    (judgement, plan)
}

#[test]
fn every_name_is_that_of_its_identity() {
    for (name, kb, mums, manifests) in
        [(UCRT, 2_999_226, 6, 10), (STORPORT, 3_087_873, 168, 254), (WINRE, 2_883_457, 6, 4)]
    {
        let Some(path) = real_data(name) else { return };
        let open = open(&path);
        let package = UpdatePackage::load(&open.files, Branch::General).unwrap();
        assert_eq!(package.kb().unwrap().0, kb);
        assert_eq!(package.packages().len(), mums, "{name}");
        for entry in package.packages().iter().filter(|entry| !entry.path.starts_with("update")) {
            assert_eq!(entry.path, format!("{}.mum", entry.id).to_lowercase());
        }
        let names: Vec<String> = package.manifest_names().map(str::to_owned).collect();
        assert_eq!(names.len(), manifests, "{name}");
        for form in names {
            // Reading it compares the name with the one that its identity gives.
            let found = package.manifest(&form).unwrap().unwrap();
            assert!(found.manifest.files.iter().all(|file| matches!(file.digests[..], [Digest::Sha256(_)])));
        }
    }
}

#[test]
fn the_universal_c_runtime_applies_and_is_planned_whole() {
    let Some(path) = real_data(UCRT) else { return };
    let (judgement, plan) = judged(&image(), &path, Branch::General);
    assert_eq!(judgement.outcome, Outcome::Applicable);
    let applied: Vec<&str> = judgement.applied.iter().map(|update| update.update.as_str()).collect();
    assert_eq!(applied, ["2999226-2_neutral_GDR"]);
    let plan = plan.unwrap();
    assert_eq!(plan.components.len(), 5, "a deployment and four components");
    assert!(plan.components.iter().all(|c| c.key_form.contains("_6.1.7601.18937_")));
    let (mut native, mut wow) = (0, 0);
    for link in &plan.links {
        let folder = link.path.parent().unwrap().to_string();
        match folder.as_str() {
            "\\Windows\\System32" => native += 1,
            "\\Windows\\SysWOW64" => wow += 1,
            other => panic!("{other}"),
        }
        assert!(link.security.as_deref().is_some_and(|sddl| sddl.starts_with("O:S-1-5-80-956008885")));
    }
    assert!(native == wow && native > 20, "{native} {wow}");
    assert!(plan.registry.is_empty(), "it is files only");
    let payload = plan.files.iter().filter(|file| file.digest.is_some()).count();
    assert_eq!(payload, native + wow);

    let (judgement, plan) = judged(&image(), &path, Branch::Limited);
    assert_eq!(judgement.outcome, Outcome::Applicable);
    assert!(plan.unwrap().components.iter().all(|c| c.key_form.contains("_6.1.7601.23140_")));
}

#[test]
fn the_port_driver_needs_instrumentation_and_says_so() {
    let Some(path) = real_data(STORPORT) else { return };
    let (judgement, _) = judged(&image(), &path, Branch::General);
    let Outcome::NeedsInstaller { installers } = &judgement.outcome else {
        panic!("{:?}", judgement.outcome);
    };
    assert_eq!(installers.len(), 1, "{installers:?}");
    assert!(installers[0].installer.starts_with("instrumentation"), "{installers:?}");
    assert!(installers[0].component.starts_with("amd64_microsoft-windows-storport_"), "{installers:?}");
    // The general branch of the driver, and the language that the image has, alone.
    let deployed: Vec<String> = judgement
        .applied
        .iter()
        .flat_map(|update| &update.deployments)
        .map(|deployment| deployment.version.to_string())
        .collect();
    assert!(
        !deployed.is_empty() && deployed.iter().all(|version| version == "6.1.7601.18969"),
        "{deployed:?}"
    );

    // An image whose driver is on the limited branch stays on it.
    let mut limited = image();
    use_component(&mut limited, &identity("Microsoft-Windows-StorPort", "6.1.7601.22000", "amd64"));
    let (judgement, _) = judged(&limited, &path, Branch::General);
    assert!(
        judgement.applied.iter().any(|update| update.update.ends_with("_LDR")),
        "{:?}",
        judgement.applied
    );
}

#[test]
fn windows_re_is_not_this_image_and_the_order_is_that_of_the_table() {
    let (Some(ucrt), Some(storport), Some(winre)) = (real_data(UCRT), real_data(STORPORT), real_data(WINRE))
    else {
        return;
    };
    let open = [open(&ucrt), open(&winre), open(&storport)];
    let packages: Vec<UpdatePackage<'_>> =
        open.iter().map(|open| UpdatePackage::load(&open.files, Branch::General).unwrap()).collect();
    let image = image();
    let mut hives = HiveSet::new(&image, HiveOptions::default());
    let checked = check(&packages, &state(&image), &mut hives).unwrap();
    let lines: Vec<_> =
        checked.iter().map(|one| (one.package, one.order, one.judgement.outcome.label())).collect();
    assert_eq!(
        lines,
        [(2, Some(1), "needs an installer"), (0, Some(2), "applicable"), (1, None, "not applicable")]
    );
    assert!(checked[2].judgement.outcome.reason().contains("WinPE-SRT-Package"));
    assert!(checked[0].judgement.notes.iter().any(|note| note.contains("KB2990941")));
}
