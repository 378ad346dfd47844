//! cp: what copying costs where nothing has to travel.

use std::path::{Path, PathBuf};

use crate::bench::Bench;
use crate::ends::{End, find};
use crate::entrants::Mover;
use crate::line::Line;
use crate::material::Material;

pub struct Cp {
    client: Line,
    root: PathBuf,
}

impl Cp {
    pub fn new(bench: &Bench, root: &Path) -> Self {
        let program = find("cp").unwrap_or_else(|| "cp".into());
        Self {
            client: bench.ends.line(End::Client, &program).arg("-r"),
            root: root.to_owned(),
        }
    }
}

impl Mover for Cp {
    fn put(&self, what: &Material) -> Line {
        let line = self.client.clone().arg(&what.path);
        line.arg(self.root.join(what.name()))
    }

    fn get(&self, what: &Material, into: &Path) -> Line {
        let line = self.client.clone().arg(self.root.join(what.name()));
        line.arg(into.join(what.name()))
    }
}
