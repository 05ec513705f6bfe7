//! A cluster that programs of this machine can talk to: stock kubectl, skopeo, curl.
//!
//! A paused clock and a real socket never share a runtime. So the simulation keeps a thread and a
//! runtime to itself ([`runtime`]), whose clock [`pace`] lets run at a chosen [`Speed`]; listeners
//! live in another runtime, and [`carry`] joins each connection to the simulation by a pipe in
//! memory. In the simulation, [`ApiFront`] answers the API over TLS, with dates as the machine's clock
//! has them, and [`Gateway`] is an HTTP proxy into the simulated network.

mod bridge;
mod front;
mod gateway;
mod identity;
mod pace;
mod shift;
#[cfg(test)]
mod tests;

pub use bridge::{Arrival, Arrivals, Door, carry, door};
pub use front::ApiFront;
pub use gateway::Gateway;
pub use identity::{Identity, IdentityError};
pub use pace::{Speed, SpeedError, pace, runtime};
