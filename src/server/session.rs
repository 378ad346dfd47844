//! One connection, from preface to close, on its own thread.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use tracing::{debug, info, warn};

use super::access::Access;
use super::allowance::Admitted;
use super::slots::{Slot, Stage};
use super::trail::Trail;
use super::{Acquaintance, Shared, Visitor, changes, download, ids_of, listing, resuming};
use super::{upload, verifying};
use crate::code::Code;
use crate::net::Phase;
use crate::offer::TransferId;
use crate::store::{Durability, Store};
use crate::transfer::{Attachment, Error, Link, Reception, Wait};
use crate::wire::message::{Fail, Hello, Request, Rights, Welcome};
use crate::wire::{self, Incoming, Kind, Message};

/// Program and version, as the other side's log shows it.
const AGENT: &str = concat!("haul/", env!("CARGO_PKG_VERSION"));

/// Requests that may wait while an answer is being sent: two offers, two commits
/// and two fetches are what an honest client has under way.
const QUEUE_MAX: usize = 16;

/// Transfers with something under way that one connection may take part in.
const TRANSFERS_MAX: usize = 4;

/// The state of one connection.
pub(super) struct Session<'s, S: Store> {
    pub(super) shared: &'s Shared<S>,
    pub(super) access: Access<S>,
    pub(super) link: &'s mut Link,
    pub(super) peer: &'s str,
    pub(super) buffer: Vec<u8>,
    pub(super) received: Received,
    transfers: HashMap<TransferId, Attachment<Admitted<S::Staged>>>,
    queue: VecDeque<Message>,
    /// Since when the client has said nothing but that it is working.
    working: Option<Instant>,
}

/// What a connection has received.
#[derive(Default)]
pub(super) struct Received {
    pub(super) blocks: u64,
    pub(super) bytes: u64,
}

/// Serves a connection until it ends, and says in the log how it did.
pub(super) fn serve<S: Store>(shared: &Shared<S>, slot: &Slot, mut link: Link) {
    let peer = link.peer();
    let began = Instant::now();
    let mut received = Received::default();
    let result = open(&mut link)
        .and_then(|hello| converse(shared, slot, (&mut link, &peer), &hello, &mut received))
        .map_err(|error| {
            // It was ended on this side, and may still be told so.
            let is_stop = shared.is_stopping() && error.is_an_end();
            if is_stop { Error::Stopping } else { error }
        });
    let stage = slot.stage();
    let has_left = |error: &Error| error.is_departure() || error.is_an_end();
    if let Err(error) = &result
        && stage == Stage::Opening
        && error.is_the_peer_s()
        && let Some(source) = slot.source()
    {
        let now = Instant::now();
        if has_left(error) {
            shared.sources.left(source, now);
        } else {
            shared.sources.spoiled(source, now);
        }
    }
    let Received { blocks, bytes } = received;
    let seconds = seconds(began);
    match &result {
        Ok(()) => info!(peer, blocks, bytes, seconds, "closed"),
        Err(_) if stage == Stage::Dropped => {
            info!(peer, seconds, "dropped, as too many wanted to come in");
        }
        // Who meets a server for the first time leaves as soon as they have seen its key, and
        // a client with nothing more to do breaks off whatever it had begun to say.
        Err(error) if stage == Stage::Opening && has_left(error) => {
            let why = error.to_string();
            info!(peer, seconds, why, "left before coming in");
        }
        Err(error) => {
            let code = error.code().number();
            // As text it is escaped: it may hold what the peer said.
            let why = error.to_string();
            warn!(
                peer,
                blocks, bytes, seconds, code, why, "closed after an error"
            );
        }
    }
    link.close(result.as_ref().err());
}

/// Seconds since `began`, to the millisecond: what a line in the log says.
pub(super) fn seconds(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 1e3).round() / 1e3
}

/// Reads preface and `Hello` under one deadline, and greets.
fn open(link: &mut Link) -> Result<Hello, Error> {
    let greeted = link.be_greeted();
    // Whatever else is wrong, a haul client is told in its own protocol.
    if !matches!(greeted, Err(Error::Wire(wire::Error::NotHaul(_)))) {
        link.greet();
    }
    greeted?;
    match link.next(Wait::Opening)?.ok_or(Error::Ended)? {
        Incoming::Message(Message::Hello(hello)) => Ok(hello),
        Incoming::Message(other) => Err(Error::OutOfOrder(other.kind())),
        Incoming::Block(..) => Err(Error::OutOfOrder(Kind::Block)),
        Incoming::Unknown(..) => Err(Error::Broken("the first message must be a Hello")),
    }
}

fn converse<S: Store>(
    shared: &Shared<S>,
    slot: &Slot,
    (link, peer): (&mut Link, &str),
    hello: &Hello,
    received: &mut Received,
) -> Result<(), Error> {
    let visitor = Visitor::at(peer, link.peer_key(), hello.token);
    let trail = Trail::new(shared.config.audit.as_ref(), peer, visitor);
    let admitted = admit(shared, visitor, &trail);
    let (access, rights, acquaintance) =
        admitted.inspect_err(|error| trail.refused(error.code()))?;
    let (store, above) = if access.is_whole() {
        (shared.id, shared.above.clone())
    } else {
        ids_of(&access).map_err(wire::Error::Io)?
    };
    slot.let_in(acquaintance)
        .map_err(|none| Error::Full(none.text()))?;
    if let Some(source) = slot.source() {
        let now = Instant::now();
        shared.sources.let_in(source, acquaintance, now);
    }
    link.say(&Welcome {
        request: hello.request,
        agent: AGENT.to_owned(),
        rights,
        segment: shared.config.segment,
        store,
        above,
        durable: access.durability() == Durability::Batch,
    });
    let agent: String = hello.agent.chars().take(64).collect();
    debug!(peer, ?agent, "opened");
    let mut session = Session {
        shared,
        access,
        link,
        peer,
        buffer: Vec::new(),
        received: std::mem::take(received),
        transfers: HashMap::new(),
        queue: VecDeque::new(),
        working: None,
    };
    let result = session.run(slot);
    *received = session.received;
    result
}

fn admit<S: Store>(
    shared: &Shared<S>,
    visitor: Visitor,
    trail: &Trail,
) -> Result<(Access<S>, Rights, Acquaintance), Error> {
    if shared.config.encryption.is_some() && visitor.key.is_none() {
        return Err(Error::NotAdmitted("this server speaks encrypted only"));
    }
    shared.access(visitor, trail)
}

impl<S: Store> Session<'_, S> {
    fn run(&mut self, slot: &Slot) -> Result<(), Error> {
        loop {
            if slot.is_over() {
                return Err(Error::Stopping);
            }
            if let Some(message) = self.queue.pop_front() {
                self.handle(message)?;
                continue;
            }
            let wait = if self.is_owed() {
                Wait::Owed
            } else {
                Wait::Idle
            };
            slot.set_busy(wait == Wait::Owed);
            let (link, buffer) = (&mut *self.link, &mut self.buffer);
            let incoming = match link.next_or_rest(wait, || *buffer = Vec::new()) {
                Ok(Some(incoming)) => incoming,
                // A stop has ended the wait.
                Ok(None) if self.is_parting(wait) => return self.part(),
                Err(error) if self.is_parting(wait) && error.is_an_end() => return self.part(),
                Ok(None) if !self.is_last_hope() && !self.shared.is_stopping() => return Ok(()),
                Ok(None) => return Err(Error::Ended),
                // Nothing was under way: whoever leaves without a word, as a shell does, has
                // only left.
                Err(error) if wait == Wait::Idle && error.is_departure() => return Ok(()),
                Err(error) => return Err(error),
            };
            slot.set_busy(true);
            self.working = match incoming {
                Incoming::Message(Message::Working(_)) => self.working.or(Some(Instant::now())),
                _ => None,
            };
            let patience = self.link.deadlines().working;
            if self.working.is_some_and(|since| since.elapsed() > patience) {
                let late = io::Error::new(io::ErrorKind::TimedOut, Phase::Answer.to_string());
                return Err(wire::Error::Io(late).into());
            }
            match incoming {
                Incoming::Message(message) => self.handle(message)?,
                Incoming::Block(header, len) => upload::block(self, &header, len)?,
                Incoming::Unknown(kind, request) => self.link.say(&Fail {
                    request,
                    ..Fail::connection(
                        Code::Protocol,
                        format!("a message of the unknown kind {kind} was skipped"),
                    )
                }),
            }
        }
    }

    /// Whether the other side still owes blocks or a commit.
    fn is_owed(&self) -> bool {
        self.transfers.values().any(|transfer| !transfer.is_empty())
    }

    /// Whether entries are under way that no other connection could complete.
    fn is_last_hope(&self) -> bool {
        let mut transfers = self.transfers.values();
        transfers.any(|transfer| transfer.is_only() && !transfer.is_empty())
    }

    /// Whether the end of such a wait is that of a server that stops.
    fn is_parting(&self, wait: Wait) -> bool {
        wait == Wait::Idle && self.shared.is_stopping()
    }

    fn part(&mut self) -> Result<(), Error> {
        let why = Error::Stopping;
        self.link
            .say(&Fail::connection(why.code(), why.to_string()));
        self.link.flush()
    }

    fn handle(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::List(list) => listing::list(self, &list),
            Message::Offer(offer) => upload::offer(self, offer),
            Message::Drop(drop) => upload::drop(self, &drop),
            Message::Commit(commit) => upload::commit(self, &commit),
            Message::Fetch(fetch) => download::fetch(self, &fetch),
            Message::Sum(sum) => verifying::sum(self, &sum),
            Message::Verify(asked) => verifying::verify(self, &asked),
            Message::MakeDir(asked) => changes::make_dir(self, &asked),
            Message::Rename(asked) => changes::rename(self, &asked),
            Message::Remove(asked) => changes::remove(self, &asked),
            Message::End(end) => upload::end(self, end),
            Message::Nodes(nodes) => resuming::nodes(self, &nodes),
            // A stop or a failure that came after its stream had ended, or patience.
            Message::Stop(_) | Message::Working(_) => Ok(()),
            Message::Fail(fail) if fail.entry.is_some() => Ok(()),
            Message::Fail(fail) => Err(fail.into()),
            Message::Hello(_)
            | Message::Welcome(_)
            | Message::Entries(_)
            | Message::Want(_)
            | Message::Receipt(_)
            | Message::Done(_)
            | Message::Sent(_)
            | Message::NodesAre(_)
            | Message::SumIs(_)
            | Message::Finding(_) => Err(Error::OutOfOrder(message.kind())),
        }
    }

    /// Answers a request with why it is not done; the connection goes on.
    pub(super) fn refuse(&mut self, request: Request, code: Code, why: impl Into<String>) {
        let why = why.into();
        info!(
            peer = self.peer,
            request,
            code = code.number(),
            ?why,
            "refused"
        );
        self.link.say(&Fail::request(request, code, why));
    }

    /// The reception of a transfer, which this connection joins by naming it.
    pub(super) fn reception(
        &mut self,
        transfer: TransferId,
    ) -> Result<Arc<Reception<Admitted<S::Staged>>>, Error> {
        if let Some(known) = self.transfers.get(&transfer) {
            return Ok(known.reception());
        }
        if self.transfers.len() >= TRANSFERS_MAX {
            // A client may do one job after the other over one connection.
            self.transfers.retain(|_, transfer| !transfer.is_empty());
        }
        if self.transfers.len() >= TRANSFERS_MAX {
            return Err(Error::Broken("too many transfers on one connection"));
        }
        let reception = self.shared.reception(self.access.whose(), transfer);
        let attached = reception.attach(self.link.silence());
        self.transfers.insert(transfer, attached);
        Ok(reception)
    }

    /// How many commits of a transfer there were before this connection took part.
    pub(super) fn commits_before(&self, transfer: TransferId) -> u64 {
        let attached = self.transfers.get(&transfer);
        attached.map_or(0, Attachment::commits_before)
    }

    /// The parts that sending an answer needs apart from each other.
    pub(super) fn sending(
        &mut self,
    ) -> (&Access<S>, &mut Link, &mut Vec<u8>, &mut VecDeque<Message>) {
        (&self.access, self.link, &mut self.buffer, &mut self.queue)
    }
}

/// Hears what the other side says while an answer is being sent to it.
///
/// A stop of `request`, or the failure of what is being sent, ends that; every
/// other request waits for its turn.
pub(super) fn hear(
    link: &mut Link,
    queue: &mut VecDeque<Message>,
    is_end: impl Fn(&Message) -> bool,
) -> Result<ControlFlow<()>, Error> {
    match link.next(Wait::Owed)?.ok_or(Error::Ended)? {
        Incoming::Message(message) if is_end(&message) => Ok(ControlFlow::Break(())),
        Incoming::Message(Message::Fail(fail)) if fail.entry.is_none() => Err(fail.into()),
        Incoming::Message(Message::Working(_) | Message::Fail(_)) | Incoming::Unknown(..) => {
            Ok(ControlFlow::Continue(()))
        }
        Incoming::Message(message) if queue.len() < QUEUE_MAX => {
            queue.push_back(message);
            Ok(ControlFlow::Continue(()))
        }
        Incoming::Message(_) => Err(Error::Broken("too many requests at once")),
        Incoming::Block(..) => Err(Error::OutOfOrder(Kind::Block)),
    }
}
