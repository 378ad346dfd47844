//! Which blocks of a file have arrived.
//!
//! A block goes from free to being written to verified, and a verified one is never
//! written again: the same block may come twice when a connection was lost. What an
//! earlier try has left in a block's place is another matter: nobody knows what it is
//! before it is read again, and its sender may have something else by now.

use std::ops::Range;

use crate::content::{Node, Verified};

/// The blocks of one file. No memory is taken for them before the first one comes.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    states: Vec<State>,
    left: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Free,
    Writing,
    /// It is being copied from the file that is replaced.
    Carrying,
    /// Something is in its place, perhaps what was verified to have this node once.
    Found(Option<Node>),
    /// What an earlier try has left in its place, or was copied there, has this node.
    Kept(Node),
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
    /// Something is being copied into its place: it has to wait until that is done.
    Later,
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

    /// Something is in the place of these, of which nobody knows what it is.
    pub(super) fn find(&mut self, blocks: Range<usize>) {
        self.states[blocks].fill(State::Found(None));
    }

    /// Something is in the place of a block, which once was what has this node.
    pub(super) fn find_noted(&mut self, number: usize, node: Node) {
        self.states[number] = State::Found(Some(node));
    }

    /// Hands over what an earlier try has come to: nothing is being written any more, and
    /// nothing is beyond doubt. No block is expected here afterwards.
    pub(super) fn bequeath(&mut self) -> Self {
        let mut states = std::mem::take(&mut self.states);
        for state in &mut states {
            *state = match *state {
                State::Verified(node) => State::Kept(node),
                State::Writing | State::Carrying => State::Free,
                other => other,
            };
        }
        let left = std::mem::take(&mut self.left);
        Self { states, left }
    }

    /// Takes over what an earlier try has come to, where nothing has come since. As many
    /// are kept track of here already.
    pub(super) fn inherit(&mut self, earlier: &Self) {
        for (state, earlier) in self.states.iter_mut().zip(&earlier.states) {
            if matches!(state, State::Free) {
                *state = *earlier;
                self.left -= u64::from(matches!(earlier, State::Kept(_)));
            }
        }
    }

    /// Claims a block for writing.
    pub(super) fn claim(&mut self, block: &Verified<'_>) -> Arrival {
        let Some(state) = self.states.get_mut(block.index().number() as usize) else {
            return Arrival::None;
        };
        match *state {
            State::Verified(node) if node != block.node() => return Arrival::Different,
            State::Writing | State::Verified(_) => return Arrival::Again,
            State::Carrying => return Arrival::Later,
            State::Kept(node) if node == block.node() => {
                *state = State::Verified(node);
                return Arrival::Again;
            }
            State::Kept(_) => self.left += 1,
            State::Free | State::Found(_) => {}
        }
        *state = State::Writing;
        Arrival::Write
    }

    /// Notes whether a claimed block was written. Nobody notes anything of what was handed
    /// over meanwhile.
    pub(super) fn settle(&mut self, block: &Verified<'_>, written: bool) {
        let state = self.states.get_mut(block.index().number() as usize);
        let Some(state) = state.filter(|state| matches!(state, State::Writing)) else {
            return;
        };
        if written {
            *state = State::Verified(block.node());
            self.left -= 1;
        } else {
            *state = State::Free;
        }
    }

    /// Claims a block for a copy, if nothing is in its place.
    pub(super) fn begin_carrying(&mut self, number: u64) -> bool {
        let state = self.states.get_mut(number as usize);
        let state = state.filter(|state| matches!(state, State::Free));
        state.map(|state| *state = State::Carrying).is_some()
    }

    /// The copy is there and has this node, or came to nothing. Nobody notes anything of what
    /// was handed over meanwhile.
    pub(super) fn carried(&mut self, number: u64, node: Option<Node>) {
        let state = self.states.get_mut(number as usize);
        let Some(state) = state.filter(|state| matches!(state, State::Carrying)) else {
            return;
        };
        self.left -= u64::from(node.is_some());
        *state = node.map_or(State::Free, State::Kept);
    }

    /// Whether something is in a block's place that is to be read before it counts.
    pub(super) fn is_found(&self, number: u64) -> bool {
        matches!(self.states.get(number as usize), Some(State::Found(_)))
    }

    /// What was found in a block's place has this node, or could not be read. It counts,
    /// unless it should have another one, or something has come meanwhile.
    pub(super) fn know(&mut self, number: u64, node: Option<Node>) {
        let Some(state) = self.states.get_mut(number as usize) else {
            return;
        };
        let State::Found(noted) = *state else { return };
        match node {
            Some(node) if noted.is_none_or(|noted| noted == node) => {
                *state = State::Kept(node);
                self.left -= 1;
            }
            _ => *state = State::Free,
        }
    }

    /// The nodes of the blocks that are here; empty before the first.
    pub(super) fn held(&self) -> Vec<Option<Node>> {
        self.states.iter().map(State::node).collect()
    }

    /// The nodes of those of some blocks that are here.
    pub(super) fn held_among(&self, blocks: Range<u64>) -> Vec<Option<Node>> {
        let state = |number: u64| self.states.get(number as usize);
        blocks.map(|number| state(number)?.node()).collect()
    }

    /// The runs of blocks that are not yet written.
    pub(super) fn missing(&self) -> Vec<Range<u64>> {
        if self.left == 0 {
            return Vec::new();
        }
        if self.states.is_empty() {
            return std::iter::once(0..self.left).collect();
        }
        self.runs(|state| state.node().is_none())
    }

    /// The runs of blocks that are here and were not sent since.
    pub(super) fn unproved(&self) -> Vec<Range<u64>> {
        self.runs(|state| matches!(state, State::Kept(_)))
    }

    fn runs(&self, belongs: impl Fn(&State) -> bool) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        for (number, state) in (0u64..).zip(&self.states) {
            match (belongs(state), runs.last_mut()) {
                (false, _) => {}
                (true, Some(run)) if run.end == number => run.end += 1,
                (true, _) => runs.push(number..number + 1),
            }
        }
        runs
    }
}

impl State {
    /// The node of a block that is here.
    fn node(&self) -> Option<Node> {
        match self {
            Self::Verified(node) | Self::Kept(node) => Some(*node),
            Self::Free | Self::Writing | Self::Carrying | Self::Found(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{BlockSize, Geometry, node_of, verify};

    const LEN: usize = 4 * 1024;

    fn geometry() -> Geometry {
        Geometry::new(LEN as u64, BlockSize::new(1024).unwrap()).unwrap()
    }

    /// Block `number` of a file that is filled with `byte`.
    fn with_block<T>(number: u64, byte: u8, then: impl FnOnce(&Verified<'_>) -> T) -> T {
        let (geometry, bytes) = (geometry(), [byte; 1024]);
        let index = geometry.index(number).unwrap();
        let node = node_of(geometry, index, &bytes);
        then(&verify(geometry, index, node, &bytes).unwrap())
    }

    fn node(number: u64, byte: u8) -> Node {
        let index = geometry().index(number).unwrap();
        node_of(geometry(), index, &[byte; 1024])
    }

    fn arrives(blocks: &mut Blocks, number: u64, byte: u8) -> Arrival {
        with_block(number, byte, |block| {
            let arrival = blocks.claim(block);
            if arrival == Arrival::Write {
                blocks.settle(block, true);
            }
            arrival
        })
    }

    fn tracked() -> Blocks {
        let mut blocks = Blocks::expected(4);
        blocks.track(4);
        blocks
    }

    #[test]
    fn a_verified_block_is_not_written_again() {
        let mut blocks = tracked();
        assert_eq!(arrives(&mut blocks, 1, 7), Arrival::Write);
        assert_eq!(arrives(&mut blocks, 1, 7), Arrival::Again);
        assert_eq!(arrives(&mut blocks, 1, 8), Arrival::Different);
        assert_eq!(blocks.missing(), [0..1, 2..4]);
    }

    #[test]
    fn what_was_found_counts_only_once_it_is_read() {
        let mut blocks = tracked();
        blocks.find(0..3);
        assert_eq!(blocks.missing(), std::iter::once(0..4).collect::<Vec<_>>());
        blocks.know(0, Some(node(0, 7)));
        blocks.know(1, None);
        assert!(blocks.is_found(2) && !blocks.is_found(0) && !blocks.is_found(1));
        assert_eq!(blocks.missing(), std::iter::once(1..4).collect::<Vec<_>>());
        assert_eq!(blocks.held_among(0..2), [Some(node(0, 7)), None]);
    }

    #[test]
    fn what_is_not_what_was_noted_does_not_count() {
        let mut blocks = tracked();
        blocks.find_noted(0, node(0, 7));
        blocks.find_noted(1, node(1, 7));
        blocks.know(0, Some(node(0, 7)));
        blocks.know(1, Some(node(1, 8)));
        assert_eq!(blocks.held_among(0..2), [Some(node(0, 7)), None]);
    }

    #[test]
    fn what_came_while_it_was_read_is_what_counts() {
        let mut blocks = tracked();
        blocks.find(0..1);
        assert_eq!(arrives(&mut blocks, 0, 8), Arrival::Write);
        blocks.know(0, Some(node(0, 7)));
        assert_eq!(blocks.held_among(0..1), [Some(node(0, 8))]);
    }

    #[test]
    fn what_is_copied_has_its_place_to_itself_until_it_is_there() {
        let mut blocks = tracked();
        assert!(blocks.begin_carrying(0) && !blocks.begin_carrying(0));
        assert_eq!(arrives(&mut blocks, 0, 8), Arrival::Later);
        blocks.carried(0, Some(node(0, 7)));
        assert_eq!(blocks.held_among(0..1), [Some(node(0, 7))]);
        assert_eq!(arrives(&mut blocks, 0, 8), Arrival::Write);
        assert!(!blocks.begin_carrying(0), "it has come");
        blocks.carried(0, Some(node(0, 7)));
        assert_eq!(blocks.held_among(0..1), [Some(node(0, 8))]);

        assert!(blocks.begin_carrying(1));
        blocks.carried(1, None);
        assert_eq!(blocks.missing(), std::iter::once(1..4).collect::<Vec<_>>());
        assert_eq!(arrives(&mut blocks, 1, 8), Arrival::Write);

        blocks.find(2..3);
        assert!(!blocks.begin_carrying(2), "what was found is read first");
        assert!(blocks.begin_carrying(3));
        assert_eq!(
            blocks.bequeath().missing(),
            std::iter::once(2..4).collect::<Vec<_>>()
        );
    }

    #[test]
    fn what_is_inherited_may_be_replaced_by_what_its_sender_has_now() {
        let mut earlier = tracked();
        for number in 0..3 {
            arrives(&mut earlier, number, 7);
        }
        with_block(3, 7, |block| earlier.claim(block));
        let handed = earlier.bequeath();
        // What was claimed and not written is nobody's any more.
        with_block(3, 7, |block| earlier.settle(block, true));
        assert_eq!(arrives(&mut earlier, 3, 7), Arrival::None);
        assert!(earlier.missing().is_empty());
        assert_eq!(handed.missing(), std::iter::once(3..4).collect::<Vec<_>>());

        let mut blocks = tracked();
        assert_eq!(arrives(&mut blocks, 0, 9), Arrival::Write);
        blocks.inherit(&handed);
        assert_eq!(blocks.missing(), std::iter::once(3..4).collect::<Vec<_>>());
        assert_eq!(arrives(&mut blocks, 1, 7), Arrival::Again);
        assert_eq!(arrives(&mut blocks, 1, 8), Arrival::Different);
        assert_eq!(arrives(&mut blocks, 2, 8), Arrival::Write);
        assert_eq!(arrives(&mut blocks, 3, 8), Arrival::Write);
        assert!(blocks.missing().is_empty());
        let held = [node(0, 9), node(1, 7), node(2, 8), node(3, 8)].map(Some);
        assert_eq!(blocks.held(), held);
    }
}
