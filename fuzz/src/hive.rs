//! Oracles of registry hives, their transaction logs and .reg files.

use wim_core::base::WimString;
use wim_core::formats::hive::{CompareTimes, Damage, DeleteScope, Hive, KeyRef, RegValue};
use wim_core::formats::reg_file::{RegAction, RegFile, RegFormat, RegWriter, UnknownLines};

fn read_everything(hive: &Hive) -> wim_core::base::Result<u64> {
    let mut bytes = 0;
    let mut visit = |_: &[WimString], key: KeyRef<'_>| {
        for value in key.values() {
            bytes += value?.data()?.len() as u64;
        }
        key.class()?;
        key.security()?;
        Ok(())
    };
    hive.walk(&mut visit).map(|()| bytes)
}

/// A hive is refused, or found damaged and not edited, or edited so that the checker finds nothing and the edits come back;
/// what can be saved of a damaged one is sound.
///
/// # Panics
/// When it is none of that.
pub fn hive_is_edited_or_refused(bytes: &[u8]) {
    if let Ok(hive) = Hive::open(bytes.to_vec()) {
        let is_sound = hive.check().is_sound();
        let read = read_everything(&hive);
        assert!(!is_sound || read.is_ok(), "sound, but {read:?}");
        assert!(read.unwrap_or(0) <= bytes.len() as u64 || !is_sound, "more data than the file has");
        assert!(hive.clone().finish().is_ok_and(|same| same == bytes), "reading changed the hive");
        let mut edited = hive.clone();
        let data = RegValue::binary(vec![1; 20_000]);
        let result = edited
            .set_value("Fuzz\\Kä\\Ж", "x", &data)
            .and_then(|_| edited.rename_key("Fuzz\\Kä", "A name that needs another cell"));
        match result {
            Ok(_) => {
                assert!(is_sound, "a damaged hive was edited");
                let again = Hive::open(edited.finish().unwrap_or_default());
                let again = again.unwrap_or_else(|error| panic!("written, but {error}"));
                assert!(again.check().is_sound(), "{:?}", again.check().findings.first());
                let value = again.value("Fuzz\\A name that needs another cell\\ж", "X");
                assert_eq!(value.ok().flatten(), Some(data));
                let mut again = again;
                let deleted = again.delete_key("Fuzz", DeleteScope::Forced);
                assert!(deleted.is_ok_and(|deleted| deleted) && again.check().is_sound());
            }
            // Keys of such names may be there and be deep, or hidden.
            Err(error) => assert!(!is_sound || !error.to_string().contains("halfway"), "{error}"),
        }
    }
    if let Ok((hive, _)) = Hive::open_damaged(bytes.to_vec())
        && let Ok((rebuilt, _)) = hive.compact(Damage::GiveUp)
    {
        assert!(rebuilt.check().is_sound(), "{:?}", rebuilt.check().findings.first());
        let rebuilt =
            rebuilt.finish().and_then(Hive::open).unwrap_or_else(|error| panic!("rebuilt, but {error}"));
        assert!(read_everything(&rebuilt).is_ok());
        assert!(rebuilt.diff(&rebuilt, CompareTimes::Yes).is_ok_and(|differences| differences.is_empty()));
    }
}

/// A dirty hive with two logs is recovered, with its layout right and not much larger than all three, or refused. The
/// input begins with the sizes of hive and first log in KiB.
///
/// # Panics
/// When it is neither.
pub fn hive_logs_are_replayed_or_refused(bytes: &[u8]) {
    let [hive, log, rest @ ..] = bytes else { return };
    let (hive, rest) = rest.split_at((usize::from(*hive) << 10).min(rest.len()));
    let (first, second) = rest.split_at((usize::from(*log) << 10).min(rest.len()));
    if let Ok(recovered) = Hive::recover(hive.to_vec(), &[first, second]) {
        assert!(recovered.bytes().len() <= bytes.len() + (2 << 20), "a log made the hive too large");
        let _ = recovered.check();
        let _ = read_everything(&recovered);
        assert!(recovered.finish().is_ok());
    }
}

/// A .reg file is refused, or its statements can be written and read back the same.
///
/// # Panics
/// When they do not come back.
pub fn reg_file_survives_a_round_trip(bytes: &[u8]) {
    let Ok(file) = RegFile::parse(bytes, None, UnknownLines::Warn) else { return };
    let _ = RegFile::parse(bytes, Some(932), UnknownLines::Refuse);
    let mut written = Vec::new();
    let values: Vec<(&str, u32, &[u8])> = file
        .statements
        .iter()
        .filter_map(|statement| match &statement.action {
            RegAction::SetValue { name, kind, data } => Some((name.as_str(), *kind, data.as_slice())),
            _ => None,
        })
        .collect();
    let result = RegWriter::new(&mut written, RegFormat::Version5, None).and_then(|mut writer| {
        writer.key("HKEY_LOCAL_MACHINE\\SOFTWARE")?;
        values.iter().try_for_each(|(name, kind, data)| writer.value(name, *kind, data))?;
        writer.finish()
    });
    assert!(result.is_ok(), "{result:?}");
    let again = RegFile::parse(&written, None, UnknownLines::Refuse);
    let again = again.unwrap_or_else(|error| panic!("written, but {error}"));
    let set = |action: &RegAction| match action {
        RegAction::SetValue { name, kind, data } => Some((name.clone(), *kind, data.clone())),
        _ => None,
    };
    let again: Vec<_> = again.statements.iter().filter_map(|statement| set(&statement.action)).collect();
    let same = again.iter().zip(&values).all(|(a, b)| (a.0.as_str(), a.1, a.2.as_slice()) == *b);
    assert!(again.len() == values.len() && same, "values differ");
}
