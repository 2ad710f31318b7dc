//! Machine-checked models of the two protocols that take something from a store for a limited time:
//!
//! - [`permits`] limit the number of requests that are processed at the same time.
//! - [`leases`] let a process admit requests of a hot key without a call to the store.
//!
//! The documentation of these modules specifies the protocols. The code of a model has the same rules in a few lines,
//! and [`stateright`] visits each state that the model can reach. So a property holds for each order of the steps, each
//! delay, each loss of a message and each crash, within the sizes of the model. The models share no code with
//! RateGuard.
//!
//! A model also has *variants* of its protocol. Each variant has one defect, and its test fails unless the checker finds
//! a run that violates a property. So the tests show that each rule of the protocol is necessary, and that the model
//! contains the runs in which it matters.
//!
//! `cargo test --package rateguard-models -- --nocapture` prints the number of states of each model, and the shortest
//! run that violates a property for each variant. Actions in such a run have the index of a permit or lease in a list
//! that is sorted after each action, so the same permit can have another index in the next action.

pub mod leases;
pub mod permits;
