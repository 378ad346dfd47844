//! The links of invitations in what a person types, taken apart before anything else is
//! read.
//!
//! Whoever has a link can use it, and what is typed comes back in many places: in an error
//! about a flag, in the command that resumes, in the list of processes. So the secret is
//! taken out of every text first of all. What is left, `haul://FINGERPRINT.ID@HOST/`, anybody
//! may see; where a server is to be reached, the whole is found by it again.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::trust::{Introduction, IntroductionError};

/// How an address begins in which something may stand before the host.
pub(super) const SCHEME: &str = "haul://";

/// The variable in which the program hands the secrets of its arguments on to itself.
const VARIABLE: &str = "HAUL_LINK_SECRETS";

/// What is left of a link that is of no use, as it is not whole.
const DAMAGED: &str = "damaged.link";

/// Characters of a fingerprint in an address, and of an invitation's id.
const LENGTHS: (usize, usize) = (43, 8);

/// What was taken out of texts.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Secrets(Vec<Introduction>);

/// Runs the program again without the secrets in its arguments, where there are any: what a
/// process was called with can be read by everybody on the machine, and its environment
/// cannot. Returns where there is nothing to hide, or that is not to be had.
pub fn hide_links(line: &[OsString]) {
    let mut secrets = Secrets::default();
    let left: Vec<OsString> = line.iter().map(|word| secrets.take_from(word)).collect();
    let (Some((name, words)), Ok(program)) = (left.split_first(), env::current_exe()) else {
        return;
    };
    if secrets.0.is_empty() || !leads_to(name, &program) {
        return;
    }
    let wholes: Vec<String> = secrets.0.iter().map(Introduction::reveal).collect();
    // It comes back only where it fails, and then the line is as good as it was.
    let _ = Command::new(program)
        .arg0(name)
        .args(words)
        .env(VARIABLE, wholes.join(" "))
        .exec();
}

/// Whether what was called by this name is the program that runs, and not a loader that runs
/// it and takes other words.
fn leads_to(name: &OsStr, program: &Path) -> bool {
    let is_it = |path: &Path| path.canonicalize().is_ok_and(|path| path == program);
    let searched = env::var_os("PATH").filter(|_| !name.as_bytes().contains(&b'/'));
    match searched {
        Some(all) => env::split_paths(&all).any(|directory| is_it(&directory.join(name))),
        None => is_it(Path::new(name)),
    }
}

/// A text without the secrets of links, to be shown to anybody.
pub(super) fn without_secrets(text: &str) -> String {
    let left = Secrets::default().take_from(text.as_ref());
    left.to_string_lossy().into_owned()
}

/// Whether a text has a link without its secret in it, which is of no use as it stands.
pub(super) fn has_rest(text: &OsStr) -> bool {
    let text = text.as_bytes();
    let is_damaged = find(text, DAMAGED.as_bytes()).is_some();
    is_damaged || (0..text.len()).any(|dot| rest_around(text, dot).is_some())
}

/// Where in the text behind the scheme the `@` is, before which somebody is introduced.
pub(super) fn at_sign(text: &[u8]) -> Option<usize> {
    let begin = whole_print(text);
    let ends = |b: &u8| *b == b'/' || b.is_ascii_whitespace();
    let end = text[begin..].iter().position(ends);
    let end = end.map_or(text.len(), |end| begin + end);
    text[..end].iter().rposition(|b| *b == b'@')
}

/// How long the fingerprint is that a text begins with, as OpenSSH writes it: in it a slash
/// is a letter, and anywhere else it ends the host.
fn whole_print(text: &[u8]) -> usize {
    let prefix = b"SHA256:";
    let is_letter = |b: &u8| b.is_ascii_alphanumeric() || b"+/-_".contains(b);
    let print = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.get(..LENGTHS.0));
    match print {
        Some(print) if print.iter().all(is_letter) => prefix.len() + print.len(),
        _ => 0,
    }
}

impl Secrets {
    /// Those that the program has handed on to itself.
    pub(super) fn handed_on() -> Self {
        let wholes = env::var(VARIABLE).unwrap_or_default();
        let read = wholes.split(' ').map(Introduction::parse);
        Self(read.filter_map(Result::ok).collect())
    }

    /// Takes the secrets out of a text, and returns what is left.
    pub(super) fn take_from(&mut self, text: &OsStr) -> OsString {
        let (mut rest, mut left) = (text.as_bytes(), Vec::new());
        while let Some(at) = find(rest, SCHEME.as_bytes()) {
            let (before, behind) = rest.split_at(at + SCHEME.len());
            let (introduced, after) = behind.split_at(at_sign(behind).unwrap_or(0));
            left.extend_from_slice(before);
            left.extend(self.keep(introduced));
            rest = after;
        }
        left.extend_from_slice(rest);
        // Wherever one stands that lost its scheme or its host.
        let mut dot = 0;
        while dot < left.len() {
            match secret_behind(&left, dot) {
                Some(secret) => drop(left.drain(secret)),
                None => dot += 1,
            }
        }
        OsString::from_vec(left)
    }

    /// Who is introduced by what is left before the `@` of an address.
    pub(super) fn introduced(&self, left: &str) -> Result<Introduction, IntroductionError> {
        let mut known = self.0.iter();
        let found = known.find(|one| one.token.is_some() && one.to_string() == left);
        found.map_or_else(|| Introduction::parse(left), |found| Ok(*found))
    }

    /// Keeps a link, if it is one, and returns what is left of what stood before the `@`.
    fn keep(&mut self, introduced: &[u8]) -> Vec<u8> {
        let text = std::str::from_utf8(introduced).unwrap_or(".");
        if !text.contains('.') || rest_around(introduced, LENGTHS.0) == Some(introduced.len()) {
            return introduced.to_owned();
        }
        match Introduction::parse(text) {
            Ok(link) => {
                self.0.push(link);
                link.to_string().into_bytes()
            }
            Err(_) => DAMAGED.into(),
        }
    }
}

/// A secret is never shown.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

/// Where a link without its secret ends, if it has this dot.
fn rest_around(text: &[u8], dot: usize) -> Option<usize> {
    let (print, id) = (dot.checked_sub(LENGTHS.0)?, dot + 1 + LENGTHS.1);
    let is_print = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    let is_id = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    let is_rest = text.get(dot) == Some(&b'.')
        && text[print..dot].iter().all(is_print)
        && text.get(dot + 1..id)?.iter().all(is_id);
    is_rest.then_some(id)
}

/// The letters behind such a link, and the dot before them.
fn secret_behind(text: &[u8], dot: usize) -> Option<Range<usize>> {
    let end = rest_around(text, dot)?;
    let letters = text[end..].strip_prefix(b".")?;
    let is_letter = |b: &&u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    let count = letters.iter().take_while(is_letter).count();
    (count > 0).then_some(end..end + 1 + count)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::keys::Keypair;
    use crate::token::Token;
    use proptest::prelude::*;

    fn link() -> Introduction {
        Introduction {
            server: Keypair::generate().unwrap().0.public().fingerprint(),
            token: Some(Token::generate().unwrap()),
        }
    }

    /// The letters of a link that nobody is to see.
    fn secret(link: &Introduction) -> String {
        link.reveal().rsplit('.').next().unwrap().to_owned()
    }

    #[test]
    fn a_link_is_taken_apart_wherever_it_stands_and_found_again_by_the_rest() {
        let link = link();
        let (whole, rest) = (link.reveal(), link.to_string());
        let standard = link.server.to_string();
        let spelled = whole.replacen(&link.server.in_address(), &standard, 1);
        for text in [
            format!("haul://{whole}@nas:4285/"),
            format!("haul://{spelled}@nas/a@b/c"),
            format!("haul put FILE haul://{whole}@%5B::1%5D:1/ "),
            format!("--link-file=haul://{whole}@nas"),
            format!("haul://nas/haul://{whole}@nas/ haul://{whole}@x"),
        ] {
            let mut secrets = Secrets::default();
            let left = secrets.take_from(text.as_ref()).into_string().unwrap();
            assert!(!left.contains(&secret(&link)), "{left}");
            assert!(left.contains(&format!("haul://{rest}@")), "{left}");
            assert!(has_rest(left.as_ref()), "{left}");
            assert_eq!(secrets.introduced(&rest), Ok(link));
            assert!(!format!("{secrets:?}").contains(&secret(&link)));
            // What is left stays as it is, and alone is a link without its secret.
            let mut none = Secrets::default();
            assert_eq!(none.take_from(left.as_ref()), *left);
            assert_eq!(none.introduced(&rest), Err(IntroductionError::Damaged));
        }
    }

    #[test]
    fn a_link_that_lost_something_is_not_shown_either() {
        let link = link();
        let whole = link.reveal();
        for text in [
            whole.clone(),
            format!("haul://{whole}"),
            format!("{whole}@nas:4285/"),
            format!("me@{whole}"),
            format!("{whole}.{}", secret(&link)),
            format!("haul://x{whole}@nas"),
            format!("haul://{whole}@me@nas"),
            format!("haul://{}@nas", &whole[1..]),
            format!("haul://{}@nas", &whole[..70]),
            format!("haul://{}@nas", whole.replace('.', "..")),
            format!("haul://{}@nas", whole.to_uppercase()),
        ] {
            let left = without_secrets(&text);
            let shown = [secret(&link), secret(&link).to_uppercase()];
            let is_shown = shown.iter().any(|shown| left.contains(&shown[..16]));
            assert!(!is_shown, "{text}: {left}");
            assert!(has_rest(left.as_ref()), "{text}: {left}");
        }
    }

    #[test]
    fn what_is_no_link_stays_as_it_is() {
        let print = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
        for text in [
            "nas/a.b.c",
            "haul://nas/a@b.c",
            "me@nas.example:x.y",
            "a.b.c@d",
            "haul://",
            &format!("haul://{print}@nas.example/a.b"),
            &format!("haul://{}@nas", print.replace('/', "_")),
        ] {
            let mut secrets = Secrets::default();
            assert_eq!(secrets.take_from(text.as_ref()), text);
            assert_eq!(secrets, Secrets::default());
            assert!(!has_rest(text.as_ref()), "{text}");
        }
    }

    #[test]
    fn an_at_sign_stands_behind_a_fingerprint_in_either_alphabet() {
        let print = "SHA256:HoY/RyfCCaa011gqBRKc2Orh63wy4imC3TYjpCZLOvs";
        assert_eq!(at_sign(format!("{print}@nas/x@y").as_bytes()), Some(50));
        assert_eq!(at_sign(format!("{print}/@nas").as_bytes()), None);
        assert_eq!(at_sign(b"SHA256:4285/a@b"), None);
        assert_eq!(at_sign(b"abc@nas/x@y"), Some(3));
        assert_eq!(at_sign(b"nas/x@y"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_left_stays(
            text in "(\\PC|[@./: ]|haul://|SHA256:|[0-9a-f]{8}[.]|[A-Za-z0-9_-]{43}[.]){0,12}",
        ) {
            let left = without_secrets(&text);
            prop_assert_eq!(without_secrets(&left), left);
        }
    }
}
