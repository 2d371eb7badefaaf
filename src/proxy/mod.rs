//! The data plane: an HTTP/1.1 reverse proxy, one thread per core.
//!
//! The life of a request, in reading order:
//!
//! 1. [`server`] accepts its connection; [`io`] and [`wire`] see its bytes before hyper does, [`watch`] its pace.
//! 2. [`handler`] takes it from its head to the head of its answer, step by step.
//! 3. [`facts`] refuses what is no valid request and makes out what it is about.
//! 4. [`headers`] ends what is hop-by-hop and adds what this hop has to say.
//! 5. `paths` sends it, by [`forward`], over a connection of a [`pool`] (as [`upstream_io`] bounds it); [`body`] carries bodies both
//!    ways, an answer's by way of its [`relay`].
//! 6. [`error`] turns what went wrong into an answer; [`tunnel`] takes over where the protocol is changed.
//!
//! [`keyed`] sees to it that an update with an `Idempotency-Key` takes effect once.
//!
//! [`verify`] notes what the lost-update detector has to know of an update, and [`reads`] reads entities for it.
//! [`worker`] is what one thread has for all that, [`shadows`] what it has for what runs beside; [`tap`] captures an answer for
//! those, [`candidate`] calls whom it is compared with; [`traced`] is what a traced call leaves.

mod ahead;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod candidate;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod forward;
mod handler;
pub(crate) mod headers;
mod io;
pub(crate) mod keyed;
pub(crate) mod memory;
pub(crate) mod pool;
pub(crate) mod reads;
pub(crate) mod relay;
pub(crate) mod server;
pub(crate) mod shadows;
pub(crate) mod tap;
pub(crate) mod traced;
mod tunnel;
mod upstream_io;
mod verify;
mod watch;
mod wire;
pub(crate) mod worker;
