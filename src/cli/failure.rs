//! What a failure means to the shell.
//!
//! An error on its way up gains context and loses its type. Here, and nowhere else,
//! the cause that knows its code is found again.

use std::error::Error;

use crate::code::Code;
use crate::path::{PathError, RemotePath};
use crate::{client, store, trust};

use super::address::AddressError;
use super::escape;
use super::links;

/// A failure that the command line itself found, with its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(super) struct Failure {
    code: Code,
    text: String,
}

/// Ends a command with `code`, saying `text`.
pub(super) fn failure(code: Code, text: impl Into<String>) -> anyhow::Error {
    let text = text.into();
    Failure { code, text }.into()
}

/// Ends a command that was not used as it should be, or that refuses to start.
pub(super) fn usage(text: impl Into<String>) -> anyhow::Error {
    failure(Code::Usage, text)
}

/// Names what was not allowed, which a server does not repeat.
pub(super) fn about(path: &RemotePath, error: anyhow::Error) -> anyhow::Error {
    let is_refused = |error: &client::Error| matches!(error, client::Error::Refused { code, .. } if *code == Code::NotAuthorised);
    if error.downcast_ref().is_some_and(is_refused) {
        return error.context(escape::name(path.as_str()).into_owned());
    }
    error
}

/// The exit code of a failure: its outermost cause that has one.
#[must_use]
pub fn code_of(error: &anyhow::Error) -> Code {
    error.chain().find_map(known).unwrap_or(Code::Unexpected)
}

/// A failure and its causes in one line, safe on any screen.
#[must_use]
pub fn explain(error: &anyhow::Error) -> String {
    escape::message(&links::without_secrets(&format!("{error:#}")))
}

fn known(cause: &(dyn Error + 'static)) -> Option<Code> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        Some(failure.code)
    } else if let Some(error) = cause.downcast_ref::<AddressError>() {
        Some(error.code())
    } else if let Some(error) = cause.downcast_ref::<client::Error>() {
        Some(error.code())
    } else if let Some(error) = cause.downcast_ref::<store::Error>() {
        Some(error.code())
    } else if let Some(error) = cause.downcast_ref::<trust::Error>() {
        Some(error.code())
    } else {
        cause.is::<PathError>().then_some(Code::Protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_code_survives_the_context_around_it() {
        let error = Err::<(), _>(usage("--no")).context("while trying");
        let error = error.unwrap_err();
        assert_eq!(code_of(&error), Code::Usage);
        assert_eq!(explain(&error), "while trying: --no");
    }

    #[test]
    fn what_has_no_code_is_unexpected() {
        assert_eq!(code_of(&anyhow::anyhow!("what?")), Code::Unexpected);
    }

    #[test]
    fn an_interruption_is_130() {
        let error = anyhow::Error::from(client::Error::Interrupted);
        assert_eq!(code_of(&error).number(), 130);
        assert_eq!(explain(&error), "interrupted");
    }
}
