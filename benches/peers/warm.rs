//! Memory that this machine has and keeps while it measures.
//!
//! A virtual machine may hand what it frees back to its host, in pieces of 2 MiB, and then whoever
//! takes a page waits until the host has found one: eight times as long, for some of the pages
//! and some of the programs. Whom that meets is the order of turns. So memory is taken once,
//! and given back but for 64 KiB of each MiB: what is left between those is in no piece that
//! the host would take.

use std::fs::File;
use std::io::{Read, copy, repeat};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, fallocate};
use tempfile::tempfile_in;

use crate::ground::MEMORY;

/// Of how many bytes some are kept.
const PIECE: u64 = 1 << 20;
/// What is kept of them: no page is larger.
const KEPT: u64 = 64 << 10;

/// The pages that are kept. The rest is the machine's until this is dropped.
#[derive(Debug)]
pub struct Warm {
    _kept: Option<File>,
}

impl Warm {
    /// Takes this many bytes of memory, and gives all but a few of them back.
    pub fn up(bytes: u64) -> Result<Self> {
        if bytes == 0 || !Path::new(MEMORY).is_dir() {
            return Ok(Self { _kept: None });
        }
        let kept = pages(bytes).context("memory cannot be warmed; --warm says how much of it")?;
        Ok(Self { _kept: Some(kept) })
    }
}

fn pages(bytes: u64) -> Result<File> {
    let mut file = tempfile_in(MEMORY)?;
    copy(&mut repeat(0).take(bytes), &mut file)?;
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for piece in 0..bytes / PIECE {
        fallocate(&file, hole, piece * PIECE + KEPT, PIECE - KEPT)?;
    }
    Ok(file)
}
