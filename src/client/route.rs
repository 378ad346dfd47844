//! The way to a server, and the connections that are opened on it.
//!
//! One may be kept when its job is done, for the next job to go on with. Meanwhile it can
//! die in two ways. A server that parts from it says so, or is gone with a word from its
//! system: that is seen without asking. A network that forgot it says nothing, and then
//! only a question tells; it is asked where the connection has rested for long enough to
//! doubt it. So a request never goes out twice: whether a connection stands is found out
//! before anything is asked over it.

use std::fmt;
use std::io::{self, Cursor};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::code::Code;
use crate::net::keys::Fingerprint;
use crate::net::plain::Plain;
use crate::net::tls::{Encrypted, InClear};
use crate::net::{Stream, Transport, connect};
use crate::token::Token;
use crate::transfer::{Error, Link};
use crate::wire::{self, Frames, Incoming, Message};

use super::monitor::Hold;
use super::session::Session;
use super::{Connected, Idle, Options, error};

/// How a server is reached, and what is left of the job before.
pub(super) struct Route {
    way: Way,
    kept: Mutex<Option<Kept>>,
    /// Whether a server has ever welcomed us here.
    met: Arc<AtomicBool>,
}

/// How a server is reached.
pub(super) enum Way {
    /// By TCP, at `HOST:PORT`.
    Tcp(String),
    /// By what a caller provides.
    Custom(Box<dyn Fn() -> io::Result<Box<dyn Transport>> + Send + Sync>),
}

/// A connection that no job uses.
struct Kept {
    session: Session,
    since: Instant,
}

/// What a server may still have to say when a job is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing: all that was asked is answered.
    All,
    /// That something failed which the job knows of from elsewhere.
    PerhapsMore,
}

impl From<Way> for Route {
    fn from(way: Way) -> Self {
        Self {
            way,
            kept: Mutex::new(None),
            met: Arc::default(),
        }
    }
}

impl Route {
    /// A connection for a job: the one that was kept, if it stands, or a new one.
    pub(super) fn open(&self, options: &Options) -> Result<Session, error::Error> {
        self.reach(options).map(|(session, _)| session)
    }

    /// The same, and which of them it is.
    pub(super) fn reach(&self, options: &Options) -> Result<(Session, Connected), error::Error> {
        if options.cancel.is_cancelled() {
            return Err(error::Error::Interrupted);
        }
        let kept = self.kept().take();
        let was_kept = kept.is_some();
        if let Some(session) = kept.and_then(|kept| kept.take_up(options)) {
            return Ok((session, Connected::Still));
        }
        // Asking a connection that is dead takes long enough for a person to give up.
        if options.cancel.is_cancelled() {
            return Err(error::Error::Interrupted);
        }
        let how = if was_kept {
            Connected::Again
        } else {
            Connected::Anew
        };
        Ok((self.connect(options)?, how))
    }

    /// Takes back the connection of a job that is over: to keep it for the next one, or
    /// to end it.
    pub(super) fn rest(&self, mut session: Session, options: &Options, said: Said) {
        let is_wanted = options.idle != Idle::End
            && self.kept().is_none()
            && !options.cancel.is_cancelled()
            && !session.is_over()
            && (said == Said::All || session.is_there());
        if is_wanted {
            let since = Instant::now();
            self.kept().get_or_insert(Kept { session, since });
        } else {
            session.leave();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is new, whatever was kept.
    pub(super) fn connect(&self, options: &Options) -> Result<Session, error::Error> {
        let opening = options.deadlines.opening;
        let (transport, hold) =
            self.transport(options)
                .map_err(|source| error::Error::Connect {
                    address: self.to_string(),
                    source,
                })?;
        let stream = Stream::new(transport, options.fault.clone(), opening);
        let link = Link::new(stream, options.deadlines);
        let met = Arc::clone(&self.met);
        Ok(Session::begin(link, hold, self.token(options), met))
    }

    /// The token that may be said: nobody on the way must hear it, and only a server whose
    /// key is the expected one gets past the handshake. Who provides the connection
    /// themselves is not asked what becomes of it.
    fn token(&self, options: &Options) -> Option<Token> {
        let is_private = matches!(self.way, Way::Tcp(_)) && options.encryption.is_some();
        options.token.filter(|_| is_private)
    }

    /// Whether another try may do better than one that ended like this: where the connection
    /// was lost, or the server said that it is full or being stopped. One that has never
    /// welcomed anybody may be none at all.
    pub(super) fn is_worth_another_try(&self, error: &error::Error) -> bool {
        let is_its_word = matches!(error, error::Error::Refused { .. });
        let is_met = self.met.load(Ordering::Relaxed);
        error.code() == Code::Connection && (is_met || is_its_word)
    }

    fn transport(&self, options: &Options) -> io::Result<(Box<dyn Transport>, Option<Hold>)> {
        match &self.way {
            Way::Tcp(address) => {
                let socket = connect::connect(address.as_str(), options.deadlines.opening)?;
                if let Some(congestion) = &options.congestion {
                    congestion.apply(&socket)?;
                }
                let socket = Arc::new(socket);
                let hold = options.cancel.watch(Arc::clone(&socket));
                let plain = Plain::new(socket)?;
                let transport: Box<dyn Transport> = match &options.encryption {
                    Some(side) => Box::new(Encrypted::connect(plain, side)?),
                    None => Box::new(plain),
                };
                Ok((transport, Some(hold)))
            }
            Way::Custom(connect) => Ok((connect()?, None)),
        }
    }

    /// By what a server is to be told of this user, where it has refused to let them in for
    /// the key that they hold.
    fn unknown(&self, code: Code, options: &Options) -> Option<Fingerprint> {
        let is_in = self.met.load(Ordering::Relaxed);
        let side = options.encryption.as_ref()?;
        let is_unknown = code == Code::NotAuthorised && !is_in && options.token.is_none();
        is_unknown.then(|| side.public().fingerprint())
    }

    /// A connection's end as the end of a job on this route.
    pub(super) fn explain(&self, source: Error, options: &Options) -> error::Error {
        if options.cancel.is_cancelled() || matches!(source, Error::Interrupted) {
            return error::Error::Interrupted;
        }
        let address = self.to_string();
        if let Some(side) = &options.encryption
            && let Some(key) = side.stranger()
        {
            let expected = side.expects();
            return if side.is_of_this_user() {
                error::Error::NotOwn {
                    address,
                    key,
                    expected,
                }
            } else {
                error::Error::Stranger {
                    address,
                    key,
                    expected,
                    is_known: side.is_of_known(),
                }
            };
        }
        match source {
            Error::Refused { code, text } => match self.unknown(code, options) {
                Some(print) => error::Error::NotAdmitted { text, print },
                None => error::Error::Refused { code, text },
            },
            Error::Wire(wire::Error::Io(error)) => match in_clear(&error) {
                Some(InClear(said)) => {
                    refusal_in_clear(said).unwrap_or(error::Error::NotEncrypted { address })
                }
                None => error::Error::Exchange {
                    address,
                    source: wire::Error::Io(error).into(),
                },
            },
            source => error::Error::Exchange { address, source },
        }
    }
}

fn in_clear(error: &io::Error) -> Option<&InClear> {
    error.get_ref()?.downcast_ref()
}

/// Why a server will not go on, where it said so before it could encrypt: one that is
/// full has no thread to do that with. Nothing else that it may have said is believed.
fn refusal_in_clear(said: &[u8]) -> Option<error::Error> {
    let mut frames = Frames::new(Cursor::new(said.to_vec()));
    frames.read_preface().ok()?;
    let prefix = frames.prefix().ok()??;
    match frames.message(prefix).ok()? {
        Incoming::Message(Message::Fail(fail)) => Some(error::Error::Refused {
            code: fail.code,
            text: fail.text,
        }),
        Incoming::Message(_) | Incoming::Block(..) | Incoming::Unknown(..) => None,
    }
}

impl Kept {
    /// The connection for a job with these options, if it stands.
    fn take_up(self, options: &Options) -> Option<Session> {
        let Self { mut session, since } = self;
        session.obey(&options.cancel);
        let is_doubted = match options.idle {
            Idle::End => false,
            Idle::Keep { trust } => since.elapsed() > trust,
        };
        let stands = session.is_silent() && (!is_doubted || session.is_there());
        stands.then_some(session)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.way {
            Way::Tcp(address) => f.write_str(address),
            Way::Custom(_) => f.write_str("server"),
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
