//! The image and the compose file: they say what the binary takes, and the topology they describe carries events through
//! kills of every service, as processes everywhere and in containers where an engine can be had.

mod containers;
mod image;
mod play;
mod processes;
mod stated;

use trunkline_tests::RECOVERED;
