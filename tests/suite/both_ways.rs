//! A job that goes one way or the other, so that a test of one is a test of both.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use haul::client::{Client, JobOptions, Options};
use haul::net::Transport;
use haul::net::plain::Plain;

use crate::landscape::{get_tree, put_tree};
use crate::rig::{Outcome, Rig};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Put,
    Get,
}

pub const WAYS: [Way; 2] = [Way::Put, Way::Get];

/// A tree `t` on a server and one here, and a job from one to the other.
pub struct Pair {
    pub rig: Rig,
    pub way: Way,
    meter: Arc<AtomicUsize>,
}

/// A connection whose bytes are counted, whichever way they go.
struct Metered {
    inner: Plain,
    meter: Arc<AtomicUsize>,
}

impl Pair {
    pub fn new(way: Way) -> Self {
        let (rig, meter) = (Rig::new(), Arc::default());
        Self { rig, way, meter }
    }

    /// The same two trees, and a job the other way.
    pub fn back(self) -> Self {
        let way = match self.way {
            Way::Put => Way::Get,
            Way::Get => Way::Put,
        };
        Self { way, ..self }
    }

    /// Where the job takes from.
    pub fn source(&self) -> PathBuf {
        match self.way {
            Way::Put => self.here(),
            Way::Get => self.rig.root().join("t"),
        }
    }

    /// Where it brings to.
    pub fn target(&self) -> PathBuf {
        match self.way {
            Way::Put => self.rig.root().join("t"),
            Way::Get => self.here(),
        }
    }

    fn here(&self) -> PathBuf {
        self.rig.dir.path().join("here/t")
    }

    pub fn job(&self, options: &JobOptions) -> Outcome {
        let client = self.client();
        let here = self.here();
        match self.way {
            Way::Put => put_tree(&client, &here, Some("t"), options),
            Way::Get => {
                let names = (Some("t"), Some("t"));
                get_tree(&client, names, here.parent().unwrap(), options)
            }
        }
    }

    fn client(&self) -> Client {
        let (address, meter) = (self.rig.address.clone(), Arc::clone(&self.meter));
        let connect = move || -> io::Result<Box<dyn Transport>> {
            let inner = Plain::new(TcpStream::connect(&address)?)?;
            let meter = Arc::clone(&meter);
            Ok(Box::new(Metered { inner, meter }))
        };
        Client::over(connect, Options::default())
    }

    /// Bytes that were moved since the last look, in both directions.
    pub fn moved(&self) -> usize {
        self.meter.swap(0, Ordering::SeqCst)
    }
}

impl Metered {
    fn count(&self, bytes: usize) -> usize {
        self.meter.fetch_add(bytes, Ordering::SeqCst);
        bytes
    }
}

impl Transport for Metered {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        let n = self.inner.read(into, wait)?;
        Ok(self.count(n))
    }

    fn write(&mut self, slices: &[IoSlice<'_>], wait: Duration) -> io::Result<usize> {
        let n = self.inner.write(slices, wait)?;
        Ok(self.count(n))
    }

    fn is_readable(&mut self) -> io::Result<bool> {
        self.inner.is_readable()
    }

    fn has_left(&mut self) -> io::Result<bool> {
        self.inner.has_left()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }

    fn peer(&self) -> String {
        self.inner.peer()
    }
}
