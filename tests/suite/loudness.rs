//! -q and -v: how much each command says, and that errors are always said.

use std::fs;

use crate::place::Place;

#[test]
fn quiet_is_silent_but_for_errors_and_data() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.file("b", b"def");
    fs::create_dir(place.root().join("d")).unwrap();
    for (line, out) in [
        ("-q put a b [ADDRESS]", ""),
        ("-q put a [ADDRESS]", ""),
        ("HAUL_QUIET=1 put a [ADDRESS]/c", ""),
        ("-q put --overwrite --connections 1 b [ADDRESS]/c", ""),
        ("-q get [ADDRESS]/a [ADDRESS]/b back/", ""),
        ("-q get [ADDRESS]/a back/", ""),
        ("-q ls [ADDRESS]", "a\nb\nc\nd/\n"),
        ("-q demo a b", "same: 2 files\n"),
    ] {
        place.says(line, 0, out, "");
    }
    for (line, code) in [
        ("-q put none [ADDRESS]", 10),
        ("-q put b [ADDRESS]/a", 6),
        ("-q put a [ADDRESS]/d", 6),
        ("-q get [ADDRESS]/none", 5),
        ("-q ls [ADDRESS]/none", 5),
        ("-q ls nas:x", 2),
        ("-q serve --listen 0.0.0.0:0", 2),
    ] {
        let ended = place.run(line);
        assert_eq!((ended.code, &*ended.stdout), (Some(code), ""), "{line}");
        let lines: Vec<_> = ended.stderr.lines().collect();
        let is_error = lines.len() == 1 && lines[0].starts_with("haul: ");
        assert!(is_error, "{line}: {lines:?}");
    }
}

#[test]
fn verbose_has_a_line_for_each_file() {
    let place = Place::serving("");
    place.file("a", b"abc");
    place.file("b", b"defg");
    for (line, out, err) in [
        (
            "-v put a [ADDRESS]",
            "",
            "stored a, 3 B, blake3:*\nput 1 file, *",
        ),
        (
            "HAUL_VERBOSE=1 put a b [ADDRESS]",
            "",
            "*unchanged a, 3 B\n*put 2 files, *",
        ),
        (
            "-v get [ADDRESS]/b back/",
            "",
            "fetched b, 4 B, blake3:*\nget 1 file, *",
        ),
        (
            "-v demo a",
            "same: 1 file\n",
            "*\nstored a, 3 B, blake3:*\nfetched a, 3 B, blake3:*",
        ),
        ("-v ls [ADDRESS]", "a\nb\n", ""),
    ] {
        place.says(line, 0, out, err);
    }
    let both = "*haul: cannot open none: *\n*put 1 file, 3 B, * s: 1 unchanged, 1 failed; *";
    place.says("-v put none a [ADDRESS]", 10, "", both);
}
