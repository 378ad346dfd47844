//! What the manual says beyond the flags, which it has from `args`.

/// What haul is, a paragraph each.
pub(super) const DESCRIPTION: [&str; 7] = [
    "haul moves files between machines. One side serves a directory, the other puts files \
     there and gets them. Every block that arrives is verified; a file gets its name only \
     once it is whole, proved and flushed to disk, so under a name there is always one whole \
     version.",
    "A REMOTE is [haul://]HOST[:PORT][/PATH], with port 4285 where none is said. An address of \
     IPv6 stands in brackets. :PATH is a path on the default remote, HAUL_REMOTE. After \
     haul://, and only there, %20 and the like are decoded, and haul://FINGERPRINT@HOST/ is \
     spoken to only if its key has that fingerprint.",
    "Spelling decides where things go, never what happens to exist: HOST alone, and a path \
     that ends in a slash or a dot, mean into that directory; any other path means exactly \
     that name.",
    "What arrived of a file above 1 MiB is kept when put or get is broken off, whatever the reason, \
     and the same command sends only what is missing. While it runs, a client that loses its \
     connection tries again by itself, after growing pauses. Of a file above 1 MiB that replaces \
     another, put sends only the blocks of 1 MiB that differ.",
    "A server that is told to stop, by Ctrl-C or SIGTERM, accepts no more, tells those who ask for \
     nothing, and lets transfers finish for the drain time; what is cut then can be gone on with. The \
     second time it stops at once. It listens on the sockets that a service manager hands over \
     (LISTEN_FDS), and tells one that it is ready, stopping and well (NOTIFY_SOCKET, \
     WATCHDOG_USEC).",
    "Everything is encrypted (TLS 1.3), and both sides are known by their keys. On one machine \
     a user's own commands and servers know each other. Others are admitted by authorize, and \
     a server on another machine is known once trust has been told of its key, or a person has \
     said so at the first meeting. With --plaintext there is no encryption, and whoever \
     reaches the port may do all that is served; --read-only is what keeps them from writing.",
    "A guest needs no more than a link, which invite prints: it is an address that says which key \
     the server has and lets its bearer in. It is a secret. Given as an argument it is taken out \
     of the list of processes at once, and never shown; in HAUL_REMOTE, or in a file that \
     --link-file names, it never gets there, and :PATH is a path on its server.",
];

/// The exit codes, which are the codes of the protocol too.
pub(super) const EXIT_STATUS: [(u8, &str); 13] = [
    (0, "All is done and verified."),
    (1, "Something unexpected."),
    (2, "Wrong usage, or a refusal to start."),
    (
        3,
        "The connection was refused, lost or timed out, or the server is full. Worth another try.",
    ),
    (
        4,
        "Not authorised, or the server's key is not the known one.",
    ),
    (5, "Not found on the server, or not known here."),
    (6, "Something exists, and was not to be replaced."),
    (
        7,
        "A checksum is not the expected one, or a file was changed meanwhile: the source while it was read, or what was found at the target.",
    ),
    (8, "No space, or over a limit."),
    (9, "The protocol was broken, or a name cannot be used."),
    (10, "A file could not be read or written, on either side."),
    (
        11,
        "Files failed for different reasons; the rest are done. Where all failed for the same \
         reason, the exit status is that one's.",
    ),
    (130, "Interrupted."),
];

/// What the environment says besides flags.
pub(super) const ENVIRONMENT: [(&str, &str); 5] = [
    (
        "HAUL_REMOTE",
        "The default remote, an address or the link of an invitation, to which an address leads \
         that begins with a colon.",
    ),
    (
        "HAUL_IDENTITY",
        "A file with the private key to be used in place of this user's own.",
    ),
    (
        "XDG_CONFIG_HOME",
        "Where the directory haul is with this user's keys, known_hosts and access, which says \
         who may do what; without it, in ~/.config.",
    ),
    (
        "XDG_STATE_HOME",
        "Where the directory haul is with invitations, the lines that were typed into shell \
         (history), and what else it notes for itself; without it, in ~/.local/state.",
    ),
    (
        "NO_COLOR",
        "Where it is set and not empty, no colors are used, unless a flag asks for them.",
    ),
];

/// What is typed, and what it does; the command is the second word.
pub(super) const EXAMPLES: [(&str, &str); 33] = [
    (
        "haul serve /srv/files",
        "Serve a directory to this machine, until stopped.",
    ),
    (
        "haul serve --listen 0.0.0.0 --anonymous read /srv/files",
        "Let everyone who reaches this machine read a directory, and those who are authorized \
         do more.",
    ),
    (
        "haul serve --audit /srv/log/audit /srv/files",
        "Serve a directory and record who does what there, in a directory of its own.",
    ),
    (
        "haul serve --keep-partials 12h /srv/files",
        "Keep what was broken off for half a day, in place of a week.",
    ),
    (
        "haul serve --min-free 10GiB --max-file-bytes 50GiB /srv/files",
        "Leave 10 GiB of the disk free, and take no file above 50 GiB.",
    ),
    (
        "haul put report.pdf nas/2025/",
        "Upload a file into a directory, which is made where it is missing.",
    ),
    (
        "haul put --retries 20 disk.img nas",
        "Upload a large file over a link that is often lost.",
    ),
    (
        "haul put --overwrite notes nas/notes.txt",
        "Upload a file under another name, replacing what is there.",
    ),
    (
        "haul get nas/report.pdf",
        "Download a file into the directory here.",
    ),
    (
        "haul get --json nas/a nas/b back/",
        "Download two files, telling a program of each.",
    ),
    ("haul ls -l nas/2025", "List a directory in full."),
    (
        "haul stat nas/report.pdf",
        "Show size, mode, time and recorded checksum of a file.",
    ),
    (
        "haul sum --checksum sha256 nas/2025 | (cd 2025 && sha256sum -c)",
        "Check the copy of a directory that is here, without moving it again.",
    ),
    (
        "haul verify nas/2025",
        "Have the server read what is stored there, and name what has decayed since.",
    ),
    (
        "haul verify --repair-from 2025 nas/2025",
        "The same, and put the good copies that are here in place of what has decayed.",
    ),
    (
        "haul mkdir -p nas/2026/01",
        "Make a directory, and the one above it.",
    ),
    (
        "haul mv nas/draft.txt nas/2025/",
        "Move a file into another directory of the server.",
    ),
    (
        "haul rm -r nas/old",
        "Remove a directory with everything beneath it.",
    ),
    (
        "haul shell nas/2025",
        "Look around on a server, and move files both ways, over one connection.",
    ),
    (
        "haul shell -k nas < chores.txt",
        "Run the commands in a file, those after an error too.",
    ),
    (
        "haul key",
        "Show the key and the fingerprint that others authorize this user by.",
    ),
    (
        "haul key | ssh nas haul authorize - --read --root /srv/files",
        "Let this user read a directory on a machine that both have an account on.",
    ),
    (
        "haul authorize --root /srv/files --write --under inbox --max-bytes 1GiB --expires 7d - < \
         anna.key",
        "Let somebody upload so much into a part of a directory for a week, and see nothing.",
    ),
    (
        "haul invite --read --root /srv/files",
        "Print what a guest is to type to download a directory, within a day.",
    ),
    (
        "haul invite --root /srv/files --write --under inbox --expires 1h --once --address \
         nas.example",
        "Let the first who gets the link upload into a part of a directory, for an hour.",
    ),
    (
        "haul put --link-file link.txt report.pdf :",
        "Upload as a guest, without the link in the command.",
    ),
    (
        "haul access --root /srv/files",
        "List who may do what in a directory.",
    ),
    (
        "haul revoke anna",
        "Take back all that somebody was authorized for, at once.",
    ),
    (
        "haul trust nas SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs",
        "Note the key of a server before the first meeting.",
    ),
    (
        "haul forget nas:4285",
        "Forget a server that has another key on purpose.",
    ),
    (
        "haul demo",
        "See all of it on this machine, in two minutes.",
    ),
    (
        "haul completions bash > ~/.haul.bash",
        "Write down how bash completes commands and flags; a line in ~/.bashrc, \
         . ~/.haul.bash, has every new shell do so.",
    ),
    ("haul man | man -l -", "Read this manual."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args;
    use crate::code::Code;

    const DOCUMENTS: [&str; 2] = [
        include_str!("../../README.md"),
        include_str!("../../docs/tour.md"),
    ];

    /// The words of each haul that is started in a line for a shell.
    fn lines_of_haul(line: &str) -> Vec<Vec<&str>> {
        let mut found: Vec<Vec<&str>> = Vec::new();
        let mut is_in = false;
        for word in line.split([' ', '(', ')', ';']) {
            if word == "haul" {
                found.push(Vec::new());
                is_in = true;
            } else if ["|", ">", "<", "&&", ""].contains(&word) {
                is_in = false;
            }
            if is_in {
                found.last_mut().expect("one has begun").push(word);
            }
        }
        found
    }

    #[test]
    fn every_code_has_its_line() {
        let known = (0..=u8::MAX).filter(|n| *n == 0 || Code::from_number(*n).is_some());
        let told: Vec<u8> = EXIT_STATUS.iter().map(|(number, _)| *number).collect();
        assert_eq!(told, known.collect::<Vec<u8>>());
    }

    #[test]
    fn every_command_has_an_example_that_it_can_read() {
        let mut without: Vec<String> = args::command()
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect();
        for (line, _) in EXAMPLES {
            let words = lines_of_haul(line).remove(0);
            without.retain(|name| name != words[1]);
            let read = args::parse(words.into_iter().map(Into::into));
            assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
        }
        assert_eq!(without, [""; 0]);
    }

    /// Also those of other machines, which the tests of the documents do not run.
    #[test]
    fn every_line_of_the_documents_is_one_that_it_can_read() {
        let mut count = 0;
        for line in DOCUMENTS.iter().flat_map(|document| document.lines()) {
            let Some((_, typed)) = line.split_once("$ ") else {
                continue;
            };
            for words in lines_of_haul(typed) {
                let read = args::parse(words.into_iter().map(Into::into));
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
                count += 1;
            }
        }
        assert!(count > 20, "{count}");
    }
}
