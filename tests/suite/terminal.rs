//! What a person at a terminal sees: colours, bars, and nothing of either where they said so.

use crate::place::Place;
use crate::program::Running;
use crate::rig::noise;

/// What begins every colour and every move of the cursor.
const ESCAPE: char = '\u{1b}';
const CYAN: &str = "\u{1b}[36m";

/// What a typed line shows on a terminal, and its exit code.
#[track_caller]
fn shown(place: &Place, line: &str) -> (Option<i32>, String) {
    let ended = Running::on_terminal(place.haul(line)).finish();
    (ended.code, ended.stderr)
}

#[track_caller]
fn error_has_color(place: &Place, line: &str, has: bool) {
    let (code, error) = shown(place, line);
    assert_eq!(code, Some(2), "{line}");
    assert!(
        error.contains("unrecognized subcommand"),
        "{line}: {error:?}"
    );
    assert_eq!(error.contains(ESCAPE), has, "{line}: {error:?}");
}

#[test]
fn errors_have_colours_unless_the_terminal_or_a_person_wants_none() {
    let place = Place::serving("");
    for (line, has) in [
        ("TERM=xterm fetch", true),
        ("TERM=xterm NO_COLOR= fetch", true),
        ("TERM=xterm NO_COLOR=1 fetch", false),
        ("TERM=dumb fetch", false),
        ("TERM=dumb CI=1 fetch", false),
        ("TERM=xterm --color never fetch", false),
        ("TERM=xterm HAUL_COLOR=never fetch", false),
        ("TERM=xterm HAUL_COLOR=never --color=auto fetch", true),
        ("TERM=dumb NO_COLOR=1 --color always fetch", true),
        ("NO_COLOR=1 HAUL_COLOR=always fetch", true),
    ] {
        error_has_color(&place, line, has);
    }
}

#[test]
fn off_a_terminal_only_always_has_colours() {
    let place = Place::serving("");
    for (line, has) in [
        ("TERM=xterm --help", false),
        ("NO_COLOR=1 --color always --help", true),
        ("HAUL_COLOR=always put --help", true),
        ("--color never --help", false),
    ] {
        let ended = place.run(line);
        assert_eq!(ended.code, Some(0), "{line}: {ended:?}");
        assert_eq!(ended.stdout.contains(ESCAPE), has, "{line}: {ended:?}");
    }
    let ended = place.run("--json --color always fetch");
    assert!(!(ended.stdout + &ended.stderr).contains(ESCAPE));
}

#[test]
fn bars_are_drawn_where_they_can_be_and_are_wanted() {
    let place = Place::serving("");
    place.file("a", &noise(3 << 20));
    for (n, (words, is_drawn, has_color)) in [
        ("TERM=xterm put", true, true),
        ("TERM=xterm NO_COLOR=1 put", true, false),
        ("TERM=xterm NO_COLOR=1 --color always put", true, true),
        ("TERM=xterm --color never put", true, false),
        ("TERM=dumb put", false, false),
        ("put", false, false),
    ]
    .iter()
    .enumerate()
    {
        let line = format!("{words} a [ADDRESS]/{n}");
        let (code, screen) = shown(&place, &line);
        assert_eq!(code, Some(0), "{line}: {screen:?}");
        assert_eq!(screen.contains(ESCAPE), *is_drawn, "{line}: {screen:?}");
        assert_eq!(screen.contains(CYAN), *has_color, "{line}: {screen:?}");
        assert!(screen.contains("1 stored"), "{line}: {screen:?}");
        // Before anything is known, too.
        assert!(!screen.contains(" , "), "{line}: {screen:?}");
    }
    for line in ["-q put a [ADDRESS]/q", "-q get [ADDRESS]/q b"] {
        let line = format!("TERM=xterm {line}");
        assert_eq!(shown(&place, &line), (Some(0), String::new()), "{line}");
    }
    let line = "TERM=xterm --json put a [ADDRESS]/j";
    assert_eq!(shown(&place, line), (Some(0), String::new()));
}
