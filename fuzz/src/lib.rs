//! What the fuzz targets assert: it lives among the tests, which replay its seeds.

#[path = "../../tests/suite/fuzzed/mod.rs"]
pub mod fuzzed;
