//! Which room may name which, and what a file names.
//!
//! An import counts however it is written: spread over nested braces, climbing through
//! `super`, or inline in an expression. Two ways in cannot be seen: another room's
//! re-export, and a path inside an attribute's string.

use crate::tokens::{Token, text};

/// The rooms of each layer, top to bottom. A room may name rooms of lower layers only.
const LAYERS: [&[&str]; 7] = [
    &["main"],
    &["cli"],
    &["client", "server"],
    &["transfer", "trust"],
    &["wire", "store"],
    &["net"],
    &LEAVES,
];

/// The lowest layer, and the only one whose rooms may name each other.
const LEAVES: [&str; 10] = [
    "code", "content", "entry", "fault", "identity", "json", "offer", "path", "token", "utc",
];

/// Finds the paths that leave the room for one that is not below it.
pub fn imports(home: &[&str], tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut here = home.to_vec();
    let mut depth = 0;
    let mut inline_modules = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline_modules.last() == Some(&depth) {
                    inline_modules.pop();
                    here.pop();
                }
            }
            "mod" if text(tokens, at + 2) == "{" => {
                inline_modules.push(depth);
                here.push(text(tokens, at + 1));
            }
            _ if starts_a_path(tokens, at) => {
                let mut paths = Vec::new();
                branches(tokens, at, &[], &mut paths);
                let targets = paths.iter().map(|path| resolve(&here, path));
                let wrong = targets.filter_map(|target| objection(home[0], target));
                found.extend(wrong.map(|fault| (token.line, fault)));
            }
            _ => {}
        }
    }
    found
}

/// Says whether a path that is anchored in this crate begins at `at`.
fn starts_a_path(tokens: &[Token<'_>], at: usize) -> bool {
    let anchored = ["crate", "haul", "self", "super"].contains(&tokens[at].text);
    let goes_on = match text(tokens, at + 1) {
        "::" => true,
        // `use crate as x` would hide whatever follows; `self as u8` is a cast.
        "as" => tokens[at].text == "crate",
        _ => false,
    };
    anchored && goes_on && (at == 0 || tokens[at - 1].text != "::")
}

/// Collects every path of the use tree, or the one plain path, that begins at `at`,
/// each with `prefix` before it; returns where the tree ends.
fn branches<'s>(
    tokens: &[Token<'s>],
    mut at: usize,
    prefix: &[&'s str],
    paths: &mut Vec<Vec<&'s str>>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        if text(tokens, at) == "{" {
            at += 1;
            while !["}", ""].contains(&text(tokens, at)) {
                at = branches(tokens, at, &path, paths);
                // Past `as name`, which changes nothing here.
                while !["}", ",", ""].contains(&text(tokens, at)) {
                    at += 1;
                }
                at += usize::from(text(tokens, at) == ",");
            }
            return at + 1;
        }
        path.push(text(tokens, at));
        at += 1;
        if text(tokens, at) != "::" {
            paths.push(path);
            return at;
        }
        at += 1;
    }
}

/// Names the room that `path`, written in module `here`, leads to; `None` is the crate itself.
fn resolve<'s>(here: &[&'s str], path: &[&'s str]) -> Option<&'s str> {
    let mut target = here.to_vec();
    for (n, name) in path.iter().enumerate() {
        match *name {
            "crate" => target.clear(),
            "haul" if n == 0 => target.clear(),
            "super" => drop(target.pop()),
            "self" => {}
            name => target.push(name),
        }
    }
    target.first().copied()
}

/// Says why `room` may not name `target`, if it may not.
fn objection(room: &str, target: Option<&str>) -> Option<String> {
    let Some(target) = target else {
        return Some("names the whole crate: name a room".into());
    };
    if target == room {
        return None;
    }
    let among_leaves = LEAVES.contains(&room) && LEAVES.contains(&target);
    if layer(target).is_none() {
        Some(format!("`{target}` is no room: name the room behind it"))
    } else if layer(target) <= layer(room) && !among_leaves {
        Some(format!("`{room}` names `{target}`, which is not below it"))
    } else {
        None
    }
}

/// Numbers the layer of `room`, the top being 0; `None` if it is no room of the plan.
pub fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

mod tests {
    use crate::{accepted, refused};

    #[test]
    fn an_import_that_points_down_is_accepted() {
        accepted("src/main.rs", "use haul::cli;");
        accepted(
            "src/cli/demo.rs",
            "use crate::{client::Client, server::Server, path::RemotePath};",
        );
        accepted(
            "src/client/push.rs",
            "use crate::transfer::send; use crate::store::Source;",
        );
        accepted(
            "src/store/local/sys.rs",
            "fn f() { crate::net::g(crate::code::Code::Ok) }",
        );
        accepted("src/lib.rs", "mod cli; pub use crate::client::Client;");
    }

    #[test]
    fn an_import_that_points_up_is_refused() {
        let why = "not below it";
        refused("src/wire/frame.rs", "use crate::transfer::send;", why);
        refused("src/net/mod.rs", "use crate::store::{self, Store};", why);
        refused("src/path.rs", "pub(crate) use crate::wire as w;", why);
        refused("src/client/job.rs", "use haul::cli::args;", why);
        refused("src/cli/mod.rs", "use crate::main;", why);
    }

    #[test]
    fn siblings_never_name_each_other_but_leaves_may() {
        refused(
            "src/client/mod.rs",
            "use crate::server::Server;",
            "not below it",
        );
        refused(
            "src/server/mod.rs",
            "use crate::client::Client;",
            "not below it",
        );
        refused(
            "src/store/mod.rs",
            "use crate::wire::frame;",
            "not below it",
        );
        refused("src/wire/mod.rs", "use crate::store;", "not below it");
        accepted(
            "src/entry.rs",
            "use crate::{content::BlockSize, path::RemotePath};",
        );
    }

    #[test]
    fn an_import_counts_however_it_is_written() {
        let why = "`store` names `client`";
        let nested =
            "use crate::{\n    path::{self, RemotePath as P},\n    client::{job::Job},\n};";
        refused("src/store/mod.rs", nested, why);
        refused(
            "src/store/mod.rs",
            "fn f() { let x = 'a'; crate::client::f::<u8>(x) }",
            why,
        );
        refused(
            "src/store/mod.rs",
            "mod tests { fn f() {} use super::super::client::f; }",
            why,
        );
        refused(
            "src/store/local/sys.rs",
            "use super::super::super::client;",
            why,
        );
        refused("src/store/mod.rs", "use super::{path, super::client};", why);
        refused(
            "src/store/mod.rs",
            "use crate as c; use c::client;",
            "whole crate",
        );
        refused("src/store/mod.rs", "use crate::Client;", "no room");
        refused("src/store/mod.rs", "use crate::*;", "no room");
    }

    #[test]
    fn a_room_may_climb_within_itself() {
        accepted(
            "src/wire/frame.rs",
            "use super::message; mod tests { use super::*; }",
        );
        accepted(
            "src/wire/frame.rs",
            "use crate::wire::error; use self::limits::MAX;",
        );
        accepted(
            "src/store/local/walk.rs",
            "mod a { mod b {} use super::super::super::Store; }",
        );
    }

    #[test]
    fn comments_literals_and_lifetimes_name_nothing() {
        accepted(
            "src/path.rs",
            "/// See [crate::client].\nfn f() {} // crate::client",
        );
        accepted(
            "src/path.rs",
            "/* /* crate::client */ unsafe crate::server::f */",
        );
        accepted(
            "src/path.rs",
            r#"const A: &str = "\" crate::client"; const B: char = '"';"#,
        );
        accepted(
            "src/path.rs",
            "const A: &str = r#\"\" unsafe crate::client\"#;",
        );
        refused(
            "src/path.rs",
            "fn f<'a>(c: &'a char) { *c == '\\''; crate::wire::f(c) }",
            "`wire`",
        );
    }
}
