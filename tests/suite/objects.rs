//! Lines of JSON, as a program reads them: one flat object each.

use std::collections::BTreeMap;

/// The members of an object: strings as they are meant, all else as it is written.
pub type Object = BTreeMap<String, String>;

/// Reads a text in which every line is an object.
#[track_caller]
pub fn objects(text: &str) -> Vec<Object> {
    text.lines()
        .map(|line| object(line).unwrap_or_else(|| panic!("{line:?} is no object")))
        .collect()
}

fn object(line: &str) -> Option<Object> {
    let mut rest = line.strip_prefix('{')?;
    let mut members = Object::new();
    loop {
        let (key, after) = string(rest)?;
        let (value, after) = value(after.strip_prefix(':')?)?;
        members.insert(key, value).is_none().then_some(())?;
        match after {
            "}" => return Some(members),
            _ => rest = after.strip_prefix(',')?,
        }
    }
}

fn value(text: &str) -> Option<(String, &str)> {
    if text.starts_with('"') {
        return string(text);
    }
    let (value, rest) = text.split_at(text.find([',', '}'])?);
    let is_known = matches!(value, "null" | "true" | "false") || value.parse::<f64>().is_ok();
    is_known.then(|| (value.to_owned(), rest))
}

/// The string of RFC 8259, section 7.
fn string(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.chars();
    let mut meant = String::new();
    loop {
        match chars.next()? {
            '"' => return Some((meant, chars.as_str())),
            '\\' => meant.push(match chars.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'u' => {
                    let (digits, rest) = chars.as_str().split_at_checked(4)?;
                    chars = rest.chars();
                    char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
                }
                c @ ('"' | '\\' | '/') => c,
                _ => return None,
            }),
            '\0'..='\x1f' => return None,
            c => meant.push(c),
        }
    }
}

#[test]
fn only_whole_objects_are_read() {
    let read = object(r#"{"a":"\u001b\"","b":null,"c":-1.5e3}"#).unwrap();
    assert_eq!(read["a"], "\u{1b}\"");
    assert_eq!(read["c"], "-1.5e3");
    for broken in [
        "",
        "{",
        r#"{"a":1}}"#,
        r#"{"a":1,"a":2}"#,
        "{\"a\":\"\t\"}",
        r#"{"a":what}"#,
    ] {
        assert_eq!(object(broken), None, "{broken}");
    }
}
