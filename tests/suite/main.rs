//! haul from outside: its library against itself, its binary as a person would.
#![allow(
    clippy::disallowed_methods,
    reason = "a test makes and damages files where the library must not"
)]

mod changes;
mod connections;
mod exchange;
mod faults;
mod lost;
mod memory;
mod records;
mod rig;
mod round_trip;
mod vectors;

mod wrapped;
