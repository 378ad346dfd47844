//! Rust source cut into the words and marks that could name something.
//!
//! Comments, literals, lifetimes and white space are dropped, so that what is left is
//! code. Source that does not compile may be cut wrongly, but never without an end.

/// A word or mark that the compiler would see, and the line on which it stands.
pub struct Token<'s> {
    pub text: &'s str,
    pub line: usize,
}

/// The text of the token at `at`; empty beyond the last.
pub fn text<'s>(tokens: &[Token<'s>], at: usize) -> &'s str {
    tokens.get(at).map_or("", |token| token.text)
}

/// Cuts source into tokens and drops comments, literals, lifetimes and white space.
pub fn cut(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let silent = silent_len(rest, first);
        let (text, after) = rest.split_at(silent.unwrap_or_else(|| {
            if is_word(first) {
                word_len(rest)
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            }
        }));
        if silent.is_none() {
            found.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    found
}

/// Says whether `c` can stand inside a word.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Measures what `rest` begins with, if it can hold no import.
fn silent_len(rest: &str, first: char) -> Option<usize> {
    if rest.starts_with("//") {
        Some(rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        Some(block_comment_len(rest))
    } else if first == '"' {
        Some(string_len(rest))
    } else if first == '\'' {
        Some(quote_len(rest))
    } else if first.is_whitespace() {
        Some(first.len_utf8())
    } else {
        raw_string_len(rest)
    }
}

/// Block comments nest, unlike those of C.
fn block_comment_len(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        let mark = &rest.as_bytes()[at..];
        if mark.starts_with(b"/*") {
            (at, depth) = (at + 2, depth + 1);
        } else if mark.starts_with(b"*/") {
            (at, depth) = (at + 2, depth - 1);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string_len(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest[1..].find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 2)
}

fn raw_string_len(rest: &str) -> Option<usize> {
    let opened = ["r", "br", "cr"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))?;
    let body = opened.trim_start_matches('#').strip_prefix('"')?;
    let hashes = &opened[..opened.len() - body.len() - 1];
    let end = body.find(&format!("\"{hashes}"));
    let left = end.map_or(0, |end| body.len() - end - 1 - hashes.len());
    Some(rest.len() - left)
}

/// Measures a character such as `'{'`, or a lifetime.
fn quote_len(rest: &str) -> usize {
    if rest.starts_with("'\\") {
        // The third character is escaped, so a quote there ends nothing.
        let end = rest.char_indices().skip(3).find(|(_, c)| *c == '\'');
        return end.map_or(rest.len(), |(at, _)| at + 1);
    }
    let mut chars = rest.char_indices().skip(2);
    match chars.next() {
        Some((at, '\'')) => at + 1,
        _ => 1 + word_len(&rest[1..]),
    }
}

fn word_len(rest: &str) -> usize {
    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
}
