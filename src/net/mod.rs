//! Sockets: connecting, listening, deadlines, encryption.
//!
//! Above this layer a connection is a [`Stream`]: bytes under a
//! named deadline. What carries them is a [`Transport`].

mod congestion;
pub mod connect;
pub mod keys;
pub mod listen;
pub mod plain;
mod silence;
pub mod stream;
pub mod tls;

pub use congestion::Congestion;
pub use listen::{Accepted, Listener, Waker};
pub use silence::Silence;
pub use stream::{Phase, Stream, Transport};
