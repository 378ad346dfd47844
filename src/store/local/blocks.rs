//! Which blocks of a file have arrived.
//!
//! A block goes from free to being written to verified, and a verified one is never
//! written again: the same block may come twice when a connection was lost.

use std::ops::Range;

use crate::content::{Node, Verified};

/// The blocks of one file. No memory is taken for them before the first one comes.
#[derive(Debug)]
pub(super) struct Blocks {
    states: Vec<State>,
    left: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Free,
    Writing,
    Verified(Node),
}

/// What is to be done with a block that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It is new: write it.
    Write,
    /// It is here, or being written.
    Again,
    /// Another one was verified in its place.
    Different,
    /// The file has no such block.
    None,
}

impl Blocks {
    /// So many blocks, none of which is here.
    pub(super) fn expected(count: u64) -> Self {
        Self {
            states: Vec::new(),
            left: count,
        }
    }

    /// Whether no block has come.
    pub(super) fn are_untouched(&self) -> bool {
        self.states.is_empty()
    }

    /// How many there are to keep track of.
    pub(super) fn tracked(&self) -> usize {
        self.states.len()
    }

    /// Begins to keep track of so many.
    pub(super) fn track(&mut self, count: usize) {
        self.states = vec![State::Free; count];
    }

    /// Claims a block for writing.
    pub(super) fn claim(&mut self, block: &Verified<'_>) -> Arrival {
        match self.states.get_mut(block.index().number() as usize) {
            None => Arrival::None,
            Some(state @ State::Free) => {
                *state = State::Writing;
                Arrival::Write
            }
            Some(State::Verified(node)) if *node != block.node() => Arrival::Different,
            Some(State::Writing | State::Verified(_)) => Arrival::Again,
        }
    }

    /// Notes whether a claimed block was written.
    pub(super) fn settle(&mut self, block: &Verified<'_>, written: bool) {
        let state = &mut self.states[block.index().number() as usize];
        if written {
            *state = State::Verified(block.node());
            self.left -= 1;
        } else {
            *state = State::Free;
        }
    }

    /// The nodes of the blocks that are verified; empty before the first.
    pub(super) fn held(&self) -> Vec<Option<Node>> {
        let node = |state: &State| match state {
            State::Verified(node) => Some(*node),
            State::Free | State::Writing => None,
        };
        self.states.iter().map(node).collect()
    }

    /// The runs of blocks that are not yet written.
    pub(super) fn missing(&self) -> Vec<Range<u64>> {
        if self.left == 0 {
            return Vec::new();
        }
        if self.states.is_empty() {
            return std::iter::once(0..self.left).collect();
        }
        let mut runs: Vec<Range<u64>> = Vec::new();
        for (number, state) in (0u64..).zip(&self.states) {
            match (state, runs.last_mut()) {
                (State::Verified(_), _) => {}
                (_, Some(run)) if run.end == number => run.end += 1,
                _ => runs.push(number..number + 1),
            }
        }
        runs
    }
}
