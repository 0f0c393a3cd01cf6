//! The built-in sources and destinations of Trunkline
