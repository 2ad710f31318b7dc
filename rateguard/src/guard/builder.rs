//! The settings of a guard.

use std::{error::Error, fmt, time::Duration};

use rateguard_grammar::{NameError, check_name};

use super::RateGuard;
#[cfg(feature = "redis")]
use crate::store::redis::{RedisStore, RedisUrlError};
use crate::{ClientAddress, MemoryStore, OnError, store::Store};

pub(super) const DEFAULT_DEADLINE: Duration = Duration::from_millis(100);
const MIN_DEADLINE: Duration = Duration::from_millis(1);
const MAX_DEADLINE: Duration = Duration::from_secs(60);
const DEFAULT_PREFIX: &str = "rateguard";

/// Settings for a [`RateGuard`].
#[derive(Debug)]
#[must_use]
pub struct RateGuardBuilder {
    store: StoreChoice,
    prefix: String,
    deadline: Duration,
    on_error: OnError,
    client_address: ClientAddress,
}

enum StoreChoice {
    Own(Box<dyn Store>),
    #[cfg(feature = "redis")]
    Redis {
        url: String,
    },
}

impl RateGuardBuilder {
    pub(super) fn in_memory() -> Self {
        Self::new(StoreChoice::Own(Box::new(MemoryStore::new())))
    }

    #[cfg(feature = "redis")]
    pub(super) fn redis(url: String) -> Self {
        Self::new(StoreChoice::Redis { url })
    }

    fn new(store: StoreChoice) -> Self {
        Self {
            store,
            prefix: DEFAULT_PREFIX.to_owned(),
            deadline: DEFAULT_DEADLINE,
            on_error: OnError::default(),
            client_address: ClientAddress::peer(),
        }
    }

    /// Counts in this store: a [`MemoryStore`] with settings of its own, or any other [`Store`].
    pub fn store(mut self, store: impl Store + 'static) -> Self {
        self.store = StoreChoice::Own(Box::new(store));
        self
    }

    /// What the keys in Redis begin with. Default: `rateguard`. Guards of one prefix on one Redis database share
    /// their counts; give each application its own. In other stores it has no effect.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a check may take, all in all; from 1 ms to 60 s. Default: 100 ms, some hundred times what a Redis
    /// nearby needs and little enough for a user not to notice.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What happens to a request when the store does not answer, unless its policy says otherwise. Default:
    /// [`OnError::Open`].
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = on_error;
        self
    }

    /// How the address of a client is found, for keys by address: behind proxies, [`ClientAddress::behind`] them.
    /// Default: [`ClientAddress::peer`].
    pub fn client_address(mut self, client_address: ClientAddress) -> Self {
        self.client_address = client_address;
        self
    }

    /// The guard. It does not wait for Redis: a server starts when Redis is away, and uses it when it is there.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if a setting is not legal, or the system has no thread for the connection.
    pub fn build(self) -> Result<RateGuard, BuildError> {
        check_name(&self.prefix).map_err(BuildError::Prefix)?;
        if !(MIN_DEADLINE..=MAX_DEADLINE).contains(&self.deadline) {
            return Err(BuildError::Deadline);
        }
        #[cfg_attr(
            not(feature = "redis"),
            allow(clippy::infallible_destructuring_match, reason = "there are more with features")
        )]
        let store = match self.store {
            StoreChoice::Own(store) => store,
            #[cfg(feature = "redis")]
            StoreChoice::Redis { url } => {
                Box::new(RedisStore::open(&url, self.prefix, self.deadline)?)
            }
        };
        Ok(RateGuard::new(store, self.deadline, self.on_error, self.client_address))
    }
}

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own(_) => "Own",
            // The URL may hold a password.
            #[cfg(feature = "redis")]
            Self::Redis { .. } => "Redis",
        })
    }
}

/// Why a guard cannot be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// The prefix is not legal.
    Prefix(NameError),
    /// The deadline is not from 1 ms to 60 s.
    Deadline,
    /// The URL is not one of a Redis that can be used.
    #[cfg(feature = "redis")]
    Url(RedisUrlError),
    /// The system refused the thread that looks after the connection.
    #[cfg(feature = "redis")]
    Thread(std::io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(error) => write!(f, "prefix: {error}"),
            Self::Deadline => {
                f.write_str("deadline: a deadline is from 1 millisecond to 60 seconds")
            }
            #[cfg(feature = "redis")]
            Self::Url(error) => write!(f, "Redis URL: {error}"),
            #[cfg(feature = "redis")]
            Self::Thread(_) => {
                f.write_str("the system refused a thread for the connection to Redis")
            }
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            #[cfg(feature = "redis")]
            Self::Thread(error) => Some(error),
            // The others are shown whole.
            _ => None,
        }
    }
}
