//! The file operations that haul rests on, and what each leaves behind after an error.
//!
//!     cargo run --example file_review
//!
//! Together they make "all or nothing" out of calls of which each may fail: write where
//! nobody looks, flush, and only then give the name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::{env, process};

fn main() -> ExitCode {
    match in_a_directory_of_its_own() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("file_review: {error}");
            ExitCode::FAILURE
        }
    }
}

fn in_a_directory_of_its_own() -> io::Result<()> {
    let directory = env::temp_dir().join(format!("file-review-{}", process::id()));
    fs::create_dir(&directory)?;
    env::set_current_dir(&directory)?;
    let reviewed = review();
    for item in fs::read_dir(".")? {
        fs::remove_file(item?.path())?;
    }
    fs::remove_dir(&directory)?;
    reviewed
}

/// Opens a file that must not exist yet: in the system's words `O_CREAT | O_EXCL`.
fn create(name: &str) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(name)
}

/// Makes a file with this text and flushes it.
fn stage(name: &str, text: &str) -> io::Result<()> {
    let file = create(name)?;
    file.write_all_at(text.as_bytes(), 0)?;
    file.sync_all()
}

fn show(what: &str, name: &str) -> io::Result<()> {
    println!("   {what}: {:?}", fs::read_to_string(name)?);
    Ok(())
}

/// Says what a call failed with that had to, and what a file has after it.
fn failed<T>(what: &str, result: io::Result<T>, name: &str) -> io::Result<()> {
    let Err(error) = result else {
        return Err(io::Error::other(format!("{what} did not fail")));
    };
    println!("   {what}: {error}");
    show("left behind", name)
}

#[expect(clippy::disallowed_methods, reason = "rename is one of the lessons")]
fn review() -> io::Result<()> {
    println!("1. create exclusively: two can never believe that a file is theirs");
    stage("report", "first")?;
    failed("creating it again", create("report"), "report")?;

    println!("2. write at an offset: blocks may come in any order");
    let blocks = create("blocks")?;
    blocks.write_all_at(b"world", 6)?;
    show("the later block alone", "blocks")?;
    blocks.write_all_at(b"hello ", 0)?;
    show("and the first one", "blocks")?;
    let refused = File::open("blocks")?.write_all_at(b"HELLO", 0);
    failed("writing to what was opened to read", refused, "blocks")?;

    println!("3. an error half-way: the source turns out to be a directory");
    stage("half", "the first half, ")?;
    let rest = File::open(".")?.read_to_string(&mut String::new());
    failed("reading the rest", rest, "half")?;
    println!("   under its final name this would pass for the whole");

    println!("4. flush: a write fills memory, sync_all waits for the disk");
    blocks.sync_all()?;
    println!("   flushed; had it failed, nobody would know what the disk has");

    println!("5. rename: one step for all who look, and it replaces without a question");
    let mut old = File::open("report")?;
    stage("staged", "second")?;
    fs::rename("staged", "report")?;
    show("the name has", "report")?;
    let mut text = String::new();
    old.read_to_string(&mut text)?;
    println!("   who has the old file open still reads: {text:?}");
    let missing = fs::rename("staged", "report");
    failed("renaming what is not there", missing, "report")?;

    println!("6. link: a second name for the same file, if that name is free");
    stage("staged", "third")?;
    let taken = fs::hard_link("staged", "report");
    failed("linking to a name that is taken", taken, "report")?;
    show("and what was to get the name", "staged")?;
    fs::hard_link("staged", "free")?;
    fs::remove_file("staged")?;
    show("a free name, once the first name is removed", "free")?;

    println!("7. flush the directory: names are its data, not the file's");
    File::open(".")?.sync_all()?;
    println!("   flushed: the new names outlive a power cut, too");
    Ok(())
}
