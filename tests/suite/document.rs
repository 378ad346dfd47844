//! A document as its reader sees it: the commands that it shows, and what it says of each.

/// A command, and what is shown of it.
#[derive(Debug, PartialEq)]
pub struct Shown<'d> {
    pub command: &'d str,
    /// The lines behind it, or none where only the command is shown.
    pub said: Option<Vec<&'d str>>,
    /// Where those lines are in the document, counted from 0.
    pub lines: (usize, usize),
}

/// The commands of a document's `console` and `sh` blocks that are for this machine.
pub fn commands(document: &str) -> Vec<Shown<'_>> {
    let mut found: Vec<Shown<'_>> = Vec::new();
    let mut block = None;
    for (n, line) in document.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            block = block.is_none().then_some(language);
            continue;
        }
        match block {
            Some("console") => {
                let is_prompt = line
                    .split_once("$ ")
                    .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase()));
                if let Some(command) = line.strip_prefix("$ ") {
                    found.push(Shown {
                        command,
                        said: Some(Vec::new()),
                        lines: (n + 1, n + 1),
                    });
                } else if !is_prompt {
                    let last = found.last_mut().expect("a block begins with a prompt");
                    last.said.as_mut().unwrap().push(line);
                    last.lines.1 = n + 1;
                }
            }
            Some("sh") => found.push(Shown {
                command: line,
                said: None,
                lines: (n, n),
            }),
            Some(other) => assert!(
                ["rust"].contains(&other),
                "a block of {other:?} proves nothing"
            ),
            None => {}
        }
    }
    found
}

/// Whether a text is as a pattern shows it, in which `...` stands for anything, and moments
/// and durations are whatever they are.
pub fn is_as_shown(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (timeless(text), timeless(pattern));
    let mut parts = pattern.split("...");
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut open = false;
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) if !part.is_empty() => (rest, open) = (after, false),
            None => return false,
            Some(_) => open = true,
        }
    }
    open || rest.is_empty()
}

/// A text in which every moment and every duration is the same.
fn timeless(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for n in 0..words.len() {
            let is_seconds = |word: &String| matches!(word.as_str(), "s" | "s:" | "s;");
            let is_number = words[n].parse::<f64>().is_ok();
            if is_number && words.get(n + 1).is_some_and(is_seconds) {
                words[n].clear();
            }
            let shape: String = words[n]
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            if shape == "0000-00-00T00:00:00Z" {
                words[n] = shape;
            }
        }
        let line = words.join(" ");
        let (before, seconds) = line.split_once("\"seconds\":").unwrap_or((&line, ""));
        let after = seconds.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        lines.push(before.to_owned() + after);
    }
    lines.join("\n")
}

#[test]
fn a_shown_text_is_the_whole_of_what_is_said() {
    for (text, shown, is) in [
        ("a", "a", true),
        ("ab", "a", false),
        ("ab", "a...", true),
        ("a\nb\nc", "a\n...\nc", true),
        ("a\nb\nc", "a\n...", true),
        ("a\nb\nc", "a\n...d", false),
        ("put 1 file, 0.3 s: x", "put 1 file, 41 s: x", true),
        ("put 2 files, 0.3 s: x", "put 1 file, 0.3 s: x", false),
        ("a 2001-01-01T00:00:00Z b", "a 2026-11-22T12:04:05Z b", true),
        ("{\"seconds\":0.002}", "{\"seconds\":1}", true),
    ] {
        assert_eq!(is_as_shown(text, shown), is, "{text:?} {shown:?}");
    }
}

#[test]
fn only_blocks_that_are_to_be_run_are_run_and_no_other_machine_s_lines() {
    let document = "```console\n$ a b\nsaid\nmore\nnas$ c\n$ d\n```\n    $ e\n```sh\nf\n```\n";
    let found = commands(document);
    let seen: Vec<_> = found
        .iter()
        .map(|shown| (shown.command, shown.said.clone()))
        .collect();
    let expected = [
        ("a b", Some(vec!["said", "more"])),
        ("d", Some(vec![])),
        ("f", None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(found[0].lines, (2, 4));
}
