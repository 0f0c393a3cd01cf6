//! Developer commands of Trunkline, run as `cargo xtask COMMAND`.

mod generate;

use std::path::Path;

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "Developer commands of Trunkline")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the Rust types and the descriptor set of the .proto files
    Generate,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Generate => {
            let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
                .ancestors()
                .nth(2)
                .context("the xtask crate lies two folders below the workspace")?;
            generate::generate(&workspace.join("proto"), &workspace.join("crates/proto/src/gen"))
        }
    }
}
