//! haul
pub mod code;
pub mod content;
pub mod entry;
pub mod fault;
pub mod identity;
pub mod net;
pub mod offer;
pub mod path;
pub mod wire;
