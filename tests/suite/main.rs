//! haul from outside: its library against itself, its binary as a person would.
#![allow(
    clippy::disallowed_methods,
    reason = "a test makes and damages files where the library must not"
)]

mod authorizing;
mod both_ways;
mod by_hand;
mod change_faults;
mod changes;
mod commands;
mod connections;
mod crashes;
mod encrypted;
mod evil;
mod exchange;
mod faults;
mod hostile_clients;
mod hostile_openings;
mod hostile_receivers;
mod hostile_servers;
mod hostile_uploads;
mod interrupted;
mod into_itself;
mod kept;
mod known_servers;
mod landscape;
mod listings;
mod lost;
mod lost_clients;
mod loudness;
mod manuals;
mod many_names;
mod memory;
mod names;
mod objects;
mod order;
mod outputs;
mod own_keys;
mod person;
mod place;
mod planted;
mod program;
mod proofs;
mod putting;
mod python;
mod raw;
mod records;
mod refusals;
mod rehearsals;
mod removals;
mod rig;
mod round_trip;
mod saboteur;
mod samples;
mod second_time;
mod serving;
mod stat_and_sum;
mod store;
mod terminal;
mod tree_changes;
mod tree_commands;
mod trees;
mod unharmed;
mod vectors;
mod watch;
mod wrapped;
