//! haul from outside: its library against itself, its binary as a person would.
#![allow(
    clippy::disallowed_methods,
    reason = "a test makes and damages files where the library must not"
)]

mod by_hand;
mod changes;
mod connections;
mod evil;
mod exchange;
mod faults;
mod hostile_clients;
mod hostile_openings;
mod hostile_receivers;
mod hostile_servers;
mod hostile_uploads;
mod lost;
mod lost_clients;
mod memory;
mod names;
mod planted;
mod putting;
mod raw;
mod records;
mod rig;
mod round_trip;
mod unharmed;
mod vectors;
mod wrapped;
