//! What processes have had of the processors: time that does not grow because somebody else
//! was busy too.

use std::fs;
use std::time::Duration;

/// One process, as `/proc/PID/stat` has it.
struct Stat {
    process: u32,
    parent: u32,
    /// User and system, its own and that of children who were waited for.
    ticks: u64,
}

/// What a process and its descendants have had so far.
pub fn busy(of: u32) -> Duration {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = all.filter_map(|item| fs::read_to_string(item.path().join("stat")).ok());
    let stats: Vec<Stat> = stats.filter_map(|text| read(&text)).collect();
    let mut family = vec![of];
    let mut at = 0;
    while let Some(parent) = family.get(at).copied() {
        let children = stats.iter().filter(|stat| stat.parent == parent);
        family.extend(children.map(|stat| stat.process));
        at += 1;
    }
    let of_family = stats.iter().filter(|stat| family.contains(&stat.process));
    // Linux tells programs of a hundred ticks a second, whatever it counts in itself.
    Duration::from_millis(10 * of_family.map(|stat| stat.ticks).sum::<u64>())
}

/// Reads the fields that matter; proc(5) numbers them from one.
fn read(text: &str) -> Option<Stat> {
    // The name, which may hold anything, ends with the last bracket.
    let (head, tail) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = tail.split(' ').collect();
    let ticks = fields
        .get(11..15)?
        .iter()
        .map(|ticks| ticks.parse::<u64>().ok());
    Some(Stat {
        process: head.split(' ').next()?.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        ticks: ticks.sum::<Option<u64>>()?,
    })
}
