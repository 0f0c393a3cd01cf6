//! Generated protobuf types of Trunkline and their descriptor set
