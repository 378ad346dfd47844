//! The rows: what is done, by whom, and how much faster haul has to be.

use crate::entrants::Who::{
    self, Aria2, Cp, Curl, Haul, HaulEncrypted, Iperf3, RsyncDaemon, RsyncFsync, RsyncSsh, Scp,
    ScpAes,
};
use crate::ground::Place;
use crate::material::Load;

/// One row.
#[derive(Debug)]
pub struct Work {
    pub name: &'static str,
    pub way: Way,
    pub size: Size,
    pub state: State,
    pub place: Place,
    /// haul first, then its peers, each with what is to be reached against them.
    pub entrants: &'static [(Who, Goal)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Put,
    Get,
}

/// What is moved; how large that is, is said on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    Big,
    Small,
}

/// What is in the place where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    Fresh,
    /// The same.
    Unchanged,
    /// The same but for one byte.
    Changed,
}

/// What is to be reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Nothing: it is there to see where the bounds are.
    None,
    /// The median of this peer is at least so many times that of haul.
    Times(f64),
    /// haul's median is at most so many seconds: on a link that loses nothing, and on one that
    /// loses a packet in a thousand.
    Seconds { clean: f64, lossy: f64 },
}

use Goal::{Seconds, Times};

const ON_MEMORY: Work = Work {
    name: "",
    way: Way::Put,
    size: Size::Big,
    state: State::Fresh,
    place: Place::Target,
    entrants: &[],
};

/// The rows of one machine.
pub const HERE: &[Work] = &[
    Work {
        name: "put-big",
        entrants: &[
            (Haul, Goal::None),
            (RsyncDaemon, Times(1.8)),
            (Curl, Times(1.2)),
            (Cp, Times(0.5)),
            (Iperf3, Goal::None),
        ],
        ..ON_MEMORY
    },
    Work {
        name: "get-big",
        way: Way::Get,
        entrants: &[
            (Haul, Goal::None),
            (RsyncDaemon, Times(1.6)),
            (Curl, Times(1.1)),
            (Aria2(4), Goal::None),
        ],
        ..ON_MEMORY
    },
    Work {
        name: "put-small",
        size: Size::Small,
        entrants: &[
            (Haul, Goal::None),
            (RsyncDaemon, Times(2.0)),
            (Cp, Goal::None),
        ],
        ..ON_MEMORY
    },
    Work {
        name: "get-small",
        way: Way::Get,
        size: Size::Small,
        entrants: &[(Haul, Goal::None), (RsyncDaemon, Times(2.0))],
        ..ON_MEMORY
    },
    Work {
        name: "again",
        size: Size::Small,
        state: State::Unchanged,
        entrants: &[(Haul, Goal::None), (RsyncDaemon, Times(1.0))],
        ..ON_MEMORY
    },
    Work {
        name: "changed",
        state: State::Changed,
        entrants: &[(Haul, Goal::None), (RsyncDaemon, Times(2.5))],
        ..ON_MEMORY
    },
    Work {
        name: "durable",
        size: Size::Small,
        place: Place::Disk,
        entrants: &[(Haul, Goal::None), (RsyncFsync, Times(2.5))],
        ..ON_MEMORY
    },
    Work {
        name: "durable-big",
        place: Place::Disk,
        entrants: &[(Haul, Goal::None), (RsyncFsync, Goal::None)],
        ..ON_MEMORY
    },
    Work {
        name: "encrypted-put-big",
        entrants: &[
            (HaulEncrypted, Goal::None),
            (Scp, Times(3.0)),
            (ScpAes, Times(2.0)),
        ],
        ..ON_MEMORY
    },
    Work {
        name: "encrypted-get-big",
        way: Way::Get,
        entrants: &[
            (HaulEncrypted, Goal::None),
            (Scp, Times(3.0)),
            (ScpAes, Times(2.0)),
        ],
        ..ON_MEMORY
    },
    Work {
        name: "encrypted-put-small",
        size: Size::Small,
        entrants: &[(HaulEncrypted, Goal::None), (RsyncSsh, Times(4.0))],
        ..ON_MEMORY
    },
    Work {
        name: "encrypted-get-small",
        way: Way::Get,
        size: Size::Small,
        entrants: &[(HaulEncrypted, Goal::None), (RsyncSsh, Times(4.0))],
        ..ON_MEMORY
    },
];

const FAR_BIG: Goal = Seconds {
    clean: 3.3,
    lossy: 3.7,
};
const FAR_SMALL: Goal = Seconds {
    clean: 1.6,
    lossy: 1.6,
};

/// The rows of a link.
pub const APART: &[Work] = &[
    Work {
        name: "link-put-big",
        entrants: &[
            (Haul, FAR_BIG),
            (HaulEncrypted, FAR_BIG),
            (RsyncDaemon, Goal::None),
            (Curl, Goal::None),
            (Scp, Goal::None),
        ],
        ..ON_MEMORY
    },
    Work {
        name: "link-get-big",
        way: Way::Get,
        entrants: &[
            (Haul, FAR_BIG),
            (HaulEncrypted, FAR_BIG),
            (RsyncDaemon, Goal::None),
            (Curl, Goal::None),
            (Scp, Goal::None),
            (Aria2(8), Goal::None),
        ],
        ..ON_MEMORY
    },
    Work {
        name: "link-put-small",
        size: Size::Small,
        entrants: &[
            (Haul, FAR_SMALL),
            (HaulEncrypted, FAR_SMALL),
            (RsyncDaemon, Goal::None),
        ],
        ..ON_MEMORY
    },
    Work {
        name: "link-get-small",
        way: Way::Get,
        size: Size::Small,
        entrants: &[
            (Haul, FAR_SMALL),
            (HaulEncrypted, FAR_SMALL),
            (RsyncDaemon, Goal::None),
        ],
        ..ON_MEMORY
    },
];

impl Work {
    /// What is done, for a person.
    pub fn title(&self, load: Load) -> String {
        let way = match self.way {
            Way::Put => "put",
            Way::Get => "get",
        };
        let load = load.title();
        let state = match self.state {
            State::Fresh => "",
            State::Unchanged => " again, unchanged",
            State::Changed => " again, one byte changed",
        };
        let place = match self.place {
            Place::Disk => ", onto a disk and durable",
            Place::Source | Place::Target => "",
        };
        let wire = match self.entrants {
            [(HaulEncrypted, _), ..] => ", encrypted",
            _ => "",
        };
        format!("{way} {load}{state}{place}{wire}")
    }
}
