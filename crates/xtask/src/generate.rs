//! Generates the Rust types and the descriptor set of `proto/`, in pure Rust: nobody needs protoc.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use prost_types::FileDescriptorSet;
use prost::Message as _;

/// The name of the descriptor set beside the generated Rust files.
const DESCRIPTORS: &str = "descriptors.bin";

/// Compiles every .proto file under `proto_root` and writes one Rust file per package and the descriptor set to `out`,
/// which is created if missing. Files of packages that are gone are removed. The same input gives the same bytes.
pub(crate) fn generate(proto_root: &Path, out: &Path) -> anyhow::Result<()> {
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
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(files)?;
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
