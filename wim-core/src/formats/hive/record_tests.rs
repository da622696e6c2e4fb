//! Every record of every healthy hive of the test data, decoded to fields and encoded again: the same cells, the same file.
//!
//! Fields are read by the getters that readers use and written by the functions that the editor writes new records with.
//! Slack behind a record and free cells are no records and stay as they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::big_data::SEGMENT_BYTES;
use super::cell::{BIN_HEADER_BYTES, NIL, le_u16, le_u32, len_u32, put, put_u32, put_u64};
use super::key::{KeyNode, NewKey, at};
use super::name::{Compressed, Name};
use super::subkeys::{LIST_HEADER_BYTES, ListKind};
use super::value::{self, DataPlace, RESIDENT};
use super::{Hive, HiveVersion, RegValue, base_block, key_flags};
use crate::base::Result;

/// Hives whose layout or names break a rule on purpose, or that are no clean hives at all.
const NOT_HEALTHY: [&str; 2] = ["corrupt", "bad"];

/// A file under construction: the old one, whose records are overwritten one by one.
struct Rewrite<'h> {
    hive: &'h Hive,
    out: Vec<u8>,
    records: usize,
}

impl Rewrite<'_> {
    /// Puts the encoded record in the place of the old one, of which it must be the beginning.
    fn put(&mut self, cell: u32, record: &[u8]) {
        let start = 4096 + cell as usize + 4;
        self.out[start..start + record.len()].copy_from_slice(record);
        let old = &self.hive.bytes()[start..start + record.len()];
        assert!(old == record, "cell {cell:#x}: {old:02x?} became {record:02x?}");
        self.records += 1;
    }

    fn key(&mut self, node: &KeyNode<'_>) -> Result<()> {
        let bins = &self.hive.bins;
        let old = node.bytes();
        let (name, compressed) = match node.name() {
            Name::Latin1(bytes) => (bytes, Compressed::Yes),
            Name::Utf16(bytes) => (bytes, Compressed::No),
        };
        let flags = node.flags() & !key_flags::COMPRESSED_NAME;
        let (time, parent, security) = (node.last_written(), node.parent(), node.security());
        let mut record = NewKey { name, compressed, flags, time, parent, security }.to_bytes();
        let u32s = [
            (at::SUBKEY_COUNT, node.subkey_count()),
            (at::SUBKEYS, node.subkeys()),
            (at::VALUES, node.values()),
            (at::CLASS, node.class()),
        ];
        u32s.iter().for_each(|&(field, value)| put_u32(&mut record, field, value));
        // Fields that the reader has no use for, and that edits raise or leave.
        for field in [
            at::ACCESS,
            at::VOLATILE_SUBKEY_COUNT,
            at::VOLATILE_SUBKEYS,
            at::VALUE_COUNT,
            at::MAX_SUBKEY_NAME,
            at::MAX_SUBKEY_CLASS,
            at::MAX_VALUE_NAME,
            at::MAX_VALUE_DATA,
            68,
        ] {
            put_u32(&mut record, field, le_u32(old, field));
        }
        let class_bytes = u16::try_from(node.class_bytes()).unwrap();
        put(&mut record, at::CLASS_LENGTH, &class_bytes.to_le_bytes());
        self.put(node.offset, &record);
        if node.class_bytes() > 0 {
            let class = Name::Utf16(&bins.cell(node.class(), "class")?[..node.class_bytes()]).units();
            let class: Vec<u8> = class.iter().flat_map(|unit| unit.to_le_bytes()).collect();
            self.put(node.class(), &class);
        }
        self.values(node)?;
        self.lists(node)
    }

    fn values(&mut self, node: &KeyNode<'_>) -> Result<()> {
        let bins = &self.hive.bins;
        let version = self.hive.base.version;
        let entries = bins.value_list(node.values(), node.value_count())?;
        if entries.is_empty() {
            return Ok(());
        }
        self.put(node.values(), entries.as_flattened());
        for entry in entries {
            let old = bins.value(u32::from_le_bytes(*entry))?;
            let data = RegValue::new(old.kind(), old.data(bins, version)?.into_owned());
            let mut record = value::new_record(&old.name().units(), data.kind);
            let place = old.place(version);
            // A size that lies in the record is marked, but for the few empty values that are not.
            let mark = if place == DataPlace::Resident && le_u32(old.bytes(), value::at::SIZE) != 0 {
                RESIDENT
            } else {
                0
            };
            put_u32(&mut record, value::at::SIZE, len_u32(data.data.len()) | mark);
            match place {
                DataPlace::Resident => {
                    // Beyond short data the field has remnants.
                    put(&mut record, value::at::DATA, &old.bytes()[value::at::DATA..value::at::DATA + 4]);
                    put(&mut record, value::at::DATA, &data.data);
                }
                DataPlace::Cell(cell) => {
                    put_u32(&mut record, value::at::DATA, cell);
                    self.put(cell, &data.data);
                }
                DataPlace::Segments(cell) => {
                    put_u32(&mut record, value::at::DATA, cell);
                    self.segments(cell, &data.data)?;
                }
            }
            // Flags beyond that of the name, and the spare field.
            let flags = le_u16(&record, value::at::FLAGS) | (old.flags() & !value::FLAG_COMPRESSED_NAME);
            let flags = if old.name().is_empty() { old.flags() } else { flags };
            put(&mut record, value::at::FLAGS, &flags.to_le_bytes());
            put(&mut record, 18, &old.bytes()[18..20]);
            self.put(old.offset, &record);
        }
        Ok(())
    }

    fn segments(&mut self, cell: u32, data: &[u8]) -> Result<()> {
        let bins = &self.hive.bins;
        let segments = bins.segments(cell, data.len())?;
        let list = le_u32(bins.cell(cell, "big data")?, 4);
        let mut record = b"db".to_vec();
        record.extend(u16::try_from(segments.len()).unwrap().to_le_bytes());
        record.extend(list.to_le_bytes());
        self.put(cell, &record);
        self.put(list, segments.as_flattened());
        for (segment, part) in segments.iter().zip(data.chunks(SEGMENT_BYTES)) {
            self.put(u32::from_le_bytes(*segment), part);
        }
        Ok(())
    }

    fn lists(&mut self, node: &KeyNode<'_>) -> Result<()> {
        let bins = &self.hive.bins;
        if node.subkey_count() == 0 {
            return Ok(());
        }
        let mut lists = vec![node.subkeys()];
        while let Some(offset) = lists.pop() {
            let list = bins.list(offset)?;
            let mut record = list.kind.signature().to_vec();
            record.extend(u16::try_from(list.count()).unwrap().to_le_bytes());
            assert_eq!(record.len(), LIST_HEADER_BYTES);
            for entry in list.offsets() {
                record.extend(bins.encode_entry(list.kind, entry)?);
                if list.kind == ListKind::Root {
                    lists.push(entry);
                }
            }
            self.put(offset, &record);
        }
        Ok(())
    }

    fn security(&mut self, first: u32) -> Result<()> {
        let bins = &self.hive.bins;
        let mut offset = first;
        while offset != NIL {
            let node = bins.security(offset)?;
            let mut record = vec![0; 20];
            put(&mut record, 0, b"sk");
            // A reserved field; old hives have remnants in it.
            put(&mut record, 2, &bins.cell(offset, "security")?[2..4]);
            for (field, value) in
                [(4, node.next), (8, node.previous), (12, node.count), (16, len_u32(node.descriptor.len()))]
            {
                put_u32(&mut record, field, value);
            }
            record.extend(node.descriptor);
            self.put(offset, &record);
            offset = if node.next == first { NIL } else { node.next };
        }
        Ok(())
    }

    /// Base block and bin headers.
    fn headers(&mut self) {
        let (hive, base) = (self.hive, &self.hive.base);
        let out = &mut self.out;
        put(out, 0, b"regf");
        for (field, value) in [
            (4, base.primary_sequence),
            (8, base.secondary_sequence),
            (20, 1),
            (24, base.version.minor()),
            (28, 0),
            (32, 1),
            (36, base.root),
            (40, base.bins_bytes),
        ] {
            put_u32(out, field, value);
        }
        put_u64(out, 12, base.last_written.0);
        let sum = base_block::checksum(out);
        put_u32(out, base_block::CHECKSUM_AT, sum);
        for (index, &bin) in hive.bins.bins.iter().enumerate() {
            let end = hive.bins.bins.get(index + 1).copied().unwrap_or(hive.bins.size);
            let header = 4096 + bin as usize;
            put(out, header, b"hbin");
            put_u32(out, header + 4, bin);
            put_u32(out, header + 8, end - bin);
            let mut cell = bin + BIN_HEADER_BYTES;
            while cell < end {
                let (size, used) = hive.bins.cell_size(cell);
                let size_field = if used { -size.cast_signed() } else { size.cast_signed() };
                put_u32(out, 4096 + cell as usize, size_field.cast_unsigned());
                cell += size;
            }
        }
    }
}

/// Number of records of a hive that came out as they were.
fn rewrite(hive: &Hive) -> usize {
    let mut rewrite = Rewrite { hive, out: hive.bytes().to_vec(), records: 0 };
    rewrite.headers();
    let root = hive.bins.key(hive.base.root).unwrap();
    rewrite.security(root.security()).unwrap();
    let mut offsets = Vec::new();
    hive.walk(&mut |_, key| {
        offsets.push(key.offset());
        Ok(())
    })
    .unwrap();
    for offset in offsets {
        rewrite.key(&hive.bins.key(offset).unwrap()).unwrap();
    }
    assert!(rewrite.out == hive.bytes());
    rewrite.records
}

fn data_folder() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let root = std::env::var_os("WIM_TEST_DATA")
        .map_or_else(|| workspace.parent().unwrap_or(workspace).join("shared/data"), PathBuf::from);
    Some(root.join("hives")).filter(|folder| folder.is_dir())
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[test]
fn every_record_of_a_built_hive_encodes_to_its_cell() {
    for version in [HiveVersion::V1_3, HiveVersion::V1_5] {
        let mut hive = Hive::create(version, &super::CreateOptions::default()).unwrap();
        for number in 0..1200 {
            let key = format!("Many\\Ключ {number}");
            hive.set_value(&key, "v", &RegValue::binary(vec![7; number % 9])).unwrap();
        }
        hive.set_value("Big", "data", &RegValue::binary(vec![9; 40_000])).unwrap();
        hive.set_class("Big", "a class").unwrap();
        let hive = Hive::open(hive.finish().unwrap()).unwrap();
        assert!(rewrite(&hive) > 3600);
    }
}

#[test]
fn every_record_of_real_hives_encodes_to_its_cell() {
    let Some(folder) = data_folder() else {
        println!("skipped: the real hives are absent (set WIM_TEST_DATA)");
        return;
    };
    let mut paths = Vec::new();
    files(&folder, &mut paths);
    let (mut hives, mut records) = (0, 0);
    for path in paths {
        let name = path.display().to_string();
        if NOT_HEALTHY.iter().any(|part| name.to_lowercase().contains(part)) {
            continue;
        }
        let bytes = if name.ends_with(".xz") {
            let Ok(output) = Command::new("xz").arg("-dc").arg(&path).output() else {
                println!("skipped: unpacking needs the xz command");
                return;
            };
            output.stdout
        } else {
            std::fs::read(&path).unwrap()
        };
        // Logs, foreign files and dirty hives do not open; damaged ones are no healthy ones.
        let Ok(hive) = Hive::open(bytes) else { continue };
        if hive.check().is_sound() {
            records += rewrite(&hive);
            hives += 1;
        }
    }
    println!("{hives} hives, {records} records");
    assert!(hives >= 40 && records > 500_000, "{hives} hives, {records} records");
}
