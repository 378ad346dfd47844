//! What holds for any bytes at all, one function for each kind of input.
//!
//! `fuzz/` has a fuzzer look for bytes that break it, on a nightly compiler. Here the seeds
//! that it starts from, `tests/seeds`, go through the same functions on any compiler, so that
//! they always build and what was mended stays so.

mod client;
pub mod names;
pub mod session;
pub mod trust;
pub mod wire;

#[cfg(test)]
mod every_seed_holds_for {
    use std::fs;
    use std::path::Path;

    use super::{names, session, trust, wire};

    /// A test for each function that `fuzz/run` knows by this name.
    macro_rules! replay {
        ($($name:ident: $holds:path),+ $(,)?) => {
            $(#[test]
            fn $name() {
                replay(stringify!($name), stringify!($holds), $holds);
            })+
        };
    }

    replay! {
        frames: wire::frames,
        message: wire::message,
        path: names::path,
        address: names::address,
        key: trust::key,
        link: trust::link,
        access: trust::access,
        invitations: trust::invitations,
        known_hosts: trust::known_hosts,
        session: session::session,
    }

    #[track_caller]
    fn replay(name: &str, place: &str, holds: fn(&[u8])) {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        // It is not built here: let it at least name what is.
        let target = fs::read_to_string(top.join(format!("fuzz/targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("fuzzed::{place}(")), "{target}");
        let seeds = fs::read_dir(top.join("tests/seeds").join(name)).unwrap();
        let mut count = 0;
        for seed in seeds {
            let path = seed.unwrap().path();
            // A panic says which it was.
            eprintln!("{}", path.display());
            holds(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no seeds");
    }
}
