//! In-flight permits: at most `limit` requests of a key are processed at the same time, by all processes together.
//!
//! # The protocol
//!
//! The server has one *entry* for each permit: an id that the process chose, and an *expiry* on the clock of the
//! server. An entry whose expiry is not after the current time of the server is *expired*. It does not count, and any
//! request may remove it. The server executes each request in one atomic step.
//!
//! **Acquire** (id, lease, deadline). The server counts the unexpired entries. If there are fewer than `limit`, it adds
//! an entry that expires at `now + lease`. Otherwise, it refuses and writes nothing. The id is new: a process never
//! uses it for another request, and sends the acquire request once. If a process gives up waiting for the reply, it
//! sends a release with this id, and does not use the permit if the reply arrives later.
//!
//! **Renew** (id, lease, deadline). If the entry exists, is not expired and is not revoked, the server moves its expiry
//! to `now + lease`. Otherwise, it refuses. It never inserts an entry, and never revives an expired entry, even if the
//! entry is still stored. A holder that is refused has lost its permit for good. One call can renew all permits of a
//! process: it is a list of such requests, and the model contains each order of them.
//!
//! **Release** (id). The server removes the entry with this id, if there is one. A release has no deadline. It may
//! arrive late, several times, or before the acquire request, and never affects another permit.
//!
//! **Validity.** A holder considers its permit valid while `now < sent + lease - margin` on its monotonic clock. `sent`
//! is the time at which it sent its last *successful* acquire or renew request, and not the time of the reply. A
//! release, a refusal or the end of the lease ends the validity; a late success of a renewal begins it again.
//!
//! **Deadline.** The server refuses acquire and renew requests that are older than the deadline. Without this rule, a
//! request that is still on its way when its process crashes can occupy a permit at any later time. With this rule, the
//! permit of a crashed process is free at most `lease + deadline` after the crash, that is `lease` after the last
//! request that the server executed.
//!
//! **Release by an operator.** The server *revokes* the entry: it refuses further renewals, and the entry counts until
//! it expires or its holder releases it. If the operator's request removed the entry at once, the holder would still
//! consider its permit valid, and more than `limit` permits would be valid until its next renewal.
//!
//! # Assumptions
//!
//! - The clock of a holder and that of the server run at the same rate, except for the margin: while a holder uses a
//!   permit, its clock may fall behind by at most the margin. The offset of the clocks is unknown and does not matter,
//!   because no message contains a time of a process, and the holder computes only differences of its own times. A
//!   server that rounds its time down to its resolution has the same effect as a clock that falls behind.
//! - A process that is stopped (`SIGSTOP`) or that waits for the processor needs no step of its own in the model,
//!   because each process may do nothing for any time while time passes. Its clock does not stop. If its clock stands
//!   still, as the monotonic clock of Linux does while the machine is suspended, it falls behind by that time, and its
//!   holder considers the permit valid for too long ([`Config::missed_ticks`]). The server still counts at most `limit`
//!   entries.
//! - A clock of the server that is set forward expires entries too early, so this model has no such step.
//! - The server loses no entries. A failover to a replica that has not received the last entries loses them.
//!
//! # The model
//!
//! The model has a few permits ([`Config::permits`]). Each of them has a process of its own. A process with several
//! permits is a special case: its permits crash at the same time. Each message may be lost, or be executed at any later
//! time, and messages overtake each other. Times are relative to the current time and bounded, and an id that left no
//! trace is used again for a new permit, so the model contains runs of any length with any number of requests.

mod config;
mod model;
mod permit;
mod properties;
mod server;

pub use self::{
    config::{Config, Variant},
    model::{Action, Kind, Permits},
    permit::{Entry, Holder, Message, Permit, Phase},
    properties::{
        ENTRIES_WITHIN_LIMIT, GHOSTS_EXPIRE, RENEWED_IS_VALID, VALID_IS_COUNTED, VALID_WITHIN_LIMIT,
    },
};
