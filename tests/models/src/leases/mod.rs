//! Leased quotas: a process takes several units from the store with one call, and admits requests with them locally.
//!
//! # The protocol for a sliding window
//!
//! The server has a log with one entry for each unit. The entry has a *stamp*: it counts until `stamp + window`, and
//! also before its stamp. Each request is one atomic step of the server, at the time `now` of its clock.
//!
//! **Grant** (id, units). If the log has room, the server takes at most `units` units, and at most the room: it adds an
//! entry for each of them, with the stamp `E = now + ttl`, and replies with their number and with `T = now`. The id is
//! new: a process never uses it for another lease.
//!
//! **Use.** A process admits a request with a unit of the lease while `now < sent + ttl - margin` on its monotonic
//! clock, where `sent` is the time at which it sent the request for the lease, and not the time of the reply. In the
//! same critical section, it takes the unit from the lease and reads its clock, and the reading is the time of the use.
//! It notes the bound `T + (now - sent) + margin`. The server executed the request after `sent`, so the bound is not
//! before the time of the use on the server's clock. It is before `E`.
//!
//! **Refund of a use.** While the process has the lease, the unit is unused again, and the process forgets the use.
//! After it sent the return, it sends a refund with the bound of the use. The server executes it at most once: it
//! removes one entry with exactly this stamp, or does nothing. The refund may overtake the return. An entry of another
//! process with the same stamp has the same effect, unless a reset removed the own entry; an id prevents that.
//!
//! **Return** (id, bounds of the uses). Before a process sends a return, it ends the lease: it never serves another
//! unit of it. The server finds the entries of the lease by the id. It moves one of them for each use to the bound of
//! this use, and removes the others. It never moves an entry to a later time, and never inserts one. If it finds no
//! entries of the lease, it does nothing. So a return may be executed late, after entries have expired, and several
//! times. A process that gives up waiting for a grant sends a return without uses, and never serves the units if the
//! reply arrives later.
//!
//! **Renewal.** One call returns leases that have ended and requests a new one: it is a return and a grant in one step,
//! and the model contains both in each order. To serve without a pause, a process requests the next lease while it
//! still serves the current one, and returns the current one with the call after that.
//!
//! So the log has an entry for each use from the grant until at least `use + window`: first with the stamp `E`, which
//! is later than the use, and after the return with the bound. Therefore no window contains more than `limit` uses. If a
//! process crashes, its units count until `E + window`: at most `ttl + window` after the grant.
//!
//! **A server that finds the entries of a lease by the stamp `E`** ([`Variant::ReturnFindsByStamp`]) is correct if it
//! executes each return at most once, because entries with the same stamp are interchangeable. If it executes a return
//! twice, it can remove units of another lease.
//!
//! **Reset.** A reset removes only entries whose stamp is not in the future, because a process may still use the others.
//!
//! **A clock that was set back** puts entries into the future. A server may move entries with a stamp after `now + ttl`
//! back to `now + ttl`, but not to `now`.
//!
//! # The protocol for a token bucket
//!
//! See [`TokenBucket`].
//!
//! # Assumptions
//!
//! The assumptions for [permits](super::permits#assumptions) also apply to leases. In particular, a process whose clock
//! stands still for longer than the margin while the machine is suspended can use units too late.
//!
//! # The model
//!
//! The model has a few leases ([`Config::leases`]). Each of them has a process of its own. A process with several leases
//! is a special case. Requests without a lease take a unit at any time if there is room. Each message may be lost, or be
//! executed at any later time, and messages overtake each other. Times are relative to the current time and bounded, and
//! an id that left no trace is used again for a new lease, so the model contains runs of any length.

mod bucket;
mod config;
mod lease;
mod model;
mod sliding_window;
mod time;
mod token_bucket;

pub use self::{
    bucket::Bucket,
    config::{Config, Variant},
    lease::{Grant, Holder, Lease, Return, Serving, Use},
    model::{Action, COUNTS_ARE_BOUNDED, Leases, State, USES_WITHIN_LIMIT},
    sliding_window::SlidingWindow,
    time::Stamp,
    token_bucket::{HeldTokens, TokenBucket},
};
