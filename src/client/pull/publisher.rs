//! The threads that publish what is whole.
//!
//! A flush takes long, and a worker that waited for one would leave its connection
//! unread. So whole files queue here, and each commit takes what has gathered
//! during those before.

use std::sync::Arc;

use crossbeam_channel::Receiver;

use super::Pull;
use super::incoming_file::Incoming;
use crate::client::monitor::Status;
use crate::content::{Node, merge};
use crate::entry::Kind;
use crate::store::{Claim, Published, Staged, Standing, Store};

/// Files and bytes of one commit.
const FILES_MAX: usize = 1024;
const BYTES_MAX: u64 = 64 << 20;

/// Publishes what comes until nobody is left to send more.
pub(super) fn run<S: Store>(pull: &Pull<'_, S>, whole: &Receiver<Arc<Incoming<S::Staged>>>) {
    let _guard = pull.job.guard();
    for first in whole {
        let mut bytes = first.entry().size();
        let mut files = vec![first];
        while files.len() < FILES_MAX && bytes < BYTES_MAX {
            let Ok(next) = whole.try_recv() else { break };
            bytes += next.entry().size();
            files.push(next);
        }
        publish(pull, &files);
    }
}

fn publish<S: Store>(pull: &Pull<'_, S>, files: &[Arc<Incoming<S::Staged>>]) {
    let batch = files
        .iter()
        .map(|file| (Arc::clone(&file.staged), claim(file)))
        .collect();
    let Some(store) = &pull.store else { return };
    let results = store.commit(batch);
    for (file, result) in files.iter().zip(results) {
        pull.reception.take(file.id);
        if !file.settle() {
            continue;
        }
        match result {
            Ok(published) => tell(pull, file, &published),
            Err(error) => {
                pull.job.unmoved(file.entry().size());
                pull.job
                    .fail(&file.subject(), error.code(), error.to_string());
            }
        }
    }
    pull.go_on_looking();
}

fn tell<S: Store>(pull: &Pull<'_, S>, file: &Incoming<S::Staged>, published: &Published) {
    let status = match file.staged.standing() {
        Standing::Same(_) => Status::Unchanged,
        Standing::SameIf(..) if file.same.get().is_some() => Status::Unchanged,
        Standing::SameIf(..) | Standing::Absent | Standing::Replaces(_) => Status::Fetched,
    };
    let subject = file.subject();
    match &file.entry().kind {
        Kind::File(_) => {
            let checksum = file.second.get().copied().or(published.checksum);
            pull.job.finish(&subject, checksum, status);
        }
        kind @ (Kind::Dir | Kind::Link(_)) => {
            pull.job.placed(subject.path, kind.clone(), status);
        }
    }
}

/// What the file must prove to be: the checksum on the server's record, where
/// there is one; without it the merge of the nodes that came.
fn claim<T: Staged>(file: &Incoming<T>) -> Claim {
    if matches!(file.staged.standing(), Standing::Same(_)) {
        return Claim::default();
    }
    if let Some(same) = file.same.get() {
        return Claim {
            whole: Some(*same),
            second: None,
        };
    }
    let nodes: Option<Vec<Node>> = file.staged.held().into_iter().collect();
    Claim {
        whole: file.recorded.or_else(|| merge(&nodes?)),
        second: file.second.get().copied(),
    }
}
