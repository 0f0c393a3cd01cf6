//! Generates the Rust types and the descriptor set of `proto/`, in pure Rust: nobody needs protoc.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use prost::Message as _;
use prost_types::FileDescriptorSet;

use crate::run::root;

/// The name of the descriptor set beside the generated Rust files.
const DESCRIPTORS: &str = "descriptors.bin";

/// [`generate`] with the workspace's own folders.
///
/// # Errors
/// As [`generate`].
pub(crate) fn workspace() -> anyhow::Result<()> {
    generate(&root().join("proto"), &root().join("crates/proto/src/gen"))
}

/// Compiles every .proto file under `proto_root` and writes one Rust file per package and the descriptor set to `out`,
/// which is created if missing. Files of packages that are gone are removed. The same input gives the same bytes.
fn generate(proto_root: &Path, out: &Path) -> anyhow::Result<()> {
    let descriptors = compile(proto_root)?;
    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    for stale in files_with_extension(out, "rs")? {
        fs::remove_file(&stale).with_context(|| format!("removing {}", stale.display()))?;
    }
    let path = out.join(DESCRIPTORS);
    fs::write(&path, without_source_info(descriptors.clone()).encode_to_vec())
        .with_context(|| format!("writing {}", path.display()))?;
    prost_build::Config::new()
        .out_dir(out)
        // Payloads stay slices of the record they came in.
        .bytes(["."])
        // Maps in key order: encoding one message twice gives the same bytes.
        .btree_map(["."])
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .compile_fds(descriptors)
        .context("writing the Rust types")
}

/// The descriptors of every .proto file under `proto_root` and of what they import, with comments and positions.
fn compile(proto_root: &Path) -> anyhow::Result<FileDescriptorSet> {
    let files = files_with_extension(proto_root, "proto")?;
    let mut compiler = protox::Compiler::new([proto_root])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    Ok(compiler.file_descriptor_set())
}

/// Positions and comments would change the descriptor set with every reformatted line, and no service reads them.
fn without_source_info(mut descriptors: FileDescriptorSet) -> FileDescriptorSet {
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    descriptors
}

/// The files under `folder`, at any depth, whose names end so; sorted, because folders list in no order.
fn files_with_extension(folder: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

    use super::*;

    const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

    fn proto_root() -> PathBuf {
        Path::new(WORKSPACE).join("proto")
    }

    /// The files of a folder by name, with their bytes.
    fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        fs::read_dir(folder)
            .expect("the folder is there")
            .map(|entry| {
                let entry = entry.expect("the folder is readable");
                let bytes = fs::read(entry.path()).expect("the file is readable");
                (entry.file_name().to_string_lossy().into_owned(), bytes)
            })
            .collect()
    }

    #[test]
    fn the_generated_files_are_those_checked_in() {
        let fresh = tempfile::tempdir().expect("a temporary folder");
        generate(&proto_root(), fresh.path()).expect("the .proto files compile");
        let fresh = contents(fresh.path());
        let checked_in = contents(&Path::new(WORKSPACE).join("crates/proto/src/gen"));
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&checked_in), names(&fresh), "run cargo xtask generate");
        for (name, bytes) in fresh {
            assert!(checked_in[&name] == bytes, "{name} is out of date: run cargo xtask generate");
        }
    }

    #[test]
    fn everything_in_a_proto_file_has_a_comment() {
        let mut missing = Vec::new();
        for file in ours() {
            let commented: HashMap<&[i32], bool> = file
                .source_code_info
                .iter()
                .flat_map(|info| &info.location)
                .map(|location| (&location.path[..], !location.leading_comments().trim().is_empty()))
                .collect();
            let mut check = |path: &[i32], name: String| {
                if !commented.get(path).copied().unwrap_or(false) {
                    missing.push(format!("{}: {name}", file.name()));
                }
            };
            for (index, message) in (0..).zip(&file.message_type) {
                check_message(&[4, index], message, &mut check);
            }
            for (index, declared) in (0..).zip(&file.enum_type) {
                check_enum(&[5, index], declared, &mut check);
            }
        }
        assert!(missing.is_empty(), "without a comment:\n{}", missing.join("\n"));
    }

    /// The numbers are those of the fields in `descriptor.proto`: a location's path is made of them.
    fn check_message(path: &[i32], message: &DescriptorProto, check: &mut impl FnMut(&[i32], String)) {
        let is_map_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
        if is_map_entry {
            return;
        }
        check(path, message.name().to_owned());
        for (index, field) in (0..).zip(&message.field) {
            check(&[path, &[2, index]].concat(), format!("{}.{}", message.name(), field.name()));
        }
        for (index, nested) in (0..).zip(&message.nested_type) {
            check_message(&[path, &[3, index]].concat(), nested, check);
        }
        for (index, nested) in (0..).zip(&message.enum_type) {
            check_enum(&[path, &[4, index]].concat(), nested, check);
        }
    }

    fn check_enum(path: &[i32], declared: &EnumDescriptorProto, check: &mut impl FnMut(&[i32], String)) {
        check(path, declared.name().to_owned());
        for (index, value) in (0..).zip(&declared.value) {
            check(&[path, &[2, index]].concat(), value.name().to_owned());
        }
    }

    /// Patterns name an enum's values without the prefix, so the prefix must be the enum's name, always.
    #[test]
    fn enum_values_carry_the_name_of_their_enum() {
        for file in ours() {
            for declared in &file.enum_type {
                let mut prefix = String::new();
                for (index, letter) in declared.name().char_indices() {
                    if letter.is_ascii_uppercase() && index > 0 {
                        prefix.push('_');
                    }
                    prefix.push(letter.to_ascii_uppercase());
                }
                let zero = &declared.value[0];
                assert_eq!((zero.number(), zero.name()), (0, &*format!("{prefix}_UNSPECIFIED")));
                for value in &declared.value {
                    let rest = value.name().strip_prefix(&format!("{prefix}_"));
                    assert!(rest.is_some(), "{} does not begin with {prefix}_", value.name());
                }
            }
        }
    }

    /// The files of this workspace, without the well-known types they import.
    fn ours() -> Vec<FileDescriptorProto> {
        let mut files = compile(&proto_root()).expect("the .proto files compile").file;
        files.retain(|file| !file.package().starts_with("google."));
        assert!(!files.is_empty());
        files
    }
}
