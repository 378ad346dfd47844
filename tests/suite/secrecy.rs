//! What is tried over connections in clear is tried over encrypted ones too.

use std::net::TcpStream;
use std::sync::Arc;

use haul::net::Transport;
use haul::net::keys::{Keypair, PublicKey};
use haul::net::plain::Plain;
use haul::net::tls::{ClientSide, Encrypted, Expected, ServerSide};
use haul::server::{Admit, Config, Grant, Refusal, Visitor};

/// Whether what crosses a connection can be read on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    Plain,
    Encrypted,
}

/// The keys of both ends, where there are any.
#[derive(Clone)]
pub struct Keys(Option<Arc<Pair>>);

struct Pair {
    server: Keypair,
    client: Keypair,
}

/// Makes two tests of each sentence, one for each secrecy that it is told of.
macro_rules! plain_and_encrypted {
    ($($sentence:ident),+ $(,)?) => {
        mod plain {
            $(#[test]
            fn $sentence() {
                super::$sentence($crate::secrecy::Secrecy::Plain);
            })+
        }

        mod encrypted {
            $(#[test]
            fn $sentence() {
                super::$sentence($crate::secrecy::Secrecy::Encrypted);
            })+
        }
    };
}
pub(crate) use plain_and_encrypted;

impl Keys {
    /// New ones for both ends, or none.
    pub fn of(secrecy: Secrecy) -> Self {
        let new = || Keypair::generate().unwrap().0;
        Self(match secrecy {
            Secrecy::Plain => None,
            Secrecy::Encrypted => Some(Arc::new(Pair {
                server: new(),
                client: new(),
            })),
        })
    }

    /// The same server, for the holder of these keys alone.
    pub fn guard(&self, config: Config) -> Config {
        let Some(pair) = &self.0 else {
            return config;
        };
        Config {
            encryption: Some(ServerSide::new(&pair.server).unwrap()),
            admit: Arc::new(Holder {
                key: pair.client.public(),
                admit: config.admit,
            }),
            ..config
        }
    }

    /// How a client speaks with the server of these keys.
    pub fn client(&self) -> Option<ClientSide> {
        let pair = self.0.as_ref()?;
        let expected = Expected::Key(pair.server.public());
        Some(ClientSide::new(&pair.client, expected).unwrap())
    }

    /// Whether there are any.
    pub fn encrypt(&self) -> bool {
        self.0.is_some()
    }

    /// The client's end of a connection.
    pub fn client_end(&self, socket: TcpStream) -> Box<dyn Transport> {
        let plain = Plain::new(socket).unwrap();
        match self.client() {
            Some(side) => Box::new(Encrypted::connect(plain, &side).unwrap()),
            None => Box::new(plain),
        }
    }

    /// The server's.
    pub fn server_end(&self, socket: TcpStream) -> Box<dyn Transport> {
        let plain = Plain::new(socket).unwrap();
        let Some(pair) = &self.0 else {
            return Box::new(plain);
        };
        let side = ServerSide::new(&pair.server).unwrap();
        Box::new(Encrypted::accept(plain, &side))
    }
}

/// Admits whoever holds a key, to what everybody is admitted to without keys.
#[derive(Debug)]
struct Holder {
    key: PublicKey,
    admit: Arc<dyn Admit>,
}

impl Admit for Holder {
    fn grant(&self, visitor: &Visitor) -> Result<Grant, Refusal> {
        if visitor.key == Some(self.key) {
            self.admit.grant(visitor)
        } else {
            Err(Refusal::Stranger)
        }
    }
}
