//! Meeting a server that nobody knows yet.

use crate::net::keys::{Keypair, PublicKey};
use crate::net::tls::{ClientSide, Expected};

use super::route::{Route, Way};
use super::{Error, Idle, Options};

/// Finds out whose server answers at `address`, and says nothing to it.
///
/// # Errors
///
/// When it cannot be reached, or does not encrypt.
pub fn meet(address: &str, key: &Keypair, options: &Options) -> Result<PublicKey, Error> {
    let failed = |source| Error::Connect {
        address: address.to_owned(),
        source,
    };
    let side = ClientSide::new(key, Expected::Nobody).map_err(failed)?;
    let options = Options {
        encryption: Some(side),
        token: None,
        idle: Idle::End,
        ..options.clone()
    };
    let route = Route::from(Way::Tcp(address.to_owned()));
    let mut session = route.open(&options)?;
    match session.welcome() {
        // Nobody is the one that is expected, so the conversation ends before it begins.
        Ok(_) => Err(Error::NotEncrypted {
            address: address.to_owned(),
        }),
        Err(error) => match route.explain(error, &options) {
            Error::Stranger { key, .. } => Ok(key),
            other => Err(other),
        },
    }
}
